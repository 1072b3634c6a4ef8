from __future__ import annotations

import asyncio
import contextvars
import itertools
import threading
import time

import pytest

from skeleton_of_thought import Delta, Message, Prompts, Reply, RunSettings, SkeletonOfThought, Usage
from skeleton_of_thought.drivers import aanswer_all, answer_all, astream, stream
from skeleton_of_thought.drivers.open_requests import OpenRequests
from skeleton_of_thought.events import AnswerText, PointText
from skeleton_of_thought.routing.decision import Decision

PROMPTS = Prompts(skeleton="{request}", point="{point}")
TITLES = ["One thing", "Two things", "Three things", "Four things"]
SKELETON = "\n".join(f"{number}. {title}" for number, title in enumerate(TITLES, start=1))
EXPECTED = "\n\n".join(f"{n}. {title}: Text of point:{n}." for n, title in enumerate(TITLES, start=1))


def new_run(**options):
    return SkeletonOfThought([Message("user", "Why?")], PROMPTS, RunSettings(**options))


def text_of(request):
    return {"skeleton": SKELETON, "direct": "Plainly."}.get(request.id, f"Text of {request.id}.")


def shown(events):
    return "".join(event.text for event in events if isinstance(event, AnswerText))


class Sender:
    """Streams answers word by word and keeps a record; `faults` maps a request's id to what it raises, and when."""

    def __init__(self, *, pause=0.0, faults=None):
        self.pause = pause
        self.faults = dict(faults or {})
        self.opened, self.closed, self.pieces = [], [], []
        self.most = self._running = 0
        self._lock = threading.Lock()

    def _open(self, request):
        with self._lock:
            self.opened.append(request.id)
            self._running += 1
            self.most = max(self.most, self._running)
        words = text_of(request).split(" ")
        return [Delta(word if place == 0 else " " + word) for place, word in enumerate(words)]

    def _close(self, request):
        with self._lock:
            self._running -= 1
            self.closed.append(request.id)

    def _check(self, request, place):
        self.pieces.append(request.id)
        if self.faults.get(request.id, (None, None))[0] == place:
            raise self.faults.pop(request.id)[1]

    def stream(self, request):
        try:
            for place, delta in enumerate(self._open(request)):
                time.sleep(self.pause * (request.stage == "point"))
                self._check(request, place)
                yield delta
            yield Delta(usage=Usage(2, 1))
        finally:
            self._close(request)

    async def astream(self, request):
        try:
            for place, delta in enumerate(self._open(request)):
                await asyncio.sleep(self.pause * (request.stage == "point"))
                self._check(request, place)
                yield delta
            yield Delta(usage=Usage(2, 1))
        finally:
            self._close(request)


def streamed(run, sender, **options):
    return list(stream(run, sender.stream, **options))


async def astreamed(run, sender, **options):
    return [event async for event in astream(run, sender.astream, **options)]


@pytest.fixture(params=["threads", "asyncio"])
def drive(request):
    """Either streaming driver."""

    async def with_threads(run, sender, **options):
        return await asyncio.to_thread(streamed, run, sender, **options)

    return with_threads if request.param == "threads" else astreamed


# All at once.


def test_answer_all_sends_what_is_ready_together():
    sizes = []

    def send(requests):
        sizes.append(len(requests))
        return [Reply(text_of(request), Usage(2, 1)) for request in requests]

    run = new_run()
    answer_all(run, send)
    assert run.answer.text == EXPECTED
    assert run.answer.usage == Usage(10, 5)
    assert sizes == [1, 4]


async def test_aanswer_all_and_retries_go_out_together():
    sent = []

    async def send(requests):
        sent.append([request.id for request in requests])
        bad = ("point:2", "point:4")
        return [
            ValueError("busy") if request.id in bad and request.attempt == 1 else Reply(text_of(request))
            for request in requests
        ]

    run = new_run()
    await aanswer_all(run, send)
    assert run.answer.text == EXPECTED
    assert sent == [["skeleton"], ["point:1", "point:2", "point:3", "point:4"], ["point:2", "point:4"]]


def test_a_driver_that_loses_an_outcome_is_a_bug():
    with pytest.raises(ValueError, match="shorter"):
        answer_all(new_run(), lambda _: [])


