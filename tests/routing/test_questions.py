"""The labelled questions that ship with the project, and what is trained on them."""

import json
from collections import Counter

import pytest

from skeleton_of_thought.routing import LabelledQuestion, read_questions
from skeleton_of_thought.routing.labels import shipped_questions
from skeleton_of_thought.routing.lexical import LexicalRouter
from skeleton_of_thought.routing.linear import LinearModel
from skeleton_of_thought.routing.training.metrics import evaluate
from skeleton_of_thought.routing.training.near_duplicates import near_duplicates


@pytest.fixture(scope="module")
def questions() -> list[LabelledQuestion]:
    return read_questions(shipped_questions())


def test_there_are_enough_of_every_kind(questions: list[LabelledQuestion]) -> None:
    assert len(questions) >= 1500
    assert 0.3 < sum(question.suitable for question in questions) / len(questions) < 0.5
    kinds = Counter(question.category for question in questions)
    wanted = "code compare creative editing fact follow-up format howto letter math multilingual pasted roleplay tool-command"
    assert {*wanted.split()} <= {*kinds}


def test_every_row_is_labelled_with_a_category_a_language_and_a_reason() -> None:
    rows = [json.loads(line) for line in shipped_questions().read_text("utf-8").splitlines()]
    for row in rows:
        assert {*row} - {"follows", "part", "second"} == {
            "request",
            "label",
            "category",
            "language",
            "reason",
        }
        assert all(row[field].strip() for field in ("request", "category", "language", "reason"))
        assert row["label"] in {0, 1}
    assert len({row["language"] for row in rows}) >= 10


@pytest.mark.slow
def test_no_question_is_there_twice(questions: list[LabelledQuestion]) -> None:
    pairs = near_duplicates([question.request for question in questions], threshold=0.6)
    alike = [(questions[pair.first], questions[pair.second]) for pair in pairs]
    assert [pair for pair in alike if pair[0].follows == pair[1].follows] == []


def test_the_shipped_weights_were_trained_on_them(questions: list[LabelledQuestion]) -> None:
    assert LinearModel.shipped("lexical").about["questions"] == len(questions)
    assert LinearModel.shipped("embedding").about["questions"] == len(questions)


@pytest.mark.slow
def test_the_default_router_has_learnt_them(questions: list[LabelledQuestion]) -> None:
    measured = evaluate(LexicalRouter(), questions)
    assert measured.scores.accuracy > 0.85
    assert measured.scores.false_positive_rate < 0.15
    assert measured.ece < 0.15
