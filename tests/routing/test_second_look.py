"""The set stands in benchmarks/second_looks.txt; every second row was kept back from the patterns."""

from pathlib import Path

import pytest

from skeleton_of_thought.routing import second_look

ROWS = [
    line.split("|")
    for line in (Path(__file__).parents[2] / "benchmarks/second_looks.txt").read_text("utf-8").splitlines()
]


@pytest.mark.parametrize("half", [0, 1])
def test_outlines_of_one_work_are_found_and_others_left_alone(half: int) -> None:
    said = [
        (label == "0", second_look(question, titles.split("; ")) is not None)
        for label, question, titles in ROWS[half::2]
    ]
    found = [wanted for wanted, turned in said if turned]
    assert sum(found) / len(found) >= 0.9
    assert sum(found) / sum(wanted for wanted, _ in said) >= 0.75


def test_the_reason_names_the_titles() -> None:
    reason = second_look("Tell me a story", ["Chapter 1: Rain", "Chapter 2: Sun", "Chapter 3: Snow"])
    assert reason == "the outline is one text: Chapter 1: Rain, Chapter 2: Sun, Chapter 3: Snow"


def test_one_title_says_nothing() -> None:
    assert second_look("How do I write well?", ["Introduction", "Voice", "Rhythm"]) is None
    assert second_look("Anything", []) is None
