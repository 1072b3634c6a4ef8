import importlib.util
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skeleton_of_thought.given_outline import FEWEST, given_outline


def titles(question: str) -> list[str]:
    return [point.title for point in given_outline(question)]


@pytest.mark.parametrize("kept_back", [False, True])
def test_precision_comes_first_on_the_set_written_for_it(kept_back: bool) -> None:
    file = Path(__file__).parents[2] / "benchmarks" / "given_outlines.py"
    spec = importlib.util.spec_from_file_location("given_outlines_benchmark", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    figures = module.measure(kept_back=kept_back)
    assert (figures["positives"], figures["negatives"]) == (75, 150)
    assert figures["precision"] >= 0.95
    assert figures["recall"] >= 0.8
    assert figures["right_points"] >= 0.95


def test_each_way_to_bring_an_outline() -> None:
    assert titles("Compare oak and beech by price, weight and hardness.") == ["Price", "Weight", "Hardness"]
    assert titles("For each of the following, say how it is played: oboe, harp, organ") == [
        "Oboe",
        "Harp",
        "Organ",
    ]
    assert titles("About tea:\n1. Where does it grow?\n2. How is it dried?\n3. Why is it bitter?") == [
        "Where does it grow?",
        "How is it dried?",
        "Why is it bitter?",
    ]
    assert titles("a) What is jazz? b) Who plays it? c) Where can I hear it?")[2] == "Where can I hear it?"


@pytest.mark.parametrize(
    "question",
    [
        "",
        "Compare oak and beech by price, weight and hardness and tell me which one to buy.",
        "1. What is tea? 2. Why do people drink it? 3. What follows from the previous answers?",
        "a) What is jazz? b) Who plays it?",
        "1. What is tea? 3. Who grows it? 2. How is it dried?",
        "Translate each of the following: bread, salt, water",
    ],
)
def test_what_cannot_be_answered_one_by_one_is_left_alone(question: str) -> None:
    assert given_outline(question) == ()


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet="abc 123.)(\n,:;?-*andcompareby each of the following", max_size=200))
def test_any_text_gives_no_outline_or_a_numbered_one(question: str) -> None:
    points = given_outline(question)
    assert not points or len(points) >= FEWEST
    assert [point.index for point in points] == list(range(1, len(points) + 1))
    assert all(point.title for point in points)
