from __future__ import annotations

import random
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skeleton_of_thought import (
    ConfigurationError,
    Decision,
    Message,
    PointError,
    Prompts,
    RunSettings,
    SkeletonOfThought,
    Usage,
)
from skeleton_of_thought.events import (
    AnswerText,
    PointEnded,
    PointStarted,
    PointText,
    RouteChosen,
    SkeletonReady,
    SkeletonText,
)
from skeleton_of_thought.prompts import PROMPTS as FAMILIES
from skeleton_of_thought.provider_errors import Quirks
from skeleton_of_thought.request import Steering

PROMPTS = Prompts(skeleton="List: {request}", point="Write {point}. {point_outline}")
QUESTION = [Message("user", "How do I sleep better?")]
SKELETON = "1. Dark room\n2. No coffee\n3. Same hours"


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def begin(skeleton=SKELETON, *, clock=None, messages=QUESTION, **options):
    """A run whose points are out, or whose direct request is."""
    run = SkeletonOfThought(messages, PROMPTS, RunSettings(**options), clock=clock or Clock())
    run.start()
    run.done("skeleton", skeleton, Usage(10, 5))
    return run


def ids(requests):
    return [request.id for request in requests]


class FakeRetryableError(Exception):
    is_retryable = True


class FakeStatusError(Exception):
    status_code = 0


class FakeFinalError(Exception):
    is_retryable = False


def test_a_whole_run():
    clock = Clock()
    run = SkeletonOfThought(QUESTION, PROMPTS, clock=clock)
    (skeleton,) = run.start()
    assert (skeleton.id, skeleton.stage, skeleton.attempt) == ("skeleton", "skeleton", 1)
    assert skeleton.messages[-1].text == "List: How do I sleep better?"
    assert not run.finished
    clock.now += 2
    points = run.done("skeleton", SKELETON, Usage(10, 5))
    assert ids(points) == ["point:1", "point:2", "point:3"]
    assert [request.points for request in points] == [(1,), (2,), (3,)]
    assert points[1].messages[-1].text == "Write 2. No coffee"
    clock.now += 1
    assert run.done("point:3", "Every day.", Usage(20, 7)) == ()
    clock.now += 2
    assert run.done("point:1", "Curtains.", Usage(21, 8)) == ()
    clock.now += 3
    assert run.done("point:2", "Tea.", Usage(22, 9)) == ()
    assert run.finished
    answer = run.answer
    assert answer.text == "1. Dark room: Curtains.\n\n2. No coffee: Tea.\n\n3. Same hours: Every day."
    assert (answer.route, answer.skeleton) == ("sot", SKELETON)
    assert answer.usage == Usage(73, 29)
    assert answer.seconds.skeleton == 2
    assert answer.seconds.points == 6
    assert answer.seconds.total == 8
    assert answer.seconds.first_token == 2, "the first title is shown as soon as there is a skeleton"
    assert [(point.start, point.seconds) for point in answer.points] == [(2, 3), (2, 6), (2, 1)]
    assert [point.usage for point in answer.points] == [Usage(21, 8), Usage(22, 9), Usage(20, 7)]


def test_a_point_that_waited_for_its_turn_starts_when_it_got_it():
    clock = Clock()
    run = SkeletonOfThought(QUESTION, PROMPTS, decision=Decision("sot", 1.0, "yes", seconds=0.5), clock=clock)
    run.start()
    clock.now += 2
    run.begun("skeleton")
    run.done("skeleton", "1. A\n2. B")
    clock.now += 1
    run.begun("point:1")
    clock.now += 3
    (again,) = run.failed("point:1", FakeRetryableError())
    run.begun(again.id)
    run.begun("point:2")
    clock.now += 4
    run.done("point:1", "one")
    run.done("point:2", "two")
    assert [(point.start, point.seconds) for point in run.answer.points] == [(3.5, 7), (6.5, 4)]


