"""Train the logistic model of a router: cross-validated, calibrated, small.

Needs scikit-learn (extra `routers`); what it writes is read without it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from skeleton_of_thought.errors import ConfigurationError, require
from skeleton_of_thought.routing.linear import LinearModel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class LinearOptions:
    """How a logistic model is trained.

    Attributes:
        strength: Inverse of the L2 penalty.
        rarest: A feature seen in fewer questions than this is left out.
        folds: Of the cross-validation that calibrates the probabilities and measures the model.
        threshold: Stored with the weights as the default of the router.
        seed: Of the folds.
    """

    strength: float = 0.3
    rarest: int = 4
    folds: int = 5
    threshold: float = 0.5
    seed: int = 0


@dataclass(frozen=True, slots=True)
class TrainedLinear:
    """A trained model, and what it said about each training question when it had not seen it.

    Attributes:
        model: Trained on everything.
        held_out: Calibrated probability per question, from the fold that left the question out.
    """

    model: LinearModel
    held_out: tuple[float, ...]


def train_linear(
    values: Sequence[Mapping[str, float]],
    labels: Sequence[bool],
    *,
    options: LinearOptions | None = None,
    about: Mapping[str, Any] | None = None,
) -> TrainedLinear:
    """Train a logistic model on named features.

    The probabilities are calibrated by Platt's method on held-out folds, and the calibration, being linear in
    the log-odds, is folded into the weights.

    Raises:
        ConfigurationError: There are too few questions of one kind for the folds.
        MissingExtraError: scikit-learn is not installed.
    """
    options = options or LinearOptions()
    if min(Counter(labels)[kind] for kind in (True, False)) < options.folds:
        raise ConfigurationError(
            f"{len(labels)} questions with {sum(labels)} suitable are too few for {options.folds} folds. "
            "Give more questions of both kinds.",
        )
    linear = require("sklearn.linear_model", extra="routers", needed_for="Training a router")
    selection = require("sklearn.model_selection", extra="routers", needed_for="Training a router")
    vectorizer = require(
        "sklearn.feature_extraction", extra="routers", needed_for="Training a router"
    ).DictVectorizer()

    seen = Counter(name for row in values for name in row)
    kept = [{name: value for name, value in row.items() if seen[name] >= options.rarest} for row in values]
    matrix = vectorizer.fit_transform(kept)
    classifier = linear.LogisticRegression(C=options.strength, max_iter=3000)
    folds = selection.StratifiedKFold(options.folds, shuffle=True, random_state=options.seed)
    log_odds = selection.cross_val_predict(classifier, matrix, labels, cv=folds, method="decision_function")

    platt = linear.LogisticRegression(C=1e6).fit(log_odds.reshape(-1, 1), labels)
    slope, shift = float(platt.coef_[0, 0]), float(platt.intercept_[0])
    classifier.fit(matrix, labels)
    weights = zip(vectorizer.get_feature_names_out(), classifier.coef_[0], strict=True)
    model = LinearModel(
        slope * float(classifier.intercept_[0]) + shift,
        {str(name): slope * float(weight) for name, weight in weights},
        options.threshold,
        dict(about or {}),
    )
    return TrainedLinear(model, tuple(platt.predict_proba(log_odds.reshape(-1, 1))[:, 1].tolist()))
