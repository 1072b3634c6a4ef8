"""How good a router is: accuracy, precision, recall, F1, false-positive rate, calibration, latency."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from statistics import median, quantiles
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skeleton_of_thought.routing.decision import Decision, Router
    from skeleton_of_thought.routing.labels import LabelledQuestion

_Z_95: Final = 1.959964
_BINS: Final = 10


@dataclass(frozen=True, slots=True)
class Scores:
    """Counts against the labels, and what follows from them; a ratio without a denominator is 0."""

    true_positives: int
    false_positives: int
    false_negatives: int
    true_negatives: int

    @classmethod
    def of(cls, said: Sequence[bool], labels: Sequence[bool]) -> Scores:
        """Count what was said against the labels."""
        pairs = list(zip(said, labels, strict=True))
        return cls(
            *(pairs.count(pair) for pair in ((True, True), (True, False), (False, True), (False, False)))
        )

    @property
    def questions(self) -> int:
        """How many were judged."""
        return self.true_positives + self.false_positives + self.false_negatives + self.true_negatives

    @property
    def accuracy(self) -> float:
        """Share judged as the label says."""
        return _share(self.true_positives + self.true_negatives, self.questions)

    @property
    def precision(self) -> float:
        """Share of the "sot" that are right."""
        return _share(self.true_positives, self.true_positives + self.false_positives)

    @property
    def recall(self) -> float:
        """Share of the suitable questions that got "sot"."""
        return _share(self.true_positives, self.true_positives + self.false_negatives)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        wrong = self.false_positives + self.false_negatives
        return _share(2 * self.true_positives, 2 * self.true_positives + wrong)

    @property
    def false_positive_rate(self) -> float:
        """Share of the unsuitable questions that got "sot"."""
        return _share(self.false_positives, self.false_positives + self.true_negatives)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One router on one set of labelled questions.

    Attributes:
        scores: Counts and ratios.
        ece: Expected calibration error of the probability of "sot", ten bins of equal width.
        decisions: What the router said, in the order of the questions.
        labels: What people said.
        median_seconds: Time of a decision.
        p95_seconds: Time that 95 % of the decisions stayed within.
    """

    scores: Scores
    ece: float
    decisions: tuple[Decision, ...]
    labels: tuple[bool, ...]
    median_seconds: float
    p95_seconds: float

    @property
    def said(self) -> tuple[bool, ...]:
        """Whether the router said "sot", in the order of the questions."""
        return tuple(decision.route == "sot" for decision in self.decisions)


def evaluate(router: Router, questions: Sequence[LabelledQuestion]) -> Evaluation:
    """Ask a router about every question; the clock is around the call, whatever the router reports."""
    router.route(questions[0].messages)  # what is loaded at the first call is no part of a decision
    decisions, seconds = [], []
    for question in questions:
        started = time.perf_counter()
        decisions.append(router.route(question.messages))
        seconds.append(time.perf_counter() - started)
    labels = tuple(question.suitable for question in questions)
    return Evaluation(
        Scores.of([decision.route == "sot" for decision in decisions], labels),
        calibration_error([probability(decision) for decision in decisions], labels),
        tuple(decisions),
        labels,
        median(seconds),
        quantiles(seconds, n=20, method="inclusive")[-1] if len(seconds) > 1 else seconds[0],
    )


def probability(decision: Decision) -> float:
    """The probability of "sot" behind a decision."""
    return decision.confidence if decision.route == "sot" else 1.0 - decision.confidence


def calibration_error(probabilities: Sequence[float], labels: Sequence[bool]) -> float:
    """Expected calibration error: how far stated probabilities are from what happens, on average."""
    bins: dict[int, list[tuple[float, bool]]] = {}
    for stated, label in zip(probabilities, labels, strict=True):
        bins.setdefault(min(_BINS - 1, int(stated * _BINS)), []).append((stated, label))
    gaps = (abs(sum(stated - label for stated, label in group)) for group in bins.values())
    return _share(sum(gaps), len(labels))


def wilson(hits: int, trials: int) -> tuple[float, float]:
    """95 % interval of a share, by Wilson's score; stays within 0 and 1 and is honest near the ends."""
    if not trials:
        return (0.0, 1.0)
    share, scale = hits / trials, _Z_95**2 / trials
    middle = (share + scale / 2) / (1 + scale)
    half = math.sqrt(share * (1 - share) * scale + scale**2 / 4) / (1 + scale)
    return (max(0.0, middle - half), min(1.0, middle + half))


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