def test_the_contract_has_plain_types_and_all_fields():
    run = begin()
    run.done("point:1", "Curtains.", Usage(1, 2, cache_read_tokens=1))
    run.failed("point:2", FakeFinalError("gone"))
    run.done("point:3", "Every day.", Usage(1, 2))
    told = run.answer.to_dict()
    assert list(told) == [
        "route",
        "reason",
        "opening",
        "skeleton",
        "plan_notes",
        "finish_reason",
        "points",
        "seconds",
        "usage",
        "bill",
    ]
    assert told["points"][0] == {
        "index": 1,
        "title": "Dark room",
        "text": "Curtains.",
        "status": "ok",
        "error": None,
        "start": 0.0,
        "seconds": 0.0,
        "usage": {"input_tokens": 1, "output_tokens": 2},
        "form": "",
        "after": [],
        "finish_reason": None,
    }
    assert told["points"][1]["status"] == "failed"
    assert told["points"][1]["error"] == "FakeFinalError: gone"
    assert set(told["seconds"]) == {"route", "skeleton", "points", "total", "first_token"}
    assert told["usage"] == {"input_tokens": 12, "output_tokens": 9, "total_tokens": 21}


def test_the_events_tell_what_happened_in_order():
    run = SkeletonOfThought(QUESTION, PROMPTS)
    run.start()
    assert run.events() == [RouteChosen("sot", "no router")]
    run.text("skeleton", "1. A\n")
    run.text("skeleton", "2. B")
    run.done("skeleton")
    told = run.events()
    assert told[:2] == [SkeletonText("1. A\n"), SkeletonText("2. B")]
    assert isinstance(told[2], SkeletonReady)
    assert told[3:] == [AnswerText("1. A: "), PointStarted(1, "A", 1), PointStarted(2, "B", 1)]
    run.text("point:2", "later words ")
    assert run.events() == [PointText(2, "later words")], "shown to who watches, not yet in the answer"
    run.text("point:1", "first words ")
    assert run.events() == [PointText(1, "first words"), AnswerText("first words")]
    run.done("point:1")
    kinds = [type(event) for event in run.events()]
    assert kinds == [PointEnded, AnswerText], "point 2 is released as soon as point 1 ends"
    run.done("point:2")
    assert [type(event) for event in run.events()] == [PointEnded]
    assert run.events() == []


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 8)), max_size=40))
def test_the_answer_text_is_the_same_however_the_pieces_arrive(pieces):
    texts = {1: "Alpha beta gamma.", 2: "Delta.\n\nEpsilon zeta.", 3: "Eta theta iota kappa."}
    run = begin()
    rest = dict(texts)
    for index, length in [*pieces, (2, 99), (3, 99), (1, 99)]:
        if index in rest:
            run.text(f"point:{index}", rest[index][:length])
            rest[index] = rest[index][length:]
            if not rest[index]:
                run.done(f"point:{index}")
                del rest[index]
    shown = "".join(event.text for event in run.events() if isinstance(event, AnswerText))
    assert shown == run.answer.text
    assert {point.index: point.text for point in run.answer.points} == texts


def test_text_arrives_with_done_in_part_or_whole():
    run = begin("1. A\n2. B")
    run.text("point:1", "One ")
    run.done("point:1", "One two.")
    run.text("point:2", "Three.")
    run.done("point:2", "Three.")
    assert run.answer.text == "1. A: One two.\n\n2. B: Three."


# The skeleton decides.


@pytest.mark.parametrize(
    ("skeleton", "reason"),
    [
        ("I'm sorry, but I can't help with that.", "the skeleton had no list"),
        ("", "the skeleton had no list"),
        ("1. Everything at once", "the skeleton had only one point"),
        ("1. Same\n2. same\n3. SAME", "the skeleton had only one point"),
    ],
)
def test_a_skeleton_without_points_gives_one_direct_answer(skeleton, reason):
    run = SkeletonOfThought(QUESTION, PROMPTS)
    run.start()
    (request,) = run.done("skeleton", skeleton, Usage(10, 5))
    assert (request.id, request.stage) == ("direct", "direct")
    assert request.messages == tuple(QUESTION), "the user's own words, no template"
    assert request.stop == ()
    run.done("direct", "Go to bed early.", Usage(3, 4))
    answer = run.answer
    assert (answer.route, answer.reason, answer.text) == ("direct", reason, "Go to bed early.")
    assert answer.points == ()
    assert answer.skeleton == ""
    assert answer.usage == Usage(13, 9), "the skeleton was paid for all the same"


