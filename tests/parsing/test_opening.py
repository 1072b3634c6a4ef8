"""Replies to the opening request: plain answers stay as they are, plans are read however they are written."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skeleton_of_thought.opening import OpeningReader
from tests.fixtures.work import is_linear

OPENING = "Most of it is habit: keep the same hours and a dark room."
PLAN = "1. Light | dark room, why | 2 sentences\n2. Hours | same every day | 3 bullets\n3. First step | one change | 1 sentence | after 1, 2"


def read(reply, *, cuts=(), question="How do I sleep better?", truncated=False):
    reader = OpeningReader(question)
    places = [0, *sorted({min(cut, len(reply)) for cut in cuts}), len(reply)]
    shown = [reader.feed(reply[a:b]) for a, b in pairwise(places)]
    rest, plan = reader.finish(truncated=truncated)
    return "".join([*shown, rest]), plan


@given(st.lists(st.integers(0, 300), max_size=30))
def test_a_plan_is_read_however_its_stream_is_cut(cuts):
    shown, plan = read(f"{OPENING}\n\nOUTLINE\n{PLAN}", cuts=cuts)
    assert shown == OPENING
    assert [(point.title, point.description, point.form, point.after) for point in plan.points] == [
        ("Light", "dark room, why", "2 sentences", ()),
        ("Hours", "same every day", "3 bullets", ()),
        ("First step", "one change", "1 sentence", (1, 2)),
    ]
    assert plan.managed


TITLES = "1. Light\n2. Hours\n3. First step"
NOTES = "1 | dark room, why | 2 sentences\n2 | same every day | 3 bullets\n3 | one change | 1 sentence | after 1, 2"


@given(st.lists(st.integers(0, 300), max_size=30))
def test_titles_may_come_first_however_the_stream_is_cut(cuts):
    assert read(f"{OPENING}\n\nOUTLINE\n{TITLES}\n{NOTES}", cuts=cuts) == read(
        f"{OPENING}\n\nOUTLINE\n{PLAN}"
    )


@pytest.mark.parametrize(
    "notes",
    [
        NOTES.replace(" | ", ". ", 1),
        "\n" + NOTES.replace("1 |", "**1** |", 1),
        NOTES.replace("1 |", "1. Light |").replace("2 |", "2. Hours |").replace("3 |", "3. First step |"),
        NOTES.replace("1 |", "1. |").replace("2 |", "2. |").replace("3 |", "3. |"),
        NOTES.replace("1 |", "Light |").replace("2 |", "Hours |").replace("3 |", "First step |"),
        "\n".join(f"| {line} |" for line in NOTES.split("\n")),
        "\n".join(reversed(NOTES.split("\n"))),
    ],
)
def test_notes_find_their_titles(notes):
    assert read(f"{OPENING}\n\nOUTLINE\n{TITLES}\n{notes}") == read(f"{OPENING}\n\nOUTLINE\n{PLAN}")


def test_titles_are_known_with_the_first_note_and_parts_in_their_order():
    reader = OpeningReader("How do I sleep better?")
    reader.feed(f"{OPENING}\n\nOUTLINE\n{TITLES}\n")
    assert (reader.titles, reader.points) == ((), ())
    reader.feed("2 | same every day | 3 bullets\n")
    assert reader.titles == ("Light", "Hours", "First step")
    assert reader.points == ()
    reader.feed("1 | dark room | short\n")
    assert [point.title for point in reader.points] == ["Light", "Hours"]


def test_a_title_without_a_note_is_a_part_too():
    reply = f"{OPENING}\n\nOUTLINE\n{TITLES}\n1 | dark room | short\n2 | same"
    assert [point.description for point in read(reply)[1].points] == ["dark room", "same", ""]
    assert [point.description for point in read(reply, truncated=True)[1].points] == ["dark room", "", ""]


@pytest.mark.parametrize(
    "mark",
    [
        "OUTLINE",
        "**OUTLINE**",
        "## OUTLINE",
        "OUTLINE:",
        "Outline",
        "**Outline:**",
        "GLIEDERUNG",
        "大纲",
        "Esquema:",
        "---OUTLINE---",
    ],
)
def test_the_mark_may_be_decorated_or_translated(mark):
    shown, plan = read(f"{OPENING}\n\n{mark}\n\n{PLAN}")
    assert (shown, len(plan.points)) == (OPENING, 3)


@pytest.mark.parametrize(
    "plan",
    [
        "1. Light\n2. Hours\n3. First step",
        "- Light\n- Hours\n- First step",
        "**1. Light** – dark room\n**2. Hours** – the same\n**3. First step** – one change",
        "1. Light: dark room\n   - curtains\n2. Hours: the same\n3. First step: one\n\nSleep well!",
        "| 1 | Light | dark | 2 sentences |\n| 2 | Hours | same | 2 sentences |\n| 3 | First step | one | short |",
    ],
)
def test_parts_without_the_grammar_are_read_as_any_list(plan):
    _, read_plan = read(f"{OPENING}\n\nOUTLINE\n{plan}")
    assert [point.title for point in read_plan.points] == ["Light", "Hours", "First step"]


@pytest.mark.parametrize(
    "reply",
    [
        "Canberra.",
        "",
        "  \n",
        "1. Boil water.\n2. Add the egg.\n3. Wait four minutes.",
        "## Outline\n\n**Act One: The Ink**\nMara draws a bridge.\n\n**Act Two**\nIt stands.",
        "# Outline: Why uniforms\n\nI. Introduction\n- Hook",
        "Use this:\n```text\nOUTLINE\n1. a | b | c\n2. d | e | f\n```\nDone.",
        "<think>I could reply\nOUTLINE\n1. A | b | c\n2. D | e | f\n</think>\nIt is 4.",
        "The CSS property is\noutline: none;\nand nothing else.",
        "A table:\n\n| a | b |\n|---|---|\n| 1 | 2 |\n",
        "Two steps.\n\n## Plan\n\n1. Go there.\n2. Come back.",
        "An out\n\nline\n",
        "Ends in blank lines.\n\n\n",
        "My outlines\n\nOutlined in red.",
    ],
)
@given(cuts=st.lists(st.integers(0, 200), max_size=20))
def test_a_plain_answer_is_shown_as_it_is(reply, cuts):
    shown, plan = read(reply, cuts=cuts)
    assert shown == reply
    assert plan.points == ()


def test_the_users_own_outline_is_the_answer():
    reply = "Here is one.\n\n## Outline\n\n1. Introduction: the hook\n2. Body: the reasons\n3. End: the call"
    shown, plan = read(reply, question="Write me an outline for my essay on uniforms")
    assert shown == reply
    assert plan.points == ()


def test_only_a_line_that_may_become_the_mark_is_held_back():
    reader = OpeningReader("Why?")
    assert reader.feed("First. Ou") == "First. Ou", "not at the beginning of a line"
    assert reader.feed("t.\nAnd more") == "t.\nAnd more"
    assert reader.feed("\n\nOUT") == ""
    assert reader.feed("RAGE!") == "\n\nOUTRAGE!"
    assert reader.feed("\n1. A full") == "\n1. A full", "a numbered answer flows"


def test_full_texts_under_the_mark_are_the_answer():
    texts = "\n\n".join(
        f"{n}. **Title {n}**\n" + "Many words of a finished text stand here. " * 9 for n in (1, 2, 3)
    )
    shown, plan = read(f"{OPENING}\n\nOUTLINE\n\n{texts}")
    assert plan.points == ()
    assert not plan.managed
    assert shown == f"{OPENING}\n\n{texts}".strip("\n")
    assert "OUTLINE" not in shown


@pytest.mark.parametrize("behind", ["", "\n", "\n\nThat is all.", "\n1. Light | dark | short"])
def test_a_mark_without_parts_leaves_the_text(behind):
    shown, plan = read(f"{OPENING}\n\nOUTLINE{behind}")
    assert plan.points == ()
    assert not plan.managed
    assert shown.startswith(OPENING)
    assert "OUTLINE" not in shown


def test_a_line_cut_off_by_the_length_limit_is_no_part():
    _, plan = read(f"{OPENING}\n\nOUTLINE\n1. A | b | c\n2. D | e | f\n3. G | hal", truncated=True)
    assert [point.title for point in plan.points] == ["A", "D"]
    _, plan = read(f"{OPENING}\n\nOUTLINE\n1. A\n2. D\n3. Gha", truncated=True)
    assert [point.title for point in plan.points] == ["A", "D"]


def test_a_plan_without_the_mark_is_noticed():
    for written in (PLAN, f"{TITLES}\n{NOTES}"):
        shown, plan = read(f"{OPENING}\n\n{written}")
        assert plan.points == ()
        assert not plan.managed, "the model is asked in the classic way from now on"
        assert shown.startswith(OPENING)


@given(
    st.text(alphabet="OUTLINE outline\n#*|1.2 ab`", max_size=120), st.lists(st.integers(0, 120), max_size=12)
)
def test_what_is_shown_does_not_depend_on_the_cuts(reply, cuts):
    once = read(reply)
    again = read(reply, cuts=cuts)
    assert once == again
    shown, plan = once
    if not plan.points and plan.managed:
        assert shown == reply


UNITS = [" ", "\n", "|\n", "a | ", "1. A | b | c\n", "```\n", "~", "<think>", "</think>", "OUTLINE\n", "OUT", "*", "x", '1. ["a"]\n',
         "after ,", "\r", "「", "- ", "“", "{"]  # fmt: skip


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize(
    "start",
    [
        "",
        "Yes.\n\n",
        "Yes.\n\n```\n",
        "Yes.\n\nOUTLINE\n",
        "Yes.\n\nOUTLINE\n1. A | b | after ",
        "Yes.\n\nOUTLINE\n1. A\n2. B\n1 | b | c",
    ],
)
def test_work_is_linear_however_the_reply_comes(unit, start):
    def small(text):
        reader, held = OpeningReader(), 0
        for place in range(0, len(text), 3):
            reader.feed(text[place : place + 3])
            held = max(held, len(reader._line))  # what is looked at again with every piece
        reader.finish()
        assert held < 100

    assert is_linear(lambda text: small(start + text), unit, length=600)
    assert is_linear(lambda text: read(start + text), unit, length=600)


@given(
    st.lists(
        st.sampled_from(
            [
                *UNITS,
                "`",
                "``",
                "Text",
                "\n\n",
                "ΟUTLINE",
                "2. B | c | d\n",
                "1. Light\n2. Hours\n",
                "2 | c | d\n",
            ]
        ),
        max_size=30,
    ).map("".join),
    st.lists(st.integers(0, 200), max_size=30),
)
def test_any_reply_is_read_however_its_stream_is_cut(reply, cuts):
    shown, plan = read(reply, cuts=cuts)
    assert (shown, plan) == read(reply)
    assert plan.points or "".join(shown.split()) in "".join(reply.split())


def test_a_mark_in_a_fence_that_comes_in_pieces_is_none():
    reply = f"``\x60py\nOUTLINE\n{PLAN}\n``\x60\nThat was it."
    assert read(reply, cuts=range(len(reply)))[0] == reply == read(reply)[0]
