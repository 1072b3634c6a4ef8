"""Runs whose router, skeleton and direct answer start together, and second requests for slow points."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skeleton_of_thought import (
    Decision,
    Delta,
    Message,
    Prompts,
    RunSettings,
    SkeletonOfThought,
    Usage,
)
from skeleton_of_thought.drivers import astream, stream
from skeleton_of_thought.errors import DeadlineError
from skeleton_of_thought.events import AnswerText, RouteChosen, SkeletonText

PROMPTS = Prompts(skeleton="List: {request}", point="Write {point}. {point_outline}")
QUESTION = [Message("user", "How do I sleep better?")]
SKELETON = "1. Dark room\n2. No coffee\n3. Same hours"
SOT = Decision("sot", 0.9, "points", seconds=0.5, usage=Usage(40, 1))
DIRECT = Decision("direct", 0.9, "one fact", seconds=0.5, usage=Usage(40, 1))
WHOLE = "1. Dark room: Text 1.\n\n2. No coffee: Text 2.\n\n3. Same hours: Text 3."


def race(**options):
    run = SkeletonOfThought(QUESTION, PROMPTS, RunSettings(**options), decision=None)
    assert ids(run.start()) == ["route", "skeleton", "direct"]
    return run


def begin(**options):
    run = SkeletonOfThought(QUESTION, PROMPTS, RunSettings(**options))
    run.start()
    return run, run.done("skeleton", SKELETON, Usage(10, 5))


def ids(requests):
    return [request.id for request in requests]


def text_of(events):
    return "".join(event.text for event in events if isinstance(event, AnswerText))


def write_points(run, requests):
    for request in requests:
        run.done(request.id, f"Text {request.points[0]}.", Usage(20, 10))


# The race.


def test_nothing_is_shown_before_the_decision():
    run = race()
    run.text("skeleton", "1. Dark")
    run.text("direct", "Sleep")
    assert run.route is None
    assert run.events() == []


def test_a_skeleton_that_wins_goes_on_from_where_it_is():
    run = race()
    run.text("skeleton", "1. Dark room\n")
    run.text("direct", "Sleep")
    assert run.decide(SOT) == ()
    assert [type(event) for event in run.events()] == [RouteChosen, SkeletonText]
    (lost,) = run.abandoned()
    run.cancelled(lost, Usage(8, 1))
    requests = run.done("skeleton", SKELETON, Usage(10, 5))
    write_points(run, requests)
    answer = run.answer
    assert (answer.route, answer.text) == ("sot", WHOLE)
    assert answer.usage == Usage(40 + 8 + 10 + 60, 1 + 1 + 5 + 30)
    bill = answer.to_dict()["bill"]["stages"]
    assert (bill["direct"]["output_tokens"], bill["route"]["input_tokens"]) == (1, 40)


def test_a_skeleton_that_was_complete_before_the_decision_releases_its_points_then():
    run = race()
    assert run.done("skeleton", SKELETON) == ()
    requests = run.decide(SOT)
    assert ids(requests) == ["point:1", "point:2", "point:3"]
    assert ids(run.abandoned()) == ["direct"]
    write_points(run, requests)
    assert run.answer.text == WHOLE


def test_a_direct_answer_that_wins_shows_what_it_has_and_goes_on():
    run = race()
    run.text("direct", "Sleep ")
    run.text("skeleton", "1. Dark room")
    assert run.decide(DIRECT) == ()
    assert text_of(run.events()) == "Sleep "
    assert ids(run.abandoned()) == ["skeleton"]
    run.text("direct", "early.")
    run.done("direct", usage=Usage(8, 3))
    assert (run.answer.route, run.answer.reason, run.answer.text) == ("direct", "one fact", "Sleep early.")


def test_a_direct_answer_that_is_complete_first_is_the_answer():
    run = race()
    run.done("direct", "Early.", Usage(8, 3))
    assert run.finished
    assert ids(run.abandoned()) == ["skeleton", "route"]
    assert (run.answer.route, run.answer.text) == ("direct", "Early.")
    assert "before the router" in run.answer.reason
    assert run.decide(SOT) == ()


@pytest.mark.parametrize("written", ["I cannot do that.", "1. Only one"])
def test_a_skeleton_that_is_none_leaves_the_direct_answer_that_is_on_its_way(written):
    run = race()
    run.text("direct", "Sleep ")
    run.done("skeleton", written)
    assert run.decide(SOT) == ()
    assert run.abandoned() == []
    run.done("direct", "Sleep early.")
    assert (run.answer.route, run.answer.text) == ("direct", "Sleep early.")
    assert run.answer.reason.startswith("the skeleton had")


def test_a_skeleton_that_fails_leaves_the_direct_answer_that_is_on_its_way():
    run = race(retries=0)
    run.failed("skeleton", ValueError("gone"))
    run.decide(SOT)
    run.done("direct", "Sleep early.")
    assert run.answer.text == "Sleep early."
    assert "gone" in run.answer.reason


def test_a_failed_loser_does_no_harm_and_a_failed_winner_raises_its_error():
    run = race(retries=0)
    run.failed("direct", ValueError("gone"))
    run.done("skeleton", SKELETON)
    write_points(run, run.decide(SOT))
    assert run.answer.text == WHOLE
    run = race(retries=0)
    run.failed("direct", ValueError("gone"))
    run.decide(DIRECT)
    with pytest.raises(ValueError, match="gone"):
        _ = run.answer


def test_a_router_that_fails_costs_the_skeleton_and_not_the_answer():
    run = race(retries=0)
    run.failed("route", ValueError("no router"))
    assert ids(run.abandoned()) == ["skeleton"]
    run.done("direct", WHOLE)
    assert run.answer.text == WHOLE
    assert run.answer.reason == "the router failed: ValueError: no router"


def test_a_deadline_during_the_race_returns_what_the_direct_answer_has():
    run = race()
    run.text("direct", "Sleep early.")
    run.expire(DeadlineError("the answer took longer than timeout=1 s"))
    assert run.finished
    assert (run.answer.route, run.answer.text) == ("direct", "Sleep early.")
    assert "the router was too slow" in run.answer.reason


def test_a_conversation_that_cannot_have_a_skeleton_has_no_race():
    run = SkeletonOfThought([Message("assistant", "Well?")], PROMPTS, decision=None)
    assert ids(run.start()) == ["direct"]
    assert run.route == "direct"


@given(st.permutations(["decide", "skeleton", "direct"]), st.sampled_from([SOT, DIRECT]))
def test_every_order_of_a_race_ends_with_one_whole_answer(order, decision):
    run = SkeletonOfThought(QUESTION, PROMPTS, decision=None)
    outstanding = {request.id: request for request in run.start()}
    released = []
    for step in order:
        if step == "decide":
            released += run.decide(decision)
        elif step in outstanding:
            released += run.done(step, SKELETON if step == "skeleton" else "Plain.")
        for lost in run.abandoned():
            outstanding.pop(lost.id)
    write_points(run, released)
    assert run.finished
    assert run.answer.text == (WHOLE if run.answer.route == "sot" else "Plain.")
    assert run.answer.text == text_of(run.events())


# The point that goes first.


def test_one_point_goes_first_and_the_others_when_it_begins():
    run, requests = begin(leads=lambda requests: len(requests) > 2)
    assert ids(requests) == ["point:1"]
    assert run.text("point:1", "") == ()
    assert ids(run.text("point:1", "Te")) == ["point:2", "point:3"]
    run.done("point:1", "Text 1.")
    for index in (2, 3):
        run.done(f"point:{index}", f"Text {index}.")
    assert run.answer.text == WHOLE


@pytest.mark.parametrize("end", ["done", "failed"])
def test_the_others_follow_a_first_point_that_ends_without_a_word(end):
    run, _ = begin(leads=lambda _: True, retries=0)
    released = run.done("point:1", "") if end == "done" else run.failed("point:1", ValueError("gone"))
    assert ids(released) == ["point:2", "point:3"]
    write_points(run, released)
    assert [point.status for point in run.answer.points] == ["failed", "ok", "ok"]


def test_points_that_were_never_sent_have_failed_when_time_is_over():
    run, _ = begin(leads=lambda _: True)
    run.expire(DeadlineError("the answer took longer than timeout=1 s"))
    assert run.finished
    assert [point.status for point in run.answer.points] == ["failed"] * 3


# Hedges.


@pytest.mark.parametrize("first", ["point:2", "point:2:hedge"])
def test_of_a_request_and_its_hedge_the_one_that_begins_first_stays(first):
    run, _ = begin()
    (twin,) = run.hedge("point:2")
    assert (twin.id, twin.points) == ("point:2:hedge", (2,))
    assert run.hedge("point:2") == ()
    run.text(first, "Text")
    (lost,) = run.abandoned()
    assert {first, lost.id} == {"point:2", "point:2:hedge"}
    run.cancelled(lost, Usage(20, 0))
    run.done(first, "Text 2.", Usage(20, 10))
    run.done("point:1", "Text 1.")
    run.done("point:3", "Text 3.")
    assert run.answer.text == WHOLE
    line = run.answer.to_dict()["bill"]["points"][1]
    assert (line["calls"], line["retries"], line["hedges"], line["input_tokens"]) == (2, 0, 1, 40)


def test_a_point_that_has_begun_is_not_hedged():
    run, _ = begin()
    run.text("point:2", "Te")
    assert run.hedge("point:2") == ()
    assert run.hedge("point:9") == ()


def test_when_one_of_two_fails_the_other_decides():
    run, _ = begin(retries=0)
    run.hedge("point:2")
    assert run.failed("point:2", ValueError("gone")) == ()
    run.done("point:2:hedge", "Text 2.")
    run.done("point:1", "Text 1.")
    run.done("point:3", "Text 3.")
    assert run.answer.text == WHOLE


def test_a_late_point_takes_its_hedge_with_it():
    run, _ = begin(retries=0)
    run.hedge("point:2")
    run.failed("point:2", DeadlineError("it took longer than point_timeout=1 s"))
    assert ids(run.abandoned()) == ["point:2:hedge"]
    run.done("point:1", "Text 1.")
    run.done("point:3", "Text 3.")
    assert [point.status for point in run.answer.points] == ["ok", "failed", "ok"]


@pytest.mark.slow
@pytest.mark.parametrize("how", ["threads", "asyncio"])
async def test_a_hedge_that_falls_silent_is_late_like_any_point(how):
    model = Model(point_2=30.0, point_2_hedge=0.01)
    model.silent = "point:2:hedge"
    run = SkeletonOfThought(QUESTION, PROMPTS, RunSettings(hedge_after=0.1, point_timeout=0.6, retries=0))
    await drive(how, run, model)
    assert [point.status for point in run.answer.points] == ["ok", "failed", "ok"]
    assert "point_timeout=0.6" in (run.answer.points[1].error or "")


def test_a_direct_answer_that_breaks_off_before_the_decision_is_asked_for_again():
    run = race()
    run.text("direct", "Half")
    (again,) = run.failed("direct", ConnectionError("reset"))
    assert again.attempt == 2
    run.decide(DIRECT)
    run.done("direct", "Sleep enough.")
    assert run.answer.text == "Sleep enough."


# With drivers.


class Model:
    """Streams every answer in two pieces; `slow` says how long a request takes to begin."""

    def __init__(self, decision=None, **slow):
        self.decision, self.slow = decision, {key.replace("_", ":"): value for key, value in slow.items()}
        self.opened, self.ended = [], []
        self.silent = None  # the request that stops after its first piece
        self._lock = threading.Lock()

    def pieces(self, request):
        with self._lock:
            self.opened.append(request.id)
        if request.stage == "route":
            return [Delta(raw=self.decision)]
        whole = {"skeleton": SKELETON, "direct": "Plainly said."}.get(request.stage)
        whole = whole or f"Text {request.points[0]}."
        return [Delta(whole[:6]), Delta(whole[6:], usage=Usage(5, 2))]

    def pause(self, request, place):
        if place and request.id == self.silent:
            return 30.0
        return 0.01 if place else self.slow.get(request.id, 0.01)

    def stream(self, request):
        for place, delta in enumerate(self.pieces(request)):
            time.sleep(self.pause(request, place))
            yield delta
        self.ended.append(request.id)

    async def astream(self, request):
        for place, delta in enumerate(self.pieces(request)):
            await asyncio.sleep(self.pause(request, place))
            yield delta
        self.ended.append(request.id)


async def drive(how, run, model):
    if how == "threads":
        return await asyncio.to_thread(lambda: list(stream(run, model.stream)))
    return [event async for event in astream(run, model.astream)]


@pytest.mark.parametrize("how", ["threads", "asyncio"])
@pytest.mark.parametrize("decision", [SOT, DIRECT])
async def test_a_race_driven_to_its_end(how, decision):
    model = Model(decision, route=0.05, direct=0.03, skeleton=0.03)
    run = SkeletonOfThought(QUESTION, PROMPTS, decision=None)
    model.slow["direct"] = 0.5 if decision is SOT else 0.03
    events = await drive(how, run, model)
    assert run.answer.route == decision.route
    assert run.answer.text == text_of(events) == (WHOLE if decision is SOT else "Plainly said.")
    assert "direct" not in model.ended if decision is SOT else "skeleton" in model.opened
    shown = [event for event in events if isinstance(event, tuple)]
    assert "".join(delta.text for _, delta in shown) == ("" if decision is SOT else "Plainly said.")


@pytest.mark.parametrize("how", ["threads", "asyncio"])
async def test_a_slow_point_is_hedged_and_the_answer_does_not_wait_for_it(how):
    model = Model(point_2=30.0)
    run = SkeletonOfThought(QUESTION, PROMPTS, RunSettings(hedge_after=0.2))
    await drive(how, run, model)
    assert run.answer.text == WHOLE
    assert model.opened.count("point:2:hedge") == 1
    assert "point:2" not in model.ended
    assert run.answer.to_dict()["bill"]["hedges"] == 1


def test_what_a_failed_direct_answer_had_shown_is_not_shown_after_all():
    async def send(request):
        if request.stage == "route":
            await asyncio.sleep(0.05)
            yield Delta(raw=SOT)
        elif request.stage == "direct":
            yield Delta("Half of an answ")
            raise ConnectionError
        elif request.stage == "skeleton":
            yield Delta("1. Dark room\n2. No coffee")
        else:
            yield Delta("It helps.")

    async def run_all():
        run = SkeletonOfThought(QUESTION, PROMPTS, decision=None)
        events = [event async for event in astream(run, send)]
        return run.answer, [event for event in events if isinstance(event, tuple)]

    answer, direct = asyncio.run(run_all())
    assert answer.route == "sot"
    assert direct == []
