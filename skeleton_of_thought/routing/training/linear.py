"""Train the logistic model of a router: cross-validated, calibrated, small.

Needs scikit-learn (extra `routers`); what it writes is read without it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from skeleton_of_thought.errors import ConfigurationError, require
from skeleton_of_thought.routing.decision import Question
from skeleton_of_thought.routing.embedding import Encoder
from skeleton_of_thought.routing.features import features
from skeleton_of_thought.routing.linear import LinearModel, sigmoid
from skeleton_of_thought.routing.sentences import PACKAGED_MODEL
from skeleton_of_thought.routing.training.metrics import Scores, calibration_error

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from skeleton_of_thought.routing.labels import LabelledQuestion


@dataclass(frozen=True, slots=True)
class LinearOptions:
    """How a logistic model is trained.

    Attributes:
        strength: Inverse of the L2 penalty.
        rarest: A feature seen in fewer questions than this is left out.
        folds: Of the cross-validation that calibrates the probabilities and measures the model.
        threshold: Stored with the weights as the default of the router; above one half it leans to "direct".
        share: Of suitable questions in the traffic the probabilities are for. People's real traffic has 10 to 27 %,
            training sets more; the difference is taken out of the bias.
        part_weight: Of a question of a named writer's part. Those were written to mislead; counting as much as the
            others, they made the router worse on ordinary questions.
        seed: Of the folds.
    """

    strength: float = 0.1
    rarest: int = 4
    folds: int = 5
    threshold: float = 0.5
    share: float = 0.27
    part_weight: float = 0.5
    seed: int = 0


EMBEDDING_OPTIONS: Final = LinearOptions(strength=0.05, part_weight=0.25)


@dataclass(frozen=True, slots=True)
class TrainedLinear:
    """A trained model, and what it said about each training question when it had not seen it.

    Attributes:
        model: Trained on everything.
        held_out: Calibrated probability per question, from the fold that left the question out, for the share of
            suitable questions among them.
    """

    model: LinearModel
    held_out: tuple[float, ...]


def train_linear(
    values: Sequence[Mapping[str, float]],
    labels: Sequence[bool],
    *,
    targets: Sequence[Sequence[tuple[bool, float]]] | None = None,
    groups: Sequence[str] | None = None,
    options: LinearOptions | None = None,
) -> TrainedLinear:
    """Train a logistic model on named features.

    The probabilities are calibrated by Platt's method on held-out folds, and the calibration, being linear in
    the log-odds, is folded into the weights. Where groups are given, a fold leaves whole groups out: what is
    learnt is how sure to be of a question from somebody else, of another kind.

    Args:
        values: The features of each question.
        labels: Whether each is suitable; what `held_out` and the share are measured by.
        targets: What to believe of each instead, as labels and weights, where people disagreed.
        groups: Whose each question is, or of what kind; fewer different ones than folds are not used.
        options: Penalty, folds, share, threshold.

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
    numpy = require("numpy", extra="routers", needed_for="Training a router")
    linear = require("sklearn.linear_model", extra="routers", needed_for="Training a router")
    selection = require("sklearn.model_selection", extra="routers", needed_for="Training a router")
    vectorizer = require(
        "sklearn.feature_extraction", extra="routers", needed_for="Training a router"
    ).DictVectorizer()

    seen = Counter(name for row in values for name in row)
    kept = [{name: value for name, value in row.items() if seen[name] >= options.rarest} for row in values]
    matrix = vectorizer.fit_transform(kept).tocsr()
    targets = targets or [((label, 1.0),) for label in labels]
    log_odds_of = [0.0] * len(labels)

    def fitted(model: Any, inputs: Any, chosen: Sequence[int]) -> Any:
        """A model of these questions, each as often as it has targets."""
        repeated = [(place, *target) for place, row in enumerate(chosen) for target in targets[row]]
        places, believed, weights = zip(*repeated, strict=True)
        return model.fit(inputs[list(places)], believed, sample_weight=weights)

    def classifier() -> Any:
        return linear.LogisticRegression(C=options.strength, max_iter=3000)

    everything = range(len(labels))
    for learnt, left_out in _folds(selection, labels, groups, options):
        rows = learnt.tolist()
        found = fitted(classifier(), matrix[rows], rows).decision_function(matrix[left_out])
        for row, value in zip(left_out.tolist(), found.tolist(), strict=True):
            log_odds_of[row] = value

    column = numpy.array(log_odds_of).reshape(-1, 1)
    platt = fitted(linear.LogisticRegression(C=1e6), column, everything)
    slope, shift = float(platt.coef_[0, 0]), float(platt.intercept_[0])
    whole = fitted(classifier(), matrix, everything)
    weights = zip(vectorizer.get_feature_names_out(), whole.coef_[0], strict=True)
    share = sum(labels) / len(labels)
    model = LinearModel(
        slope * float(whole.intercept_[0]) + shift,
        {str(name): slope * float(weight) for name, weight in weights},
        options.threshold,
        share,
    )
    held_out = tuple(sigmoid(slope * value + shift) for value in log_odds_of)
    return TrainedLinear(model.for_share(options.share), held_out)


def _folds(
    selection: Any, labels: Sequence[bool], groups: Sequence[str] | None, options: LinearOptions
) -> Iterable[tuple[Any, Any]]:
    """Rows to learn from and rows to leave out, for every fold."""
    if groups is None or len({*groups}) < options.folds:
        folds = selection.StratifiedKFold(options.folds, shuffle=True, random_state=options.seed)
        return list(folds.split(labels, labels))
    return list(selection.GroupKFold(options.folds).split(labels, labels, groups))


def train_lexical(
    questions: Sequence[LabelledQuestion], *, options: LinearOptions | None = None
) -> TrainedLinear:
    """Train the weights of `LexicalRouter`."""
    values = [features(Question.of(question.messages)) for question in questions]
    return _train(questions, values, options or LinearOptions(), {"router": "lexical"})


def train_embedding(
    questions: Sequence[LabelledQuestion],
    *,
    model: str | None = None,
    options: LinearOptions | None = None,
) -> TrainedLinear:
    """Train the weights of `EmbeddingRouter` for an encoder; default: the packaged one."""
    embedded = Encoder(model).features([question.request for question in questions])
    lexical = [features(Question.of(question.messages)) for question in questions]
    values = [looks | meaning for looks, meaning in zip(lexical, embedded, strict=True)]
    about = {"router": "embedding", "model": model or PACKAGED_MODEL}
    return _train(questions, values, options or EMBEDDING_OPTIONS, about)


def _train(
    questions: Sequence[LabelledQuestion],
    values: Sequence[Mapping[str, float]],
    options: LinearOptions,
    about: Mapping[str, Any],
) -> TrainedLinear:
    labels = [question.suitable for question in questions]
    trained = train_linear(
        values,
        labels,
        targets=[
            [
                (label, weight * (options.part_weight if question.part else 1.0))
                for label, weight in question.targets
            ]
            for question in questions
        ],
        groups=[question.part or question.category for question in questions],
        options=options,
    )
    scores = Scores.of([stated >= options.threshold for stated in trained.held_out], labels)
    measured = {
        "accuracy": round(scores.accuracy, 3),
        "f1": round(scores.f1, 3),
        "false_positive_rate": round(scores.false_positive_rate, 3),
        "ece": round(calibration_error(trained.held_out, labels), 3),
    }
    note = {**about, "questions": len(labels), "suitable": sum(labels), "options": asdict(options)}
    model = replace(trained.model, about={**note, f"left_out_{options.folds}": measured})
    return replace(trained, model=model)