def test_points_beyond_the_cap_are_dropped():
    run = begin("\n".join(f"{n}. Point {n} title" for n in range(1, 15)), max_points=4)
    assert [event.index for event in run.events() if isinstance(event, PointStarted)] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("title", "follows"),
    [
        ("Costs (after 1)", (1,)),
        ("Costs (after 1, 2 and 3)", (1, 2, 3)),
        ("Costs after 1 & 2", (1, 2)),
        ("Heat death after 1" + "0" * 40 + " years", ()),
        ("Costs after " + "1" * 5000, ()),
        ("Costs " + "(" * 100_000 + "b", ()),
        ("Costs" + " after 1" * 20_000 + " x", ()),
    ],
)
def test_what_a_point_follows_is_read_from_any_title_at_once(title, follows):
    run = begin(f"1. A\n2. B\n3. C\n4. {title}")
    assert run.skeleton.points[3].after == follows


def test_repeated_titles_are_written_once_and_the_rest_renumbered():
    run = begin("1. Sleep\n2. sleep\n3. Food")
    (ready,) = (event for event in run.events() if isinstance(event, SkeletonReady))
    assert ready.skeleton.as_text() == "1. Sleep\n2. Food"


def test_the_last_title_of_a_truncated_skeleton_is_dropped():
    run = SkeletonOfThought(QUESTION, PROMPTS)
    run.start()
    assert len(run.done("skeleton", "1. Dark room\n2. No coffee\n3. Same ho", truncated=True)) == 2
    run = SkeletonOfThought(QUESTION, PROMPTS)
    run.start()
    assert len(run.done("skeleton", "1. Dark room\n2. No cof", truncated=True)) == 2, "two are the least"


@pytest.mark.parametrize(
    "received", ["Dark room\n2. No coffee", " Dark room\n2. No coffee", "1. Dark room\n2. No coffee"]
)
def test_a_partial_answer_is_part_of_the_skeleton(received):
    prompts = Prompts(skeleton="List: {request}", point="Write {point}", skeleton_start="1.")
    run = SkeletonOfThought(QUESTION, prompts)
    run.start()
    assert len(run.done("skeleton", received)) == 2
    (ready,) = (event for event in run.events() if isinstance(event, SkeletonReady))
    assert ready.skeleton.as_text() == "1. Dark room\n2. No coffee"


def test_stop_sequences_are_the_other_numbers_and_no_more_than_the_model_takes():
    run = SkeletonOfThought(QUESTION, PROMPTS, RunSettings(max_stops=2))
    run.start()
    assert {request.stop for request in run.done("skeleton", SKELETON)} == {
        ("\n2. No coffee", "\n3. Same hours"),
        ("\n3. Same hours",),
        ("\n2. No coffee",),
    }
    run = SkeletonOfThought(QUESTION, PROMPTS, RunSettings(max_stops=None))
    run.start()
    assert {request.stop for request in run.done("skeleton", SKELETON)} == {
        ("\n2. No coffee", "\n3. Same hours"),
        ("\n3. Same hours",),
        ("\n2. No coffee",),
    }


def test_the_skeleton_stops_where_a_point_too_many_would_begin():
    run = SkeletonOfThought(QUESTION, PROMPTS)
    assert [request.stop for request in run.start()] == [("\n11.",)]
    run = SkeletonOfThought(QUESTION, replace(PROMPTS, max_points=6))
    assert [request.stop for request in run.start()] == [("\n7.",)]
    assert len(run.done("skeleton", "\n".join(f"{n}. Point {n} title" for n in range(1, 9)))) == 6
    run = SkeletonOfThought(QUESTION, replace(PROMPTS, max_points=6), RunSettings(max_points=4))
    assert [request.stop for request in run.start()] == [("\n5.",)]
    run = SkeletonOfThought(QUESTION, PROMPTS, RunSettings(max_stops=0))
    assert [request.stop for request in run.start()] == [()]


def test_steering_comes_from_the_prompts_unless_the_length_is_the_users():
    short, plain = Steering(soft_max_tokens=30), Steering(suppress=(":",))
    prompts = replace(PROMPTS, skeleton_steering=plain, point_steering=short)
    run = SkeletonOfThought(QUESTION, prompts)
    assert [request.steering for request in run.start()] == [plain]
    assert {request.steering for request in run.done("skeleton", SKELETON)} == {short}
    run = SkeletonOfThought(QUESTION, prompts, RunSettings(point_max_tokens=200))
    run.start()
    assert {request.steering for request in run.done("skeleton", SKELETON)} == {Steering()}
    assert (short.to_dict(), plain.to_dict()) == ({"soft_max_tokens": 30}, {"suppress": (":",)})


