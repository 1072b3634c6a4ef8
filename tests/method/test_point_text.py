from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from skeleton_of_thought.method.point_text import PointTextCleaner
from skeleton_of_thought.skeleton import Point
from tests.fixtures.work import is_linear

TITLES = (
    "Set goals",
    "Use a calendar",
    "Avoid multi-tasking",
    "Take breaks",
    "Say no",
    "Why, though?",
    "早睡早起",
)
POINTS = [Point(index, title) for index, title in enumerate(TITLES, start=1)]


def clean(text, index=2, *, cuts=(), points=POINTS, in_list=False):
    """The clean text, the stream cut into pieces at the given places."""
    cleaner = PointTextCleaner(points[index - 1], points, in_list=in_list)
    places = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    pieces = [cleaner.feed(text[a:b]) for a, b in pairwise(places)]
    return "".join([*pieces, cleaner.finish()])


WHOLE = "A calendar shows what you promised. Look at it twice a day."


@pytest.mark.parametrize(
    "head",
    [
        "",
        "\n\n  ",
        ": ",
        "2. ",
        "2) ",
        "2.\n",
        "2: ",
        "2、",
        "**2.** ",
        "2. Use a calendar: ",
        "2. Use a calendar\n",
        "2. Use a calendar\n\n",
        "2. Use a calendar. ",
        "2. Use a calendar - ",
        "2. Use a calendar – ",
        "2. **Use a calendar**: ",
        "2. **Use a calendar:** ",
        "**2. Use a calendar**\n",
        "**Use a calendar**: ",
        "Use a calendar: ",
        "use a CALENDAR:\n",
        "## Use a calendar\n\n",
        "### 2. Use a calendar\n",
        '"Use a calendar": ',
        "Point 2: ",
        "Point 2: Use a calendar\n",
        "point 2. Use a calendar: ",
        "> 2. Use a calendar: ",
        "2. 2. Use a calendar: ",
        "2. Use a calendar: Use a calendar: ",
        "<think>The second point.\n3. is not mine</think>\n\n",
        "<think></think>2. Use a calendar: ",
    ],
)
def test_an_echoed_head_is_removed(head):
    assert clean(head + WHOLE) == WHOLE


@pytest.mark.parametrize(
    "tail",
    [
        "\n3. Avoid multi-tasking: It costs time.",
        "\n\n3. Avoid",
        "\n3) Avoid multi-tasking, other words",
        "\n**3. Avoid multi-tasking**\nIt costs time.",
        "\n### 3. Avoid multi-tasking",
        "\n\nPoint 3: It costs time.",
        "\nAvoid multi-tasking: It costs time.",
        "\n**Take breaks**\nEvery hour.",
        "\n1. Set goals: Begin anew.",
        " 3. Avoid multi-tasking: It costs time.",
        " **3. Avoid multi-tasking** It costs time.",
        "\r\n3. Avoid multi-tasking: It costs time.",
        "\n早睡早起：很重要。",
        "\n",
        "  \n\n ",
    ],
)
def test_a_text_that_runs_on_is_cut(tail):
    assert clean(WHOLE + tail) == WHOLE


@pytest.mark.parametrize(
    "text",
    [
        "Version 3.5 and 4.0 came out in 2023. Both are fine.",
        "It costs 3.50 euros. 3.5 is the number.",
        "There are two kinds.\n\nThe first is paper, the second is not.",
        "Use a calendar that you like. It will stay open.",
        "Use a calendar-like tool, or paper.",
        "Take breaks seriously, but say no to the rest.",
        "A list:\n- one thing\n- another thing",
        "Breathe so:\n1. In for 4 s.\n2. Hold for 7 s.\n3. Out for 8 s.\n4. Avoid nothing.\nThat is all.",
        "Run this:\n```\n3. Avoid multi-tasking: no\n1. + 2\n```\nThen compare.",
        "~~~text\n3. Avoid multi-tasking\n~~~\nThen compare.",
        "The formula is\n3. \\cdot x = 3 for all x.",
        "It has\n\n8. One more than there are",
        "In 2 weeks, 3 habits stick. 4 do not.",
        "Meet at 3. Then go home.",
        "The year was 1999.\n2024 was another.",
        "Half a word and no full stop",
        "3 reasons speak for it: order, rest and trust.",
        "Ends with a number: 3",
        "Ends with a number and a dot: 3.",
        'Why? Because it works! And "quoted." And so on.',
        "二つの理由があります。まず、予定が見えます。",
        "Pointless meetings are to be avoided.",
        "Points 3 and 4 say more.",
    ],
)
def test_text_of_the_point_stays_as_it_is(text):
    assert clean(text) == text


@pytest.mark.parametrize(
    "text",
    ["", "  \n", "2.", "2. Use a calendar", "2. Use a calendar:", "**Use a calendar**", "<think>never ends"],
)
def test_a_head_alone_is_no_text(text):
    assert clean(text) == ""


def test_a_text_that_is_another_points_is_nothing():
    assert clean("3. Avoid multi-tasking: It costs time.") == ""


def test_another_number_of_ones_own_title_is_a_restart_of_the_list():
    assert clean("1. Use a calendar: It helps.") == "It helps."


def test_titles_with_punctuation():
    assert clean("6. Why, though? Because.", 6) == "Because."
    assert clean("6. Why, though?\nBecause.", 6) == "Because."


