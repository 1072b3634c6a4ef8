"""Whether a reply goes on with its partial answer, and what a run makes of a server that closes the turn."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skeleton_of_thought import PROMPTS, Message, RunSettings, SkeletonOfThought
from skeleton_of_thought.method.partial_answers import goes_on
from skeleton_of_thought.provider_errors import Quirks

QUESTION = [Message("user", "How do I sleep better?")]
TITLES = st.from_regex(r"[A-Za-zÄé][\w ?'-]{0,30}[A-Za-z?]", fullmatch=True)
TEXTS = st.text(max_size=60)


@pytest.mark.parametrize(
    ("begun", "reply", "verdict"),
    [
        ("1.", " Dark room\n2. No coffee", True),
        ("1.", "Dark room\n2. No coffee", True),  # a server that strips the space
        ("1.", " A single sentence.", True),
        ("1.", " Fresh air\n   1. Windows\n   2. Doors", True),
        ("1.", " 1.5 litres of water\n2. No coffee", True),
        ("1.", "1. Dark room\n2. No coffee", False),
        ("1.", "**1.** Dark room\n**2.** No coffee", False),
        ("1.", "Sure! Here it is:\n\n1. Dark room\n2. No coffee", False),
        ("1.", "It seems your message was cut off.", False),
        ("1.", "", False),
        ("1.", " \n", False),
        ("3. Fresh air:", " Open a window.", True),
        ("3. Fresh air:", " Fresh air: it helps.", True),
        ("3. Fresh air:", " Do this:\n3. Open the window.", True),
        ("3. Fresh air:", "Open a window.", None),
        ("3. Fresh air:", "3. Fresh air: Open a window.", False),
        ("3. Fresh air:", "<think>Hm.</think>\n\n**3. Fresh Air**\nOpen a window.", False),
        ("3. Fresh air:", "Here is the text:\n3) Fresh air - open a window.", False),
        ("3. Fresh air:", "Fresh air: Open a window.", False),
        ("Answer:", "Answer: forty-two", False),
        ("Answer:", "forty-two", None),
    ],
)
def test_what_comes_back_tells_whether_the_model_went_on(begun, reply, verdict):
    assert goes_on(begun, reply, whole=False) is verdict


@given(st.integers(1, 20), TITLES, TEXTS)
def test_a_repeated_beginning_is_a_new_turn_in_pieces_and_tells_nothing_in_one(number, title, text):
    begun = f"{number}. {title}:"
    reply = f"{begun} {text}"
    assert goes_on(begun, reply, whole=False) is False
    assert goes_on(begun, reply, whole=True) is None


@given(st.integers(1, 20), TITLES, st.sampled_from(["It helps.", "It is\n\n- good\n- cheap", "Yes: 2. No."]))
def test_the_space_that_is_due_is_believed(number, title, text):
    assert goes_on(f"{number}. {title}:", f" {text}", whole=False) is True


def answered(quirks, *, skeleton, point, pieces=2):
    """One run whose replies come in so many pieces; returns its requests."""
    known = dict.fromkeys(("skeleton", "point", "direct"), quirks)
    run = SkeletonOfThought(QUESTION, PROMPTS["partial"], quirks=known)
    asked, waiting = [], list(run.start())
    while waiting:
        request = waiting.pop(0)
        asked.append(request)
        text = skeleton if request.stage == "skeleton" else point.format(begun=request.partial_answer)
        if pieces > 1:
            for piece in (text[:1], text[1:]):
                waiting += run.text(request.id, piece)
            waiting += run.done(request.id)
        else:
            waiting += run.done(request.id, text)
    return asked, run.answer


CLOSED = {"skeleton": "1. Light\n2. Coffee\n3. Habits", "point": "{begun} It matters."}
CONTINUED = {"skeleton": " Light\n2. Coffee\n3. Habits", "point": " It matters."}


def begins_itself(request):
    return request.stage != "direct" and bool(request.partial_answer)


def test_a_server_that_closes_the_turn_gets_no_partial_answers_any_more():
    quirks = Quirks()
    first, answer = answered(quirks, **CLOSED)
    assert [point.text for point in answer.points] == ["It matters."] * 3
    assert begins_itself(first[0])
    second, again = answered(quirks, skeleton="1. Light\n2. Coffee\n3. Habits", point="It matters.")
    assert not any(map(begins_itself, second))
    assert 'Begin your answer with "1."' in second[0].messages[-1].text
    assert again.text == answer.text


@pytest.mark.parametrize("replies", [CLOSED, CONTINUED])
def test_whole_replies_that_repeat_what_was_begun_say_nothing(replies):
    quirks = Quirks()
    for _ in range(3):
        asked, answer = answered(quirks, **replies, pieces=1)
        assert [point.text for point in answer.points] == ["It matters."] * 3
    assert all(map(begins_itself, asked))


def test_one_slip_of_a_model_that_goes_on_is_none_of_the_servers():
    quirks = Quirks()
    answered(quirks, **CONTINUED)
    asked, _ = answered(quirks, skeleton=CLOSED["skeleton"], point=" It matters.")
    asked, _ = answered(quirks, skeleton=CLOSED["skeleton"], point=" It matters.")
    assert all(map(begins_itself, asked))


class UnprocessableError(Exception):
    status_code = 422


def test_a_server_that_refuses_the_fields_gets_neither_them_nor_partial_answers():
    fields = {"continue_final_message": True, "add_generation_prompt": False}
    quirks = Quirks()
    run = SkeletonOfThought(
        QUESTION, PROMPTS["partial"], RunSettings(continue_fields=fields), quirks={"skeleton": quirks}
    )
    (skeleton,) = run.start()
    assert dict(skeleton.fields) == fields
    refused = UnprocessableError("Unexpected fields in the request: {'continue_final_message'}")
    (again,) = run.failed("skeleton", refused)
    assert (again.fields, again.partial_answer, again.attempt) == ((), "", 1)


def test_a_point_that_came_back_empty_is_asked_for_without_its_beginning_once_the_server_is_known():
    quirks = Quirks()
    run = SkeletonOfThought(QUESTION, PROMPTS["partial"], quirks={"skeleton": quirks, "point": quirks})
    run.start()
    for piece in CLOSED["skeleton"]:
        run.text("skeleton", piece)
    points = run.done("skeleton")
    assert all(point.partial_answer for point in points)
    (again,) = run.done("point:1", "")
    assert again.attempt == 2
    assert not again.partial_answer
    assert 'Begin your answer with "1. Light:"' in again.messages[-1].text