# Streamed.


async def test_both_drivers_stream_the_answer(drive):
    run, sender = new_run(), Sender()
    events = await drive(run, sender)
    assert shown(events) == run.answer.text == EXPECTED
    assert run.answer.usage == Usage(10, 5)
    assert (
        sorted(sender.opened)
        == sorted(sender.closed)
        == ["point:1", "point:2", "point:3", "point:4", "skeleton"]
    )


async def test_the_points_run_at_the_same_time(drive):
    sender = Sender(pause=0.1)
    started = time.perf_counter()
    await drive(new_run(), sender)
    assert sender.most == 4
    assert time.perf_counter() - started < 2 * 0.3, "three pieces each; one after the other they take 1.2 s"


@pytest.mark.parametrize("limit", [1, 2, 3])
async def test_no_more_at_once_than_allowed(drive, limit):
    sender = Sender(pause=0.002)
    run = new_run()
    await drive(run, sender, max_concurrency=limit)
    assert sender.most == limit
    assert run.answer.text == EXPECTED


async def test_points_that_wait_start_later(drive):
    run = new_run()
    await drive(run, Sender(pause=0.02), max_concurrency=2)
    starts = [point.start for point in run.answer.points]
    ends = [point.start + point.seconds for point in run.answer.points]
    assert starts[2] >= min(ends[:2])
    assert starts[3] >= sorted(ends)[1]
    assert max(ends) <= run.answer.seconds.total + 1e-6


async def test_a_broken_stream_is_opened_again(drive):
    sender = Sender(pause=0.03, faults={"skeleton": (0, OSError("x")), "point:3": (1, OSError("reset"))})
    run = new_run()
    events = await drive(run, sender)
    assert sender.opened.count("skeleton") == 2
    assert sender.opened.count("point:3") == 2
    assert shown(events) == run.answer.text == EXPECTED


async def test_a_direct_answer_is_handed_out_piece_by_piece(drive):
    run = SkeletonOfThought([Message("user", "Why?"), Message("assistant", "So.")], PROMPTS)
    events = await drive(run, Sender())
    pieces = [event for event in events if isinstance(event, tuple)]
    assert [(request.id, delta.text) for request, delta in pieces] == [("direct", "Plainly."), ("direct", "")]
    assert pieces[-1][1].usage == Usage(2, 1)
    assert shown(events) == run.answer.text == "Plainly."


async def test_usage_of_a_stream_is_summed_over_its_pieces(drive):
    class InParts(Sender):
        def stream(self, request):
            yield Delta(usage=Usage(7, 0))
            yield from super().stream(request)

        async def astream(self, request):
            yield Delta(usage=Usage(7, 0))
            async for delta in super().astream(request):
                yield delta

    run = new_run()
    await drive(run, InParts())
    assert run.answer.usage == Usage(5 * 9, 5)
    assert [point.usage for point in run.answer.points] == [Usage(9, 1)] * 4


@pytest.mark.parametrize("error", [asyncio.CancelledError("inside"), SystemExit(3), KeyboardInterrupt()])
def test_whatever_ends_a_threads_request_ends_the_wait_for_it(error):
    run, sender = new_run(retries=0), Sender(faults={"point:2": (1, error)})
    streamed(run, sender)
    assert [point.status for point in run.answer.points] == ["ok", "failed", "ok", "ok"]


async def test_a_request_cancelled_from_inside_ends_the_wait_for_it():
    run, sender = new_run(retries=0), Sender(faults={"point:2": (1, asyncio.CancelledError("inside"))})
    async with asyncio.timeout(5):
        await astreamed(run, sender)
    assert [point.status for point in run.answer.points] == ["ok", "failed", "ok", "ok"]


# Stopping.


class Endless(Sender):
    """Its points never come to an end by themselves."""

    def _open(self, request):
        words = super()._open(request)
        return words if request.stage == "skeleton" else itertools.repeat(Delta("word "))


def wait_until(condition, seconds=5.0):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.002)
    assert condition()


