"""What is counted in parts, against parts written to be caught, or not."""

from __future__ import annotations

import doctest

import pytest

from skeleton_of_thought.evaluation import part_measures
from skeleton_of_thought.evaluation.part_measures import (
    is_over_length,
    keeps_form,
    restates,
    said_twice,
)
from skeleton_of_thought.evaluation.part_measures import (
    part_measures as measure,
)


def test_examples():
    assert doctest.testmod(part_measures).failed == 0


def test_a_sentence_said_twice_counts_across_parts_only():
    fact = "The tax credit ends in December of this year."
    assert said_twice([f"{fact} {fact}"]) == (2, 0)
    assert said_twice([fact, f"So hurry. {fact}", fact]) == (3, 2)
    assert said_twice([fact, "Something else is said here, at length.", fact]) == (3, 1)
    assert said_twice([f"- {fact}", "Roofs that face north earn only half as much."]) == (2, 0)
    assert said_twice(["Yes, it is.", "Yes, it is."]) == (0, 0)  # too short to mean anything
    assert said_twice(["太阳能电池板十年内回本。", "太阳能电池板十年内就回本。"]) == (2, 1)


@pytest.mark.parametrize(
    ("text", "title", "question", "expected"),
    [
        ("**Cost**\n\nAbout 300 euros.", "Cost", "", True),
        ("Cost: about 300 euros.", "Cost", "", True),
        ("Costs vary.", "Cost", "", False),
        ("## Noise at night\nClose the window.", "Noise at night", "", True),
        ("Noise at night keeps you awake.", "Noise at night", "", True),
        ("Close the window; noise at night keeps you awake.", "Noise at night", "", False),
        ("Learning Spanish within a year takes a plan.", "Plan", "How do I learn Spanish in one year?", True),
        ("Take one lesson every day.", "Plan", "How do I learn Spanish in one year?", False),
        ("", "Plan", "", False),
    ],
)
def test_openings_that_restate(text, title, question, expected):
    assert restates(text, title, question) is expected


TABLE = "| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |"


@pytest.mark.parametrize(
    ("text", "form", "expected"),
    [
        ("- a\n- b\n- c", "three bullets", True),
        ("- a\n- b", "3 bullets", False),
        ("- a\n- b", "2-3 short bullets", True),
        ("Prose.", "bullets", False),
        (TABLE, "table with 2 rows", True),
        (TABLE, "table with 3 rows", False),
        ("- no table", "table", False),
        ("1. a\n2. b", "2 numbered steps", True),
        ("Do a, then b.", "numbered steps", False),
        ("One. Two.", "2 sentences", True),
        ("One. Two. Three. Four.", "2 sentences", False),
        ("- a\n- b\n- c", "3 bullets of one sentence", True),
        ("word " * 100, "120 words", True),
        ("word " * 200, "120 words", False),
        ("- a b\n- c d\n- e f", "3 bullets, 40 words each", True),
        ("- a\n- b", "2 Stichpunkte", True),
        ("Anything.", "spoken words", None),
        ("Anything.", "", None),
    ],
)
def test_forms(text, form, expected):
    assert keeps_form(text, form) is expected


@pytest.mark.parametrize(
    ("text", "form", "expected"),
    [
        ("word " * 121, "3 bullets, 100 words", True),
        ("word " * 120, "3 bullets, 100 words", False),
        ("One. Two. Three.", "2 sentences", True),
        ("word " * 130, "80-110 words", False),
        ("Anything.", "3 bullets", None),
    ],
)
def test_lengths(text, form, expected):
    assert is_over_length(text, form) is expected


def test_the_parts_of_an_answer_those_without_text_left_out():
    found = measure(
        [
            {"title": "Cost", "text": "Cost: it is three hundred euros a year.", "form": "table"},
            {"title": "Noise", "text": "It is three hundred euros a year.", "form": "5 words"},
            {"title": "Time", "text": " ", "form": "table"},
        ]
    )
    assert (found.sentences, found.said_twice) == (2, 1)
    assert found.restating == (True, False)
    assert found.ignores_form == (True, False)
    assert found.over_length == (True,)