def test_other_scripts():
    assert clean("7、早睡早起：睡眠很重要。", 7) == "睡眠很重要。"


def test_text_is_shown_as_soon_as_it_is_certain():
    cleaner = PointTextCleaner(POINTS[1], POINTS)
    assert cleaner.feed("2. Use a cal") == ""
    assert cleaner.feed("endar: Paper") == "Paper"
    assert cleaner.feed(" works") == " works"
    assert cleaner.feed(" too.") == " too."
    assert cleaner.feed("\n") == ""
    assert cleaner.feed("3") == "", "may be the next point"
    assert cleaner.feed("00 of them") == "\n300 of them"
    assert cleaner.feed(" exist.\n3. Avoid") == " exist."
    assert cleaner.feed(" multi-tasking") == ""
    assert cleaner.finish() == ""


HARD = st.lists(
    st.sampled_from(
        [
            *TITLES,
            "2",
            "3",
            "3.",
            "3. ",
            "2. ",
            "1)",
            "Point ",
            "**",
            ":",
            ". ",
            "\n",
            "\n\n",
            " ",
            "a",
            "word ",
            "<think>",
            "</think>",
            "1",
            "34",
            "。",
            "é",
            "İ",
        ]
    )
    | st.text(max_size=3),
    max_size=14,
).map("".join)


@given(HARD, st.integers(1, len(POINTS)), st.lists(st.integers(0, 80), max_size=12), st.booleans())
@example("3. 2. Use a calendarSet goals", 1, [], False)
@example("2. Use a calendar: Yes. 3. Avoid multi-tasking: No.", 2, [1, 2, 5, 30, 33], False)
@example("Yes v1.\n2. Or (1.\n2. No", 1, [7, 8], True)
def test_the_result_does_not_depend_on_the_pieces(text, index, cuts, in_list):
    whole = clean(text, index, in_list=in_list)
    assert clean(text, index, cuts=cuts, in_list=in_list) == whole
    assert clean(text, index, cuts=range(len(text)), in_list=in_list) == whole


@pytest.mark.parametrize("head", ["", "2. ", "2. Use a calendar: ", "**Use a calendar**\n"])
@pytest.mark.parametrize("tail", ["\n3. Do less: it works.\n4. Rest.", "\n\n**3.** Do less", "\n3) Do less"])
def test_a_list_that_the_prompt_began_goes_on_with_the_next_point(head, tail):
    assert clean(head + WHOLE + tail, in_list=True) == WHOLE
    assert clean(head + WHOLE + tail) == WHOLE + tail


@pytest.mark.parametrize(
    ("index", "text"),
    [
        (1, "Three things help:\n1. Rest.\n2. Food.\n3. Friends."),
        (1, "Three things help: 1. rest,\n2. food."),
        (2, "Three things help:\n\n1) Rest.\n2) Food.\n3) Friends."),
        (2, "Three things help:\n\n**1.** Rest.\n**2.** Food.\n**3.** Friends."),
        (3, "Run it:\n```\n4. not a point\n```\nDone."),
        (2, "It rose by\n3.5 per cent."),
    ],
)
def test_a_list_of_its_own_stays_in_a_list_that_the_prompt_began(index, text):
    assert clean(text, index, in_list=True) == text


def test_a_first_point_that_is_a_list_stays_one():
    assert clean("1. Rest.\n2. Food.", 1, in_list=True) == "Rest.\n2. Food."


@given(HARD, st.integers(1, len(POINTS)))
@example(":\x85Set goalsSet goals", 1)
def test_nothing_is_invented_and_the_ends_are_clean(text, index):
    result = clean(text, index)
    assert result in text
    assert result == result.strip()


@given(st.text(), st.lists(st.text(min_size=1), min_size=2, max_size=5), st.integers(1, 2))
def test_any_text_and_any_titles(text, titles, index):
    points = [Point(number, title) for number, title in enumerate(titles, start=1)]
    assert clean(text, index, points=points, cuts=range(len(text))) == clean(text, index, points=points)


UNITS = [
    "word. ", "word\n", " ", "\n", "3", "*", "Avoid multi", "2. ", "```\n", "---\n", "|\n", "…\n", "> ", "{", '{"', ":",
    "[(", "3.\n", "Avoid multi-tasking\n", "<think>", "</think>", "Use a calendar\n", "``", "“", "_ ", "\r\n",
]  # fmt: skip


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("start", ["", "Word.\n", "2. ", "<think>", "**Use a calendar**"])
@pytest.mark.parametrize("in_list", [False, True])
def test_work_is_linear_however_the_text_comes(unit, start, in_list):
    def small(text):
        cleaner = PointTextCleaner(POINTS[1], POINTS, in_list=in_list)
        held = 0
        for place in range(0, len(text), 3):
            cleaner.feed(text[place : place + 3])
            held = max(held, len(cleaner._pending))  # what is looked at again with every piece
        cleaner.finish()
        assert held < 600

    assert is_linear(lambda text: small(start + text), unit, length=600)
    assert is_linear(lambda text: clean(start + text, in_list=in_list), unit, length=600)


def test_a_fence_in_pieces_is_a_fence():
    text = "Run:\n~~~\n```\n3. Avoid multi-tasking\n~~~\nDone."
    assert clean(text) == clean(text, cuts=range(len(text))) == text