def test_closing_stops_every_thread_at_its_next_piece():
    sender = Endless(pause=0.002)
    events = stream(new_run(), sender.stream)
    for event in events:
        if isinstance(event, PointText):
            break
    events.close()
    before = len(sender.pieces)
    wait_until(lambda: len(sender.closed) == 5)
    assert len(sender.pieces) <= before + 2 * 4


async def test_closing_cancels_every_task_before_it_returns():
    sender = Endless(pause=0.002)
    events = astream(new_run(), sender.astream)
    async for event in events:
        if isinstance(event, PointText):
            break
    await events.aclose()
    assert sorted(sender.closed) == sorted(sender.opened)
    before = len(sender.pieces)
    await asyncio.sleep(0.05)
    assert len(sender.pieces) == before


async def test_closing_works_though_a_cancellation_gets_lost():
    """As `asyncio.wait_for` loses one in Python 3.11 that comes at the same moment as a result."""

    class Deaf(Endless):
        async def astream(self, request):
            deltas = aiter(super().astream(request))
            while True:
                following = asyncio.ensure_future(anext(deltas))
                try:
                    yield await asyncio.shield(following)
                except asyncio.CancelledError:
                    yield await following
                except StopAsyncIteration:
                    return

    sender = Deaf(pause=0.002)
    events = astream(new_run(), sender.astream)
    async for event in events:
        if isinstance(event, PointText):
            break
    async with asyncio.timeout(5):
        await events.aclose()
    before = len(sender.pieces)
    await asyncio.sleep(0.05)
    assert len(sender.pieces) == before


async def test_cancelling_the_reader_cancels_every_task():
    sender = Endless(pause=0.002)
    reader = asyncio.create_task(astreamed(new_run(), sender))
    await asyncio.to_thread(wait_until, lambda: len(sender.opened) == 5)
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert sorted(sender.closed) == sorted(sender.opened)


@pytest.mark.parametrize(("routed", "left"), [(40.0, (0, 10)), (50.0, (0, 0))])
def test_the_time_a_router_took_is_time_of_the_answer(routed, left):
    decision = Decision("sot", 1.0, "it took a while", seconds=routed)
    run = SkeletonOfThought([Message("user", "Why?")], PROMPTS, RunSettings(timeout=50), decision=decision)
    requests = OpenRequests(run, None)
    requests.start()
    assert left[0] <= requests.wait <= left[1]


def test_threads_see_the_callers_context():
    variable = contextvars.ContextVar("variable", default="lost")
    seen = []
    sender = Sender()

    def send(request):
        seen.append(variable.get())
        return sender.stream(request)

    variable.set("kept")
    list(stream(new_run(), send))
    assert seen == ["kept"] * 5


@pytest.mark.parametrize("how", ["threads", "asyncio"])
@pytest.mark.parametrize("begun", [True, False])
def test_a_losers_reply_that_nobody_read_is_billed(how, begun):
    """It has come by the time the router's word is read, and maybe its beginning has not been read either."""
    deciding, arrived = threading.Event(), threading.Event()

    class Run(SkeletonOfThought):
        def decide(self, decision):
            deciding.set()
            assert how == "asyncio" or arrived.wait(9)
            return super().decide(decision)

    run = Run([Message("user", "Why?")], PROMPTS, decision=None)
    told = {"skeleton": Usage(9, 4), "direct": Usage(7, 3), "route": Usage()}

    def send(request):
        if request.stage == "route":
            yield Delta(raw=Decision("direct", 1.0, "one fact"))
        assert deciding.wait(9)
        if request.stage == "direct":
            assert arrived.wait(9)
        yield Delta(text_of(request), usage=told[request.stage])
        arrived.set()

    async def asend(request):  # without a pause: all is there before the driver reads the first of it
        if begun and request.stage == "route":
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        raw = Decision("direct", 1.0, "one fact") if request.stage == "route" else None
        yield Delta("" if raw else text_of(request), usage=told[request.stage], raw=raw)

    async def drive():
        return [event async for event in astream(run, asend)]

    events = list(stream(run, send)) if how == "threads" else asyncio.run(drive())
    assert shown(events) == "Plainly."
    assert run.answer.usage == Usage(16, 7)
    assert run.answer.bill.skeleton.usage == Usage(9, 4)