def test_lengths_come_from_the_options_then_the_prompts():
    prompts = Prompts(skeleton="{request}", point="{point}", skeleton_max_tokens=50, point_max_tokens=60)
    run = SkeletonOfThought(QUESTION, prompts)
    assert [request.max_tokens for request in run.start()] == [50]
    assert {request.max_tokens for request in run.done("skeleton", SKELETON)} == {60}
    run = SkeletonOfThought(QUESTION, prompts, RunSettings(point_max_tokens=70))
    run.start()
    assert {request.max_tokens for request in run.done("skeleton", SKELETON)} == {70}


# The route.


def test_a_router_can_send_the_question_straight_to_the_model():
    decision = Decision("direct", 0.9, "arithmetic", seconds=0.5, usage=Usage(2, 1))
    clock = Clock()
    run = SkeletonOfThought(QUESTION, PROMPTS, decision=decision, clock=clock)
    assert ids(run.start()) == ["direct"]
    clock.now += 1
    run.text("direct", "It ")
    clock.now += 1
    run.done("direct", "It depends.", Usage(5, 5))
    answer = run.answer
    assert (answer.route, answer.reason, answer.text) == ("direct", "arithmetic", "It depends.")
    assert answer.usage == Usage(7, 6)
    assert answer.seconds.route == 0.5
    assert answer.seconds.first_token == 1.5
    assert answer.seconds.total == 2.5


@pytest.mark.parametrize("role", ["assistant", "other", "system"])
def test_a_conversation_that_ends_without_a_question_is_answered_directly(role):
    messages = [*QUESTION, Message(role, "42")]
    run = SkeletonOfThought(messages, PROMPTS)
    (request,) = run.start()
    assert (request.stage, request.messages) == ("direct", tuple(messages))
    run.done("direct", "Fine.")
    assert "does not end with a user's question" in run.answer.reason


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [Message("user", "")],
        [Message("user", " \n\t")],
        [Message("user", [])],
        [Message("user", [{"type": "text", "text": " "}])],
    ],
)
def test_an_empty_question_is_refused_before_anything_is_sent(messages):
    with pytest.raises(ConfigurationError, match=r"no message|empty"):
        SkeletonOfThought(messages, PROMPTS)


def test_a_question_that_is_only_an_image_is_a_question():
    content = [{"type": "image_url", "image_url": {"url": "data:,"}}]
    (request,) = SkeletonOfThought([Message("user", content)], PROMPTS).start()
    assert request.messages[-1].content[0] == content[0]


# Failures.


def test_a_failed_request_is_sent_again_with_the_same_id():
    run = SkeletonOfThought(QUESTION, PROMPTS, RunSettings(retries=2))
    run.start()
    for attempt in (2, 3):
        (again,) = run.failed("skeleton", FakeRetryableError("busy"), Usage(1, 0))
        assert (again.id, again.attempt) == ("skeleton", attempt)
    (direct,) = run.failed("skeleton", FakeRetryableError("busy"), Usage(1, 0))
    assert direct.stage == "direct"
    run.done("direct", "Plainly.", Usage(5, 5))
    assert run.answer.reason == "the skeleton request failed: FakeRetryableError: busy"
    assert run.answer.usage == Usage(8, 5)


def test_an_error_that_cannot_be_retried_is_not():
    run = SkeletonOfThought(QUESTION, PROMPTS, RunSettings(retries=5))
    run.start()
    assert ids(run.failed("skeleton", FakeFinalError("no"))) == ["direct"]


@pytest.mark.parametrize(
    ("status", "again"), [(400, False), (401, False), (404, False), (408, True), (429, True), (503, True)]
)
def test_a_status_says_whether_a_request_may_work_the_next_time(status, again):
    error = FakeStatusError()
    error.status_code = status
    run = SkeletonOfThought(QUESTION, PROMPTS)
    run.start()
    assert ids(run.failed("skeleton", error)) == (["skeleton"] if again else ["direct"])


