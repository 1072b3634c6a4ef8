from __future__ import annotations

import re
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from llamaindex_sot.sources.choosing import named_in
from llamaindex_sot.sources.citations import CitationFilter, brackets_in, cited_in
from llamaindex_sot.sources.retelling import Retelling
from llamaindex_sot.sources.titles import skeleton_of, title_of, with_citations, without_heading
from skeleton_of_thought import parse_skeleton

PIECES = st.lists(
    st.sampled_from(
        [
            *"[]0125,;- `~.\n(:=",
            "  ",
            "a ",
            "[1]",
            " [5]",
            "[1, 5]",
            "```",
            "\n\n",
            " [2-3]",
            "–",
            "[5](u)",
            "[[1, 5], [4]]",
            ", [4, 5]",
            "~~~",
        ]
    ),
    max_size=30,
)


def filtered(pieces: list[str], numbers: set[int], **options) -> tuple[str, int]:
    citations = CitationFilter(numbers, **options)
    text = "".join(map(citations.feed, pieces)) + citations.finish()
    return text, citations.removed


@pytest.mark.parametrize(
    ("text", "expected", "removed"),
    [
        ("Kept [1].", "Kept [1].", 0),
        ("Gone [5].", "Gone.", 1),
        ("Both [1][5] here", "Both [1] here", 1),
        ("Both [5] [1] here", "Both [1] here", 1),
        ("All [5][4] gone", "All gone", 2),
        ("List [1, 2]", "List [1, 2]", 0),
        ("List [1, 5, 2; 4]", "List [1, 2]", 2),
        ("A quote “so” [5]; bold **[5]**; (see [5])", "A quote “so”; bold ****; (see)", 3),
        ("堆肥需要空气[5]。堆肥需要水[1]。", "堆肥需要空气。堆肥需要水[1]。", 1),
        ("Unfinished [5", "Unfinished [5", 0),
        ("Line\n[5] begins", "Line\n begins", 1),
        ("The matrix [[1, 5], [4, 2]] [4].", "The matrix [[1, 5], [4, 2]].", 1),
        ("[[1,5],\n [4,2]] and [5].", "[[1,5],\n [4,2]] and.", 1),
        ("Twice [[5]] and [1], [5].", "Twice [] and [1],.", 2),
        ("A lone ` in one paragraph.\n\nThe next [5].", "A lone ` in one paragraph.\n\nThe next.", 1),
    ],
)
def test_only_given_chunks_stay_cited(text, expected, removed):
    assert filtered([text], {1, 2}) == (expected, removed)


@pytest.mark.parametrize(
    "text",
    [
        "Scale values to [0, 1] first.",
        "The rule is in [2019] UKSC 5, or [2019-2021].",
        "Take items[4] and then items[0], a[1][5], f(x)[4], x_[4].",
        "Use the class [0-9] or [1-9] for digits, [1-5] for stars.",
        "See [5](https://example.org), [5][docs] and ![5](a.png).",
        "[5]: https://example.org",
        "Between [5, 7] degrees; x = [1, 4]; y ∈ [1, 5]; $[1, 5]$.",
        "Room [104], about [12] of them, [007].",
        "In code `x = [5]`, ``a `b` [5]`` and\n```\n a [5] `\n```\nend.",
        "~~~\n a [5]\n~~~\nend",
        "No citation [a] [] [1.2] [sic] [1,] [-1] [1 2] [2–1].",
    ],
)
def test_what_cannot_be_a_citation_is_text(text):
    assert filtered([text], {1, 2}) == (text, 0)
    assert filtered(list(text), {1, 2}) == (text, 0)


def test_brackets_of_a_source_or_the_question_may_be_repeated():
    quoted = brackets_in(["As in [4], and in [3,\t5].", "Scale to [1, 5]?"])
    text = "It says [4], [3, 5] and [1, 5], not [3]."
    assert filtered([text], {1, 2}, quoted=quoted) == (text.replace(" [3].", "."), 1)


def test_a_chunk_that_exists_and_was_not_given_is_no_text():
    assert filtered(["So it is [9], or [1-9]."], {1, 2}, count=9) == ("So it is, or [1, 2].", 8)


