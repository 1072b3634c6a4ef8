import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skeleton_of_thought.errors import ConfigurationError
from skeleton_of_thought.routing import Decision, FixedRouter, LabelledQuestion
from skeleton_of_thought.routing.training.calibration import calibrate
from skeleton_of_thought.routing.training.metrics import (
    Scores,
    calibration_error,
    evaluate,
    probability,
    wilson,
)

LABELS = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60)


def test_scores_by_hand() -> None:
    scores = Scores(true_positives=3, false_positives=1, false_negatives=2, true_negatives=4)
    assert scores.accuracy == 0.7
    assert scores.precision == 0.75
    assert scores.recall == 0.6
    assert scores.f1 == pytest.approx(2 * 0.75 * 0.6 / 1.35)
    assert scores.false_positive_rate == 0.2


@given(LABELS)
def test_scores_count_everything_once(pairs: list[tuple[bool, bool]]) -> None:
    said, labels = zip(*pairs, strict=True)
    scores = Scores.of(said, labels)
    assert scores.questions == len(pairs)
    assert scores.true_positives + scores.false_negatives == sum(labels)
    assert scores.true_positives + scores.false_positives == sum(said)
    low, high = wilson(scores.true_positives + scores.true_negatives, len(pairs))
    assert low <= scores.accuracy + 1e-9
    assert scores.accuracy <= high + 1e-9


def test_never_has_no_positives_and_no_division_by_zero() -> None:
    scores = Scores.of([False] * 4, [True, False, False, False])
    assert (scores.accuracy, scores.precision, scores.recall, scores.f1) == (0.75, 0.0, 0.0, 0.0)


def test_wilson_against_the_textbook() -> None:
    low, high = wilson(75, 80)
    assert (round(low, 3), round(high, 3)) == (0.862, 0.973)
    assert wilson(0, 0) == (0.0, 1.0)


def test_calibration_error_by_hand() -> None:
    assert calibration_error([0.8] * 5, [True] * 4 + [False]) == pytest.approx(0.0)
    assert calibration_error([1.0, 1.0], [False, False]) == 1.0
    assert calibration_error([0.41, 0.59], [True, False]) == pytest.approx(0.59)  # two bins: nothing cancels
    assert calibration_error([0.25, 0.25, 0.95], [False, False, True]) == pytest.approx((0.5 + 0.05) / 3)


class Slow:
    def route(self, messages):
        time.sleep(0.002)
        return Decision("sot" if "yes" in messages[-1].text else "direct", 0.9, "")

    async def aroute(self, messages):
        return self.route(messages)


def test_an_evaluation_measures_decisions_and_time() -> None:
    questions = [
        LabelledQuestion("yes", suitable=True),
        LabelledQuestion("yes!", suitable=False),
        LabelledQuestion("no", suitable=False),
    ]
    measured = evaluate(Slow(), questions)
    assert measured.said == (True, True, False)
    assert measured.scores == Scores(1, 1, 0, 1)
    assert measured.ece == pytest.approx((0.8 + 0.1) / 3)
    assert 0.002 <= measured.median_seconds <= measured.p95_seconds
    assert probability(Decision("direct", 0.9, "")) == pytest.approx(0.1)
    assert evaluate(FixedRouter("direct"), questions).scores.accuracy == pytest.approx(2 / 3)


def test_the_threshold_follows_the_prices() -> None:
    stated = [0.1, 0.3, 0.4, 0.6, 0.7, 0.9]
    labels = [False, True, False, True, False, True]
    even = calibrate(stated, labels)
    assert even.best.cost == pytest.approx(2 / 6)
    strict = calibrate(stated, labels, cost_yes=10)
    assert strict.best.threshold == pytest.approx(0.8)
    assert strict.best.scores.false_positives == 0
    eager = calibrate(stated, labels, cost_no=10)
    assert eager.best.threshold == pytest.approx(0.2)
    assert eager.best.scores.false_negatives == 0
    assert [point.threshold for point in even.curve] == sorted(point.threshold for point in even.curve)


@given(
    # Thousandths: between two numbers next to each other, such as 0 and the smallest above it, is no threshold.
    st.lists(st.tuples(st.integers(0, 1000).map(lambda n: n / 1000), st.booleans()), min_size=1, max_size=40),
    st.floats(0, 10),
    st.floats(0, 10),
)
def test_no_other_threshold_is_cheaper(pairs, cost_yes: float, cost_no: float) -> None:
    stated, labels = zip(*pairs, strict=True)
    best = calibrate(stated, labels, cost_yes=cost_yes, cost_no=cost_no).best
    for threshold in [0.0, *stated, 1.1]:
        scores = Scores.of([value >= threshold for value in stated], labels)
        cost = (scores.false_positives * cost_yes + scores.false_negatives * cost_no) / len(labels)
        assert best.cost <= cost + 1e-9 or (threshold == 1.1 and 1.0 in stated)


def test_calibration_without_questions_or_with_a_negative_price_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="0 questions"):
        calibrate([], [])
    with pytest.raises(ConfigurationError, match="cost_no=-1"):
        calibrate([0.5], [True], cost_no=-1)