def test_a_failed_direct_answer_raises_the_models_own_error():
    run = begin("no list", retries=1)
    assert ids(run.failed("direct", FakeRetryableError("a"))) == ["direct"]
    error = FakeRetryableError("b")
    assert run.failed("direct", error) == ()
    assert run.finished
    with pytest.raises(FakeRetryableError) as caught:
        _ = run.answer
    assert caught.value is error


def test_a_direct_answer_that_breaks_off_while_it_is_read_is_gone_on_with():
    run = SkeletonOfThought(QUESTION, decision=Decision("direct", 1.0, "a test"))
    (request,) = run.start()
    assert request.relayed
    run.text("direct", "One. Tw")
    (rest,) = run.failed("direct", FakeRetryableError("reset"), Usage(3, 4))
    assert (rest.id, rest.attempt, rest.relayed) == ("direct", 2, False)
    assert [message.text for message in rest.messages[:-1]] == [QUESTION[0].text, "One. Tw"]
    run.text("direct", "Two.")
    run.done("direct", usage=Usage(5, 6))
    assert run.answer.text == "One. Tw […]\n\nTwo."
    assert run.answer.reason == "a test; the reply broke off, and was gone on with"
    assert run.answer.usage == Usage(8, 10)


@pytest.mark.parametrize(
    ("text", "other_content", "settings", "last"),
    [
        ("I look it up.", True, {}, "user"),
        ('{"answer": "ye', False, {}, "user"),
        ("```\nx =", False, {}, "user"),
        ("Half an ans", False, {"resumed": ("opening",)}, "user"),
        ("Half an ans", False, {"retries": 0}, "user"),
        ("Half an ans", False, {}, "assistant"),
    ],
)
def test_what_cannot_be_gone_on_with_raises(text, other_content, settings, last):
    messages = [*QUESTION, Message("assistant", "Well,")] if last == "assistant" else QUESTION
    run = SkeletonOfThought(
        messages, settings=RunSettings(**settings), decision=Decision("direct", 1.0, "a test")
    )
    run.start()
    run.text("direct", text)
    assert run.failed("direct", FakeRetryableError("reset"), other_content=other_content) == ()
    with pytest.raises(FakeRetryableError):
        _ = run.answer


def fail_point_2(policy, *, retries=0):
    run = begin(on_point_error=policy, retries=retries)
    run.done("point:1", "Curtains.")
    run.failed("point:2", FakeRetryableError("busy"), Usage(2, 0))
    run.done("point:3", "Every day.")
    return run


def test_mark_leaves_a_note():
    answer = fail_point_2("mark").answer
    assert answer.text == (
        "1. Dark room: Curtains.\n\n2. No coffee: [This point could not be written.]\n\n3. Same hours: Every day."
    )
    assert [point.status for point in answer.points] == ["ok", "failed", "ok"]
    assert answer.points[1].error == "FakeRetryableError: busy"
    assert answer.points[1].usage == Usage(2, 0)


def test_skip_leaves_it_out():
    answer = fail_point_2("skip").answer
    assert answer.text == "1. Dark room: Curtains.\n\n3. Same hours: Every day."
    assert [point.status for point in answer.points] == ["ok", "skipped", "ok"]


def test_raise_raises_once_all_others_are_complete_and_carries_them():
    run = fail_point_2("raise")
    with pytest.raises(PointError, match=r"Point 2 .*'No coffee'.* failed after 1 attempt.*busy") as caught:
        _ = run.answer
    assert isinstance(caught.value.__cause__, FakeRetryableError)
    assert [point.text for point in caught.value.answer.points] == ["Curtains.", "", "Every day."]


@pytest.mark.parametrize("policy", ["mark", "skip", "raise"])
def test_a_retry_that_works_leaves_no_trace_but_the_bill(policy):
    run = begin(on_point_error=policy, retries=1)
    run.done("point:1", "Curtains.")
    run.done("point:3", "Every day.")
    run.text("point:2", "half of a")
    run.events()
    # Its text was already shown: point 2 is the one being read, so it cannot be begun again.
    assert run.failed("point:2", FakeRetryableError("reset")) == ()
    run = begin(on_point_error=policy, retries=1)
    run.text("point:2", "half of a sentence")
    assert ids(run.failed("point:2", FakeRetryableError("reset"), Usage(1, 1))) == ["point:2"]
    run.done("point:2", "Tea.", Usage(1, 1))
    run.done("point:1", "Curtains.")
    run.done("point:3", "Every day.")
    assert run.answer.text == "1. Dark room: Curtains.\n\n2. No coffee: Tea.\n\n3. Same hours: Every day."
    assert run.answer.points[1].usage == Usage(2, 2)