@given(PIECES, st.integers(1, 5))
def test_the_cut_of_the_stream_does_not_matter(pieces, size):
    text = "".join(pieces)
    cut = [text[start : start + size] for start in range(0, len(text), size)]
    assert filtered(cut, {1, 2}) == filtered([text], {1, 2})


@given(PIECES)
def test_what_is_left_cites_given_chunks_only(pieces):
    text, _ = filtered(pieces, {1, 2}, count=5)
    assert set(cited_in(text, 5)) <= {1, 2}


@given(PIECES)
def test_shown_text_is_never_taken_back(pieces):
    citations, shown = CitationFilter({1}), ""
    for piece in pieces:
        shown += citations.feed(piece)
    assert filtered(pieces, {1})[0].startswith(shown)


def test_false_citations_are_not_recorded():
    text = (
        "items[1], [0-9], `[2]`, [2](https://example.org), [2019], [1, 12], [[1, 2], [2, 1]] and at last [3]."
    )
    assert cited_in(text, 3) == [3]


@pytest.mark.parametrize("unit", [" ", "[", "[1", "`", "~ ", "] ", "[1][", "(", "\n", "a. ", "\t[", "、"])
def test_the_work_grows_with_the_length_of_the_text(unit):
    def work(length: int) -> int:
        text = unit * (length // len(unit))
        citations = CitationFilter({1, 2})
        retelling = Retelling("A source.", quote="")
        calls = 0

        def count(_frame, event, _arg):
            nonlocal calls
            calls += event in {"call", "c_call"}

        sys.setprofile(count)
        try:
            for start in range(0, len(text), 3):
                retelling.feed(citations.feed(text[start : start + 3]))
            retelling.feed(citations.finish())
            title_of(text)
        finally:
            sys.setprofile(None)
        assert len(citations._reading._pending) <= 45
        return calls

    assert work(8_000) <= 2.5 * work(4_000)


@pytest.mark.slow
def test_a_million_characters_are_split_in_one_go():
    """With a pattern that goes back over runs of blanks this would take hours, and the suite's time limit ends it."""
    for unit in (" ", "[", "(", "[1", "` "):
        text = unit * (1_000_000 // len(unit))
        assert filtered([text], {1, 2})[0] == text
        title_of(text)


def test_cited_numbers_in_order_of_appearance():
    assert cited_in("See [3], [1, 2] and [3][2-4].", 4) == [3, 1, 2, 4]


@pytest.mark.parametrize(
    ("text", "title"),
    [
        (
            "Deep watering makes roots grow down, where the soil is moist.",
            "Deep watering makes roots grow down",
        ),
        ("# Watering\n\nWater early in the morning, before nine.", "Water early in the morning"),
        ("file: a.md\npage: 2\n\nFoxglove, monkshood and yew are poisonous.", "Foxglove, monkshood"),
        ("Children and visitors\nChildren are welcome.", "Children are welcome"),
        ("A tour takes 90\nminutes and costs nothing.", "A tour takes 90 minutes"),
        (
            "It is on the very end of the long road that leads to the sea",
            "It is on the very end of the long…",
        ),
        ("Watering", "Watering"),
    ],
)
def test_titles_are_beginnings_of_sources(text, title):
    found = title_of(text)
    assert found == title if title != "Foxglove, monkshood" else found.startswith(title)


@given(st.text(min_size=1).filter(str.strip))
def test_any_source_has_a_title_or_none_at_all(text):
    assert "\n" not in title_of(text)
    assert len(title_of(text).split()) <= 9


def test_a_source_skeleton_is_read_back_with_its_numbers():
    texts = {1: "Bees need water.", 4: "Slugs eat at night. Collect them."}
    titles = [point.title for point in parse_skeleton(skeleton_of(texts))]
    assert titles == ["Bees need water [1]", "Slugs eat at night [4]"]


TITLES = st.text() | st.lists(
    st.sampled_from(
        ["Water", "beds early", ": ", " - ", "—", " | ", "[3]", "[1, 2]", "[ 2 ]", "1. ", "3) ", "* ", "# ", "**b**",
         "[a](b)", "(", "|", "`x`", "```", "<b>x</b>", "title: x", '{"a": 1}', '["x"]', "Step 2: ", "① ", "第一、", "C++",
         "x = ", "->", "• ", "&amp;", "\\", "~~~", "…", "\n", " "]
    ), max_size=8
).map("".join)  # fmt: skip


@given(st.dictionaries(st.integers(1, 9), TITLES, min_size=1, max_size=5))
@example({1: "Compost: what goes in", 2: "Watering - how much", 3: "Bees — why not"})
@example({4: "Soil | sand [3] and loam", 5: "As said in [1, 2] it is so"})
@example({2: "We teach C++", 3: "A. Smith", 5: "- "})
@example({1: "Add 3) water then 4) wait", 2: "Then 3) turn it and 4) wait"})
def test_every_title_of_a_source_skeleton_is_read_back_with_its_own_number_alone(texts):
    texts = dict(sorted(texts.items()))
    titles = [point.title for point in parse_skeleton(skeleton_of(texts))]
    assert [named_in(title, texts, 9) for title in titles] == [[number] for number in texts]
    for title, number in zip(titles, texts, strict=True):
        assert re.findall(r"\[[\d\s,]*\d[\d\s,]*\]", title) == [f"[{number}]"]
        assert title.endswith(f"[{number}]")


@pytest.mark.parametrize(
    "text",
    [
        "Warning: never mix bleach with vinegar.\n\nIt gives off chlorine.",
        "tip: water before nine.\n\nIt saves a third.",
        "plant: leek; sown: March\n\nplant: kale; sown: May",
        "plant: leek\n\nplant: kale; sown: May",
        "Monday 9 to 17\nTuesday 9 to 12",
        "Opening hours 9 to 17\nOn Sundays nobody is there.",
        "Leeks in March\nKale in April",
    ],
)
def test_what_a_source_begins_with_is_not_taken_for_metadata_or_a_heading(text):
    assert without_heading(text) == " ".join(text.split())


@pytest.mark.parametrize("metadata", ["file: a.md\npage: 2", "page_label: 3\nfile_name: Tips, 2nd ed.pdf"])
def test_metadata_are_no_part_of_a_source(metadata):
    assert without_heading(f"{metadata}\n\nYew is poisonous.") == "Yew is poisonous."


def test_sources_cite_themselves_behind_every_sentence():
    assert with_citations(3, "# Bees\n\nBees drink. Do they? At 6.30 a.m!") == (
        "Bees drink [3]. Do they [3]? At 6.30 a.m [3]!"
    )
    assert re.fullmatch(r"No end", with_citations(3, "No end"))


HEAP = "A heap reaches 60 degrees, which kills most weed seeds. Turn it in spring."


def retold(pieces: list[str]) -> tuple[str, int]:
    retelling = Retelling(HEAP, quote=" QUOTE")
    return "".join(map(retelling.feed, pieces)) + retelling.finish(), retelling.removed


@pytest.mark.parametrize(
    ("text", "expected", "removed"),
    [
        (" The heap kills seeds [4]. Turn it [4].", " The heap kills seeds [4]. Turn it [4].", 0),
        (" It kills seeds. Drivers pay four euros [4]. Turn it.", " It kills seeds. Turn it.", 1),
        (" Drivers pay four euros a day [4].", " QUOTE", 1),
        (" [4].", " QUOTE", 0),
        ("", " QUOTE", 0),
        (" Reaching 60 degrees", " Reaching 60 degrees", 0),
        (" Turn it [4]. Turn it [4]. Turn it", " Turn it [4].", 2),
        (
            " It has 60 degrees [4]. It has 70 degrees [4].",
            " It has 60 degrees [4]. It has 70 degrees [4].",
            0,
        ),
    ],
)
def test_a_retelling_keeps_to_its_source(text, expected, removed):
    assert retold([text]) == (expected, removed)
    assert retold(list(text)) == (expected, removed)
