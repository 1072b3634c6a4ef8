"""No answer waits long, or without a word, for a provider that refuses requests."""

from __future__ import annotations

import asyncio
import logging
import threading
import time

import pytest

from skeleton_of_thought.drivers import answer_all, astream, stream
from skeleton_of_thought.drivers.turns import Turns
from skeleton_of_thought.errors import LongWaitError
from skeleton_of_thought.limits import Limiter, Patience, retry_after_of
from skeleton_of_thought.messages import Message
from skeleton_of_thought.method import SkeletonOfThought
from skeleton_of_thought.options import RunSettings
from skeleton_of_thought.request import Delta, Reply, Request

SKELETON = "1. Sleep\n2. Eat\n3. Walk"
REQUEST = Request("direct", "direct", (Message("user", "Hello"),))


class RefusedError(Exception):
    status_code = 429

    def __init__(self, retry_after=None):
        super().__init__("Your quota is used up.")
        self.headers = {} if retry_after is None else {"Retry-After": retry_after}


def run_of(**settings):
    return SkeletonOfThought([Message("user", "How?")], settings=RunSettings(**settings))


class TestPatience:
    def test_pauses_side_by_side_are_waited_for_once(self):
        patience = Patience(10)
        assert patience.allows(106, 100)
        assert patience.allows(106, 101)
        assert patience.allows(108, 106)
        assert not patience.allows(113, 108)
        assert patience.allows(110, 108)

    def test_a_turn_is_not_waited_for_longer(self):
        limiter = Limiter()
        limiter.back_off(30, sent=time.monotonic(), error=RefusedError())
        with (
            pytest.raises(LongWaitError, match="quota is used up") as raised,
            Turns(limiter, longest_wait=5).turn(REQUEST),
        ):
            pass
        assert isinstance(raised.value.__cause__, RefusedError)
        assert limiter.running == limiter.waiting == 0

        async def ask():
            async with Turns(limiter, longest_wait=5).aturn(REQUEST):
                pass

        with pytest.raises(LongWaitError):
            asyncio.run(ask())

    def test_who_waits_already_gives_up_when_a_long_pause_begins(self):
        limiter = Limiter(max_concurrency=1)
        errors = []

        def wait():
            try:
                with limiter.slot(patience=Patience(5)):
                    pass
            except LongWaitError as error:
                errors.append(error)

        waiting = threading.Thread(target=wait)
        with pytest.raises(RefusedError), limiter.slot():  # noqa: PT012 - the slot sees it
            waiting.start()
            while not limiter.waiting:
                time.sleep(0.001)
            raise RefusedError("50")
        waiting.join(5)
        assert [type(error.__cause__) for error in errors] == [RefusedError]

    def test_who_waits_for_other_requests_waits(self):
        limiter = Limiter(max_concurrency=1)
        with limiter.slot():
            waiting = threading.Thread(
                target=lambda: Turns(limiter, longest_wait=0).turn(REQUEST).__enter__()
            )
            waiting.start()
            waiting.join(0.1)
            assert waiting.is_alive()
        waiting.join(5)
        assert not waiting.is_alive()


@pytest.mark.parametrize("header", ["3600", "99999", "1e300", "Fri, 01 Jan 2038 00:00:00 GMT"])
@pytest.mark.parametrize("retries", [0, 1])
class TestALongWait:
    def test_the_providers_error_comes_at_once(self, header, retries):
        def send(request):
            raise RefusedError(header)
            yield

        with pytest.raises(RefusedError):  # noqa: PT012 - anywhere in it
            run = run_of(retries=retries)
            list(stream(run, send))
            _ = run.answer

    def test_the_same_in_rounds_and_with_asyncio(self, header, retries):
        run = run_of(retries=retries)
        sent = []

        def answer(requests):
            sent.extend(requests)
            return [RefusedError(header) for _ in requests]

        answer_all(run, answer)
        with pytest.raises(RefusedError):
            _ = run.answer
        assert [request.id for request in sent] == ["skeleton"]

        async def go():
            run = run_of(retries=retries)

            async def send(request):
                raise RefusedError(header)
                yield

            async for _ in astream(run, send):
                pass
            return run.answer

        with pytest.raises(RefusedError):
            asyncio.run(go())

    def test_points_are_marked_at_once(self, header, retries):
        run = run_of(retries=retries)
        calls = []

        def send(request):
            calls.append(request.id)
            if request.stage != "skeleton":
                raise RefusedError(header)
            yield Delta(SKELETON)

        limiter = Limiter(max_concurrency=1, longest_pause=0.01)
        list(stream(run, send, turns=Turns(limiter, longest_wait=0.02)))
        assert [point.status for point in run.answer.points] == ["failed"] * 3
        assert all("quota is used up" in point.error for point in run.answer.points)
        assert len(calls) <= 4


@pytest.mark.slow
def test_a_provider_that_always_refuses_is_waited_for_so_long_in_all():
    run = run_of(longest_wait=1.0)
    calls = []

    def send(request):
        calls.append(request.id)
        if request.stage != "skeleton":
            raise RefusedError("0.3")
        yield Delta(SKELETON)

    list(stream(run, send))
    assert [point.status for point in run.answer.points] == ["failed"] * 3
    assert len(calls) < 15


def test_no_retries_means_none():
    run = run_of(retries=0)
    calls = []

    def answer(requests):
        calls.extend(request.id for request in requests)
        return [Reply(SKELETON) if request.stage == "skeleton" else RefusedError() for request in requests]

    answer_all(run, answer)
    assert calls == ["skeleton", "point:1", "point:2", "point:3"]


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("5", 5),
        ("1.5", 1.5),
        ("99999", 99999),
        ("1e300", 1e300),
        ("1e999", None),
        ("9" * 400, None),
        ("nan", None),
        ("-5", None),
        ("", None),
        ("soon", None),
        ("Fri, 99 Foo 9999 99:99:99 GMT", None),
        ("Fri, 31 Feb 2020 10:00:00 GMT", 0),
        ("Wed, 01 Jan 99999999999 00:00:00 GMT", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
        ("Wed, 21 Oct 2015 07:28:00 +99999999999999", None),
        (10**400, None),
        (None, None),
        (b"5", 5),
        ([], None),
    ],
)
def test_whatever_stands_in_the_header(header, seconds):
    error = RefusedError(header)
    found = retry_after_of(error)
    assert found == seconds or ((seconds is None or seconds == 0) and found in {None, 0})
    limiter = Limiter(longest_pause=0.02)
    with pytest.raises(RefusedError), limiter.slot():
        raise error
    with limiter.slot(patience=Patience(1)):
        assert limiter.load <= 1


def test_nobody_else_is_stopped_for_longer_than_the_longest_pause():
    limiter = Limiter()
    limiter.back_off(1e300, sent=time.monotonic())
    assert limiter._gate._admission.paused_until <= time.monotonic() + 60


def test_a_pause_is_logged(caplog):
    limiter = Limiter()
    with caplog.at_level(logging.INFO, logger="skeleton_of_thought.limits"):
        for _ in range(3):
            limiter.back_off(30, sent=time.monotonic())
        limiter.back_off(0.01, sent=time.monotonic())
    assert len(caplog.records) <= 3
    assert caplog.records[0].levelname == "WARNING"
    assert "30 s" in caplog.text
    assert "nothing is sent" in caplog.text