def test_a_point_that_breaks_off_while_it_is_read_keeps_what_was_shown():
    for policy in ("mark", "skip"):
        run = begin("1. A\n2. B", on_point_error=policy, retries=3)
        run.text("point:1", "Half a sentence ")
        run.failed("point:1", FakeRetryableError("reset"))
        run.done("point:2", "Whole.")
        assert run.answer.text == "1. A: Half a sentence [This point could not be written.]\n\n2. B: Whole."
        assert run.answer.points[0].status == "failed"
        shown = "".join(event.text for event in run.events() if isinstance(event, AnswerText))
        assert shown == run.answer.text


@pytest.mark.parametrize("blank", ["", " \n", "\t"])
@pytest.mark.parametrize("last", ["point:1", "point:2"])
def test_an_answer_rendered_away_altogether_is_shown_plain(blank, last, caplog):
    run = begin("1. A\n2. B", answer_format=lambda _: blank)
    for request_id in sorted(["point:1", "point:2"], key=lambda each: each == last):
        run.done(request_id, f"Text of {request_id}.")
    assert run.answer.text == "1. A: Text of point:1.\n\n2. B: Text of point:2."
    assert "".join(event.text for event in run.events() if isinstance(event, AnswerText)) == run.answer.text
    assert "answer_format returned no text for any of the 2 points" in caplog.text


def test_points_that_a_function_leaves_out_stay_out_while_one_is_shown(caplog):
    run = begin("1. A\n2. B\n3. C", answer_format=lambda point: point.text if point.index == 2 else " ")
    for number in (1, 2, 3):
        run.done(f"point:{number}", f"Text {number}.")
    assert run.answer.text == "Text 2."
    assert not caplog.records


def test_a_function_may_leave_out_what_failed_but_not_the_word_of_it():
    run = begin("1. A\n2. B", answer_format=lambda point: point.text if point.status == "ok" else "")
    run.failed("point:1", FakeFinalError("gone"))
    run.failed("point:2", FakeFinalError("gone"))
    assert run.answer.text.count("[This point could not be written.]") == 2


def test_a_point_rendered_by_a_function_can_be_begun_again_at_any_time():
    run = begin("1. A\n2. B", answer_format=lambda point: f"<{point.title}|{point.text}>", retries=1)
    run.text("point:1", "Half a sentence ")
    assert ids(run.failed("point:1", FakeRetryableError("reset"))) == ["point:1"]
    run.done("point:1", "Whole.")
    run.done("point:2", "Other.")
    assert run.answer.text == "<A|Whole.>\n\n<B|Other.>"


def test_a_point_of_nothing_counts_as_failed():
    run = begin("1. A\n2. B", retries=1)
    run.done("point:1", "Text.", Usage(1, 1))
    assert ids(run.done("point:2", "  \n", Usage(1, 1))) == ["point:2"]
    assert run.done("point:2", "2. B:", Usage(1, 1)) == ()
    assert run.answer.points[1].status == "failed"
    assert "EmptyAnswerError" in run.answer.points[1].error
    assert run.answer.points[1].usage == Usage(2, 2)
    assert run.answer.usage == Usage(13, 8)


def test_a_point_of_nothing_is_asked_for_again_without_stop_sequences():
    """A model that begins with an empty line and its own number, "\\n2. No coffee: ...", is stopped at once."""
    run = begin(retries=1)
    (again,) = run.done("point:2", "")
    assert again.stop == ()
    run.done("point:2", "\n\n2. No coffee: Tea.\n\n3. Same hours: No.")
    run.done("point:1", "Curtains.")
    run.done("point:3", "Every day.")
    assert run.answer.points[1].text == "Tea."


def test_if_every_point_is_skipped_the_answer_is_direct():
    run = begin("1. A\n2. B", on_point_error="skip", retries=0)
    assert run.failed("point:1", FakeRetryableError("x")) == ()
    (direct,) = run.failed("point:2", FakeRetryableError("x"))
    assert direct.stage == "direct"
    run.done("direct", "Plainly.")
    assert (run.answer.text, run.answer.route, run.answer.reason) == (
        "Plainly.",
        "direct",
        "every point failed",
    )


