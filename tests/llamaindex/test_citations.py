from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llamaindex_sot.sources.citations import CitationFilter, cited_in
from llamaindex_sot.sources.retelling import Retelling
from llamaindex_sot.sources.titles import skeleton_of, title_of, with_citations
from skeleton_of_thought import parse_skeleton

PIECES = st.lists(
    st.sampled_from([*"[]0129,;- `.\n", "a ", "[1]", " [9]", "[1, 9]", "```", " [2-3]", "–"]), max_size=30
)


def filtered(pieces: list[str], numbers: set[int]) -> tuple[str, int]:
    citations = CitationFilter(numbers)
    text = "".join(map(citations.feed, pieces)) + citations.finish()
    return text, citations.removed


@pytest.mark.parametrize(
    ("text", "expected", "removed"),
    [
        ("Kept [1].", "Kept [1].", 0),
        ("Gone [9].", "Gone.", 1),
        ("Gone[9] too", "Gone too", 1),
        ("Both [1][9] here", "Both [1] here", 1),
        ("List [1, 2]", "List [1, 2]", 0),
        ("List [1, 9, 2; 8]", "List [1, 2]", 2),
        ("Range [1-3]", "Range [1, 2]", 1),
        ("Range [2–1]", "Range [2–1]", 0),
        ("In code `x[9]` and\n```\na[7] = 1\n```\n[9]", "In code `x[9]` and\n```\na[7] = 1\n```\n", 1),
        ("No citation [a] [] [1.2] [sic]", "No citation [a] [] [1.2] [sic]", 0),
        ("Unfinished [9", "Unfinished [9", 0),
        ("Line\n[9] begins", "Line\n begins", 1),
        ("Years [2019-2021]", "Years", 3),
    ],
)
def test_only_given_chunks_stay_cited(text, expected, removed):
    assert filtered([text], {1, 2}) == (expected, removed)


@given(PIECES, st.integers(1, 5))
def test_the_cut_of_the_stream_does_not_matter(pieces, size):
    text = "".join(pieces)
    cut = [text[start : start + size] for start in range(0, len(text), size)]
    assert filtered(cut, {1, 2}) == filtered([text], {1, 2})


@given(PIECES)
def test_what_is_left_cites_given_chunks_only(pieces):
    text, _ = filtered(pieces, {1, 2})
    outside_code = "".join(text.split("`")[::2])
    assert set(cited_in(outside_code)) <= {1, 2}


@given(PIECES)
def test_shown_text_is_never_taken_back(pieces):
    citations, shown = CitationFilter({1}), ""
    for piece in pieces:
        shown += citations.feed(piece)
    assert filtered(pieces, {1})[0].startswith(shown)


def test_cited_numbers_in_order_of_appearance():
    assert cited_in("See [3], [1, 2] and [3][2-4].") == [3, 1, 2, 4]


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
        ("It is on the very end of the long road that leads to the sea", "It is on the very end of the long"),
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
