"""The opening protocol: one request decides, opens and plans; parts are written early and to the plan."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skeleton_of_thought import PROMPTS, Message, RunSettings, SkeletonOfThought, Usage
from skeleton_of_thought.errors import DeadlineError, PointError
from skeleton_of_thought.events import AnswerText, PointStarted, RouteChosen
from skeleton_of_thought.provider_errors import Quirks

QUESTION = [Message("user", "How do I sleep better?")]
OPENING = "Mostly by habit."
LINES = (
    "1. Light | dark room | 2 sentences",
    "2. Hours | the same | 3 bullets",
    "3. Advice | one change | short | after 1, 2",
)
REPLY = f"{OPENING}\n\nOUTLINE\n" + "\n".join(LINES)


class FakeError(Exception):
    is_retryable = True


def begin(*, quirks=None, messages=QUESTION, **options):
    known = {"opening": quirks} if quirks is not None else {}
    run = SkeletonOfThought(messages, PROMPTS["opening"], RunSettings(**options), quirks=known)
    (request,) = run.start()
    assert (request.id, request.stage) == ("opening", "opening")
    return run


def ids(requests):
    return [request.id for request in requests]


def text_of(run):
    return "".join(event.text for event in run.events() if isinstance(event, AnswerText))


def test_a_plain_answer_is_one_request_and_nothing_is_asked_twice():
    run = begin()
    assert run.text("opening", "Canberra, ") == ()
    assert text_of(run) == "Canberra,"
    assert run.route is None, "the model has not decided"
    assert run.text("opening", "since 1913.") == ()
    assert run.done("opening", usage=Usage(50, 5)) == ()
    assert run.finished
    answer = run.answer
    assert (answer.text, answer.route, answer.points) == ("Canberra, since 1913.", "direct", ())
    assert answer.reason == "the model answered plainly"
    assert answer.bill.direct.usage == Usage(50, 5)
    assert answer.bill.skeleton.calls == 0


def test_an_opening_is_shown_and_its_parts_go_out():
    run = begin()
    requests = run.done("opening", REPLY, Usage(50, 30))
    assert ids(requests) == ["point:1", "point:2"], "the third waits for them"
    assert text_of(run) == f"{OPENING}\n\n**Light**\n\n"
    assert run.done("point:2", "- a\n- b\n- c") == ()
    (third,) = run.done("point:1", "Draw the curtains. Cover the lamps.")
    assert third.id == "point:3"
    assert "Draw the curtains." in third.messages[-1].text
    assert "- a\n- b\n- c" in third.messages[-1].text
    run.done("point:3", "Begin with the hours.")
    answer = run.answer
    assert answer.text == (
        f"{OPENING}\n\n**Light**\n\nDraw the curtains. Cover the lamps.\n\n**Hours**\n\n- a\n- b\n- c\n\n"
        "**Advice**\n\nBegin with the hours."
    )
    assert answer.route == "sot"
    assert answer.opening == OPENING
    assert [(point.form, point.after) for point in answer.points] == [
        ("2 sentences", ()),
        ("3 bullets", ()),
        ("short", (1, 2)),
    ]
    assert answer.bill.skeleton.usage == Usage(50, 30)


def test_parts_continue_the_conversation_and_share_its_beginning():
    run = begin(messages=[Message("system", "Be kind."), *QUESTION])
    first, second = run.done("opening", REPLY)
    assert first.messages[:-1] == second.messages[:-1]
    assert first.messages[: first.shared] == second.messages[: second.shared]
    assert first.messages[-2].role == "assistant"
    assert first.messages[-2].text == "\n".join(REPLY.split("\n")[:-1]), (
        "two lines, as if it had started early"
    )
    assert not first.stop, "a list in a part is its text"


def test_a_part_starts_as_soon_as_its_line_is_complete():
    run = begin()
    assert run.text("opening", f"{OPENING}\n\nOUTLINE\n{LINES[0]}\n") == (), (
        "one part alone may be all there is"
    )
    requests = run.text("opening", f"{LINES[1]}\n")
    assert ids(requests) == ["point:1", "point:2"]
    assert requests[0].messages[-2].text == f"{OPENING}\n\nOUTLINE\n{LINES[0]}\n{LINES[1]}"
    run.text("point:1", "Curtains.")
    assert "Curtains." in text_of(run), "read before the outline is complete"
    run.text("opening", LINES[2])
    run.done("point:1"), run.done("point:2", "Same.")
    assert ids(run.done("opening")) == ["point:3"]


TITLES = [f"{n}. Part {n}" for n in range(1, 5)]
NOTES = [f"{n} | note {n} | short" for n in range(1, 5)]


def test_the_writer_of_the_first_part_knows_the_titles_of_all():
    run = begin()
    (first,) = run.text("opening", "\n".join([OPENING, "", "OUTLINE", *TITLES, NOTES[0], ""]))
    assert first.id == "point:1"
    assert first.messages[-2].text == "\n".join([OPENING, "", "OUTLINE", *TITLES, NOTES[0]])
    (second,) = run.text("opening", f"{NOTES[1]}\n")
    assert second.messages[-2].text == "\n".join([OPENING, "", "OUTLINE", *TITLES, *NOTES[:2]])
    assert ids(run.done("opening")) == ["point:3", "point:4"], "a title is enough"


def test_no_more_titles_are_shown_than_parts_are_written():
    run = begin(max_points=3)
    requests = run.done("opening", "\n".join([OPENING, "", "OUTLINE", *TITLES, *NOTES]))
    assert ids(requests) == ["point:1", "point:2", "point:3"]
    assert all("Part 4" not in request.messages[-2].text for request in requests)


@pytest.mark.parametrize("titles_first", [False, True])
@given(cuts=st.lists(st.integers(1, 200), max_size=12), early=st.sampled_from([None, 0, 1, 3]))
def test_what_a_part_is_asked_does_not_depend_on_how_the_plan_arrives(titles_first, cuts, early):
    plan = "\n".join(
        [*TITLES, *NOTES] if titles_first else [f"{n}. Part {n} | note {n} | short" for n in range(1, 5)]
    )
    reply = f"{OPENING}\n\nOUTLINE\n{plan}"
    whole = {request.id: request for request in begin(early_points=early).done("opening", reply)}
    run = begin(early_points=early)
    places = [0, *sorted({min(cut, len(reply)) for cut in cuts}), len(reply)]
    streamed = [each for a, b in pairwise(places) for each in run.text("opening", reply[a:b])]
    assert {request.id: request for request in [*streamed, *run.done("opening")]} == whole
    shown = whole["point:1"].messages[-2].text.count("\n") - 2
    assert shown == (4 if early == 0 else 1 if titles_first else 2) + 4 * titles_first


@pytest.mark.parametrize(("early", "expected"), [(0, []), (1, ["point:1"]), (2, ["point:1", "point:2"])])
def test_how_many_start_early_is_an_option(early, expected):
    run = begin(early_points=early)
    plan = "\n".join(f"{n}. Part {n} | note {n} | short" for n in range(1, 5))
    released = run.text("opening", f"{OPENING}\n\nOUTLINE\n{plan}\n")
    assert ids(released) == expected
    assert ids([*released, *run.done("opening")]) == ["point:1", "point:2", "point:3", "point:4"]


def test_circles_and_unknown_numbers_are_mended_and_recorded():
    plan = "1. A | a | short | after 2\n2. B | b | short | after 1\n3. C | c | short | after 9, 3"
    run = begin()
    requests = run.done("opening", f"{OPENING}\n\nOUTLINE\n{plan}")
    assert ids(requests) == ["point:1", "point:3"]
    assert ids(run.done("point:1", "First.")) == ["point:2"]
    run.done("point:2", "Second."), run.done("point:3", "Third.")
    assert [point.after for point in run.answer.points] == [(), (1,), ()]
    assert len(run.answer.plan_notes) == 3


def test_a_failed_parent_does_not_hold_back_its_children():
    run = begin(retries=0)
    run.done("opening", REPLY)
    run.done("point:1", "Curtains.")
    (third,) = run.failed("point:2", FakeError("gone"))
    assert third.id == "point:3"
    assert "Curtains." in third.messages[-1].text
    run.done("point:3", "Begin.")
    assert [point.status for point in run.answer.points] == ["ok", "failed", "ok"]


def test_an_outline_that_breaks_off_is_used_as_far_as_it_goes():
    run = begin(retries=0)
    plan = "1. A | a | short\n2. B | b | short\n3. C | c"
    requests = run.text("opening", f"{OPENING}\n\nOUTLINE\n{plan}")
    assert ids(requests) == ["point:1", "point:2"]
    assert ids(run.failed("opening", FakeError("reset"))) == []
    run.done("point:1", "First."), run.done("point:2", "Second.")
    assert [point.title for point in run.answer.points] == ["A", "B"]
    assert "broke off" in run.answer.plan_notes[0]


def test_a_plan_that_breaks_off_keeps_the_parts_whose_titles_are_known():
    run = begin(retries=0)
    plan = "1. A\n2. B\n3. C\n1 | a | short\n2 | b"
    assert ids(run.text("opening", f"{OPENING}\n\nOUTLINE\n{plan}")) == ["point:1"]
    assert ids(run.failed("opening", FakeError("reset"))) == ["point:2", "point:3"]
    for index in (1, 2, 3):
        run.done(f"point:{index}", f"Text {index}.")
    assert [point.title for point in run.answer.points] == ["A", "B", "C"]
    assert "broke off" in run.answer.plan_notes[0]


def test_a_reply_of_which_nothing_was_read_is_asked_for_again():
    run = begin()
    run.text("opening", "")
    (again,) = run.failed("opening", FakeError("reset"))
    assert (again.id, again.attempt, again.resumes) == ("opening", 2, False)
    run = begin()
    run.text("opening", "")
    (again,) = run.done("opening", finish_reason="stop")
    assert again.attempt == 2


def test_a_request_that_fails_before_anything_was_shown_is_sent_again():
    run = begin()
    (again,) = run.failed("opening", FakeError("reset"))
    assert (again.id, again.attempt) == ("opening", 2)
    run.text("opening", "Half an ans")
    assert run.failed("opening", FakeError("reset")) == ()
    with pytest.raises(FakeError):
        _ = run.answer


@pytest.mark.parametrize(
    ("shown", "held_back", "between"),
    [
        ("Half an ans", "", " […]\n\n"),
        ("A whole sentence.", " ", "\n\n"),
        ("A whole sentence.", "\n\nOUT", "\n\n"),
        ("- an item\n- half an it", "", " […]\n\n"),
        ("- an item.", "\n- ", "\n\n"),
        (OPENING, "\n\nOUTLINE\n1. Light | dark", "\n\n"),
    ],
)
def test_a_reply_that_breaks_off_while_it_is_read_is_gone_on_with(shown, held_back, between):
    run = begin()
    run.text("opening", shown)
    run.text("opening", held_back)
    (rest,) = run.failed("opening", FakeError("reset"), Usage(50, 5))
    assert (rest.id, rest.attempt) == ("opening", 2)
    assert [message.role for message in rest.messages] == ["user", "assistant", "user"]
    assert rest.messages[0] == QUESTION[0]
    assert rest.messages[1].text == shown
    for delta in ("\n", " Half", " an answer\nOUTLINE\n1. A", " and the rest."):
        run.text("opening", delta)
    run.done("opening", usage=Usage(60, 9), finish_reason="stop")
    answer = run.answer
    assert answer.text == shown + between + "Half an answer\nOUTLINE\n1. A and the rest."
    assert text_of(run) == answer.text
    assert (answer.route, answer.finish_reason) == ("direct", "stop")
    assert "broke off" in answer.reason
    assert answer.usage == Usage(110, 14)


def test_the_rest_may_break_off_too():
    run = begin(retries=2)
    run.text("opening", "One. Tw")
    (rest,) = run.failed("opening", FakeError("reset"))
    run.text("opening", "Two. Thr")
    (rest,) = run.failed("opening", FakeError("reset"))
    assert rest.messages[1].text == "One. Tw […]\n\nTwo. Thr"
    run.text("opening", "Three.")
    assert run.failed("opening", FakeError("reset")) == ()
    with pytest.raises(FakeError):
        _ = run.answer


def test_a_block_of_code_is_not_gone_on_with():
    run = begin()
    run.text("opening", "Run:\n```\nx = 1")
    assert run.failed("opening", FakeError("reset")) == ()
    with pytest.raises(FakeError):
        _ = run.answer


def test_an_error_that_would_come_again_ends_a_reply_that_is_read():
    class RefusedError(Exception):
        status_code = 400

    run = begin()
    run.text("opening", "Half an ans")
    assert run.failed("opening", RefusedError()) == ()
    with pytest.raises(RefusedError):
        _ = run.answer


def test_an_empty_reply_is_asked_for_again():
    run = begin()
    (again,) = run.done("opening", "")
    assert again.attempt == 2
    run.done("opening", "Now.")
    assert run.answer.text == "Now."


def test_a_tool_call_is_no_empty_reply():
    run = begin()
    assert run.done("opening", "", other_content=True) == ()
    assert run.answer.route == "direct"


def test_a_model_that_does_not_manage_is_asked_in_the_classic_way_next_time():
    quirks = Quirks()
    run = begin(quirks=quirks)
    texts = "\n\n".join(f"{n}. Title {n}\n" + "Words of a finished text. " * 20 for n in (1, 2, 3))
    assert run.done("opening", f"{OPENING}\n\nOUTLINE\n\n{texts}") == ()
    assert run.answer.text == f"{OPENING}\n\n{texts}"
    run = SkeletonOfThought(QUESTION, PROMPTS["opening"], quirks={"opening": quirks})
    (request,) = run.start()
    assert request.stage == "skeleton"


def test_a_deadline_keeps_what_is_there():
    run = begin()
    run.text("opening", f"{OPENING}\n\nOUTLINE\n{LINES[0]}\n{LINES[1]}\n")
    run.done("point:1", "Curtains.")
    run.expire(DeadlineError("too long"))
    assert run.finished
    assert run.answer.text.startswith(f"{OPENING}\n\n**Light**\n\nCurtains.")
    assert [point.status for point in run.answer.points] == ["ok", "failed"]


def test_events_tell_the_route_once_it_is_clear():
    run = begin()
    run.text("opening", OPENING)
    assert not [event for event in run.events() if isinstance(event, RouteChosen)]
    run.done("opening", REPLY)
    assert RouteChosen("sot", "the model planned its answer") in run.events()


REPLIES = st.sampled_from(
    [
        REPLY,
        f"{OPENING}\n\n**OUTLINE**\n- A\n- B\n- C",
        f"{OPENING}\n\nOUTLINE\n1. A | a | b | after 3\n2. B | a | b | after 1\n3. C | a | b | after 2, 7",
        f"{OPENING}\n\nOUTLINE\n1. Only | one | part",
        "\n".join([OPENING, "", "OUTLINE", *TITLES, *NOTES[:3], f"{NOTES[3]} | after 1, 9"]),
        "\n".join([OPENING, "", "OUTLINE", *TITLES, NOTES[1], NOTES[0]]),
        "A plain answer.\n\n1. With a list\n2. of two\n",
        "",
    ]
)


@settings(max_examples=400)
@given(
    REPLIES,
    st.randoms(use_true_random=False),
    st.sampled_from(["mark", "skip", "raise"]),
    st.sampled_from([None, 0, 1, 2]),
)
def test_nothing_is_lost_doubled_or_misplaced(reply, random, policy, early):
    """Random replies, cut anywhere, with failures and parts that follow others."""
    quirks = Quirks()
    run = SkeletonOfThought(
        QUESTION,
        PROMPTS["opening"],
        RunSettings(on_point_error=policy, early_points=early),
        quirks={"opening": quirks},
    )
    outstanding = {request.id: request for request in run.start()}
    rest, sent, shown, billed = {}, len(outstanding), "", 0
    for _ in range(2000):
        if not outstanding:
            break
        request = outstanding[random.choice(sorted(outstanding))]
        whole = reply if request.stage == "opening" else f"Text of {request.id}, attempt {request.attempt}."
        left = rest.setdefault(request.id, whole)
        act = random.random()
        if act < 0.08:
            del outstanding[request.id], rest[request.id]
            released = run.failed(request.id, FakeError("reset"), Usage(1, 0))
            billed += 1
        elif left and act < 0.8:
            size = random.randint(1, 25)
            rest[request.id] = left[size:]
            released = run.text(request.id, left[:size])
        elif left:
            continue
        else:
            del outstanding[request.id], rest[request.id]
            released = run.done(request.id, usage=Usage(1, 0))
            billed += 1
        sent += len(released)
        for each in released:
            assert each.id not in outstanding
            outstanding[each.id] = each
        shown += text_of(run)
        assert run.finished == (not outstanding)
    assert not outstanding
    assert sent == billed
    try:
        answer = run.answer
    except PointError as error:
        answer = error.answer
    except FakeError:
        return
    assert answer.text == shown
    assert answer.usage.input_tokens == billed
    for point in answer.points:
        others = set(re.findall(r"Text of (point:\d)", point.text)) - {f"point:{point.index}"}
        assert not others, "no point carries another one's text"
        if point.status == "ok":
            assert answer.text.count(point.text) == 1
    places = [answer.text.find(point.text) for point in answer.points if point.status == "ok"]
    assert places == sorted(places)


def test_started_events_name_the_parts():
    run = begin()
    run.done("opening", REPLY)
    assert PointStarted(1, "Light", 1) in run.events()