def test_every_order_of_ends_and_failures_keeps_every_text_in_its_place():
    draw = random.Random(1)
    for _ in range(200):
        run = begin("\n".join(f"{n}. Title {n} here" for n in range(1, 7)), retries=1)
        waiting = {f"point:{n}": 1 for n in range(1, 7)}
        while waiting:
            request = draw.choice(sorted(waiting))
            if draw.random() < 0.4:
                again = run.failed(request, FakeRetryableError("x"))
                assert bool(again) == (waiting[request] == 1)
                waiting.pop(request)
                waiting.update({retry.id: retry.attempt for retry in again})
            else:
                run.done(request, f"Text of {request}.")
                waiting.pop(request)
        assert run.finished
        for point in run.answer.points:
            assert point.text == ("" if point.status == "failed" else f"Text of point:{point.index}.")


# The format.


def broken(_point):
    raise LookupError("no template")


@pytest.mark.parametrize("render", [lambda _point: None, lambda _point: 7, broken])
def test_a_format_that_fails_costs_no_text(render, caplog):
    run = begin("1. A\n2. B", answer_format=render)
    for index in (1, 2):
        run.done(f"point:{index}", "Some text.")
    shown = "".join(event.text for event in run.events() if isinstance(event, AnswerText))
    assert shown == run.answer.text == "1. A: Some text.\n\n2. B: Some text."
    assert "answer_format failed for point 1" in caplog.text


@pytest.mark.parametrize(
    ("answer_format", "expected"),
    [
        ("numbered", "1. Why? Because.\n\n2. How: By bus."),
        ("headings", "## Why?\n\nBecause.\n\n## How\n\nBy bus."),
        ("prose", "Because.\n\nBy bus."),
        (lambda point: f"{point.index}|{point.text}", "1|Because.\n\n2|By bus."),
        (lambda point: "" if point.index == 1 else point.text, "By bus."),
    ],
)
def test_formats(answer_format, expected):
    run = begin("1. Why?\n2. How", answer_format=answer_format)
    run.done("point:2", "By bus.")
    run.done("point:1", "Because.")
    assert run.answer.text == expected
    assert "".join(event.text for event in run.events() if isinstance(event, AnswerText)) == expected


@pytest.mark.parametrize(
    "options",
    [
        {"max_points": 1},
        {"max_points": 2.5},
        {"retries": -1},
        {"retries": True},
        {"on_point_error": "ignore"},
        {"answer_format": "html"},
        {"point_max_tokens": 0},
        {"max_stops": -1},
    ],
)
def test_options_name_the_value_and_what_is_allowed(options):
    with pytest.raises(ConfigurationError) as caught:
        RunSettings(**options)
    ((name, value),) = options.items()
    assert name in str(caught.value)
    assert repr(value) in str(caught.value)


class Ended:
    """A streamed point whose stream says why it ended, or does not."""

    def __init__(self, **options):
        self.run = SkeletonOfThought(QUESTION, PROMPTS, RunSettings(**options), quirks={"point": Quirks()})
        self.run.start()
        self.run.done("skeleton", SKELETON)

    def point(self, index, text, reason, **said):
        half = len(text) // 2
        self.run.text(f"point:{index}", text[:half])
        self.run.text(f"point:{index}", text[half:])
        return self.run.done(f"point:{index}", finish_reason=reason, **said)


def test_a_stream_that_ends_without_a_reason_is_half_an_answer_if_others_gave_one():
    ended = Ended()
    ended.point(3, "Every day, also on Sunday.", "stop")
    (again,) = ended.point(2, "Tea is", None)
    assert (again.id, again.attempt) == ("point:2", 2)
    ended.run.done("point:2", "Tea is fine.", finish_reason="stop")
    assert ended.point(1, "Curtains and", None) == (), "it was read already"
    assert [(point.status, point.finish_reason) for point in ended.run.answer.points] == [
        ("failed", None),
        ("ok", "stop"),
        ("ok", "stop"),
    ]
    assert "Curtains and [This point could not be written.]" in ended.run.answer.text


