import random

import pytest

from skeleton_of_thought.errors import ConfigurationError
from skeleton_of_thought.routing import LabelledQuestion
from skeleton_of_thought.routing.linear import LinearModel
from skeleton_of_thought.routing.training.linear import LinearOptions, train_lexical, train_linear
from skeleton_of_thought.routing.training.metrics import calibration_error


def noisy(count: int, *, seed: int = 1):
    """Questions whose label follows a feature in four of five cases, and features that say nothing."""
    draw = random.Random(seed)
    values, labels = [], []
    for _ in range(count):
        says = draw.random() < 0.5
        labels.append(says if draw.random() < 0.8 else not says)
        values.append({"tell": float(says), f"noise {draw.randrange(40)}": 1.0})
    return values, labels


def test_probabilities_are_calibrated_and_the_right_feature_is_found() -> None:
    values, labels = noisy(1500)
    trained = train_linear(values, labels)
    loudest = max(trained.model.weights, key=lambda name: abs(trained.model.weights[name]))
    assert loudest == "tell"
    assert calibration_error(trained.held_out, labels) < 0.05
    told = (
        0.27 / 0.73
    )  # odds of traffic with the share that is taken for granted; half of these rows are suitable
    assert trained.model.probability({"tell": 1.0}) == pytest.approx(4 * told / (1 + 4 * told), abs=0.05)
    assert trained.model.probability({}) == pytest.approx(told / 4 / (1 + told / 4), abs=0.05)


def test_rare_features_are_left_out() -> None:
    values, labels = noisy(200)
    values[0] = values[0] | {"once": 1.0}
    assert "once" not in train_linear(values, labels).model.weights
    assert "once" in train_linear(values, labels, options=LinearOptions(rarest=1)).model.weights


def test_too_few_questions_of_a_kind_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="too few for 5 folds"):
        train_linear([{"a": 1.0}] * 20, [True] * 17 + [False] * 3)


def test_lexical_weights_survive_the_file(tmp_path) -> None:
    questions = [
        LabelledQuestion(f"What are the benefits of {thing}?", suitable=True) for thing in "abcdefghij"
    ]
    questions += [LabelledQuestion(f"Write a poem about {thing}.", suitable=False) for thing in "abcdefghij"]
    model = train_lexical(questions).model
    model.save(tmp_path / "w.json")
    again = LinearModel.load(tmp_path / "w.json")
    assert again.weights == pytest.approx(model.weights, abs=1e-4)
    assert again.about["questions"] == 20
    assert again.about["left_out_5"]["accuracy"] == 1.0