@pytest.mark.parametrize("stage", ["direct", "opening"])
def test_a_plain_answer_that_ends_without_a_reason_is_gone_on_with_if_others_gave_one(stage):
    quirks = Quirks()
    quirks.breaks_off("stop")
    prompts = FAMILIES["opening"] if stage == "opening" else PROMPTS
    decision = Decision("sot" if stage == "opening" else "direct", 1.0, "a test")
    run = SkeletonOfThought(QUESTION, prompts, decision=decision, quirks={stage: quirks})
    run.start()
    run.text(stage, "One. ")
    run.text(stage, "Tw")
    (rest,) = run.done(stage, usage=Usage(3, 2))
    assert rest.resumes
    run.text(stage, "Two.")
    run.done(stage, usage=Usage(4, 1), finish_reason="stop")
    assert run.answer.text == "One. Tw […]\n\nTwo."
    assert run.answer.usage == Usage(7, 3)


def test_models_that_never_give_reasons_are_believed():
    ended = Ended()
    for index in (1, 2, 3):
        ended.point(index, "A sentence that ends.", None)
    assert {point.status for point in ended.run.answer.points} == {"ok"}


def test_a_point_cut_off_by_its_length_limit_is_marked():
    ended = Ended()
    ended.point(1, "Curtains keep the light", "length", truncated=True)
    ended.point(2, "Tea is fine.", "length", truncated=True)
    ended.point(3, "Every day.", "stop")
    assert [point.finish_reason for point in ended.run.answer.points] == ["length", "length", "stop"]
    assert "Curtains keep the light […]\n" in ended.run.answer.text
    assert "Tea is fine.\n" in ended.run.answer.text


@pytest.mark.parametrize(
    "thoughts",
    [
        "<think>The first.\n3. is not mine</think>\n\n",
        "<thinking>Hm.</thinking>",
        "[THINK]Hm.[/THINK]",
        "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>",
        "The user wants the first.</think>",
    ],
)
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_thoughts_are_no_part_of_a_point(thoughts, size):
    run = begin()
    text = f"{thoughts}Curtains keep the light out."
    for index in (3, 2, 1):
        for place in range(0, len(text), size):
            run.text(f"point:{index}", text[place : place + size])
        run.done(f"point:{index}")
    assert [point.text for point in run.answer.points] == ["Curtains keep the light out."] * 3
    assert "Hm" not in run.answer.text


def test_an_answer_tag_is_taken_off():
    run = begin()
    for index in (1, 2, 3):
        run.done(f"point:{index}", "<answer>Curtains.</answer>")
    assert [point.text for point in run.answer.points] == ["Curtains."] * 3


def test_a_question_that_brings_its_outline_needs_no_skeleton():
    question = [Message("user", "Compare trains and planes by price, comfort and noise.")]
    run = SkeletonOfThought(question, PROMPTS)
    requests = run.start()
    assert ids(requests) == ["point:1", "point:2", "point:3"]
    for request in requests:
        run.done(request.id, f"Words about {request.id}.")
    assert [point.title for point in run.answer.points] == ["Price", "Comfort", "Noise"]
    assert run.answer.reason == "the question brings its own outline"
    assert run.answer.bill.skeleton.calls == 0


def test_no_item_of_an_outline_is_lost_to_the_largest_number_of_points():
    asked = "About bees:\n" + "\n".join(f"{n}. What do bees of kind {n} do?" for n in range(1, 6))
    run = SkeletonOfThought([Message("user", asked)], PROMPTS, RunSettings(max_points=5))
    assert len(run.start()) == 5
    run = SkeletonOfThought([Message("user", asked)], PROMPTS, RunSettings(max_points=4))
    assert ids(run.start()) == ["skeleton"]


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("first", ["Set up the equation", "Known facts"])
def test_an_outline_of_steps_is_answered_plainly(streamed, first):
    run = SkeletonOfThought([Message("user", "How old is Ann?")], PROMPTS)
    run.start()
    outline = f"1. {first}\n2. Substitute\n3. Solve for x"
    if streamed:
        for delta in re.split(r"(?<=\n)", outline):
            assert run.text("skeleton", delta) == ()
        assert not [event for event in run.events() if isinstance(event, AnswerText)]
        (direct,) = run.done("skeleton")
    else:
        (direct,) = run.done("skeleton", outline)
    assert direct.stage == "direct"
    run.done("direct", "She is 12.")
    assert run.answer.reason.startswith("the outline is one derivation")
