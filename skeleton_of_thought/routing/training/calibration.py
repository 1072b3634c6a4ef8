"""The threshold that fits what mistakes cost.

A wrong "sot" costs an answer in pieces where one piece was wanted; a wrong "direct" costs only waiting.
Whoever runs the product knows the prices; the labelled questions tell how often each mistake happens.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from skeleton_of_thought.errors import ConfigurationError
from skeleton_of_thought.routing.training.metrics import Scores

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Threshold:
    """One point of the curve.

    Attributes:
        threshold: Probability from which the route is "sot".
        scores: What happens there.
        cost: Of the mistakes, per question.
    """

    threshold: float
    scores: Scores
    cost: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """The whole curve, and its cheapest point.

    Attributes:
        curve: From low thresholds to high ones, one for every way to divide the questions.
        best: The cheapest; among equals the one that says "sot" least.
    """

    curve: tuple[Threshold, ...]
    best: Threshold


def calibrate(
    probabilities: Sequence[float],
    labels: Sequence[bool],
    *,
    cost_yes: float = 1.0,
    cost_no: float = 1.0,
) -> Calibration:
    """Find the cheapest threshold.

    Args:
        probabilities: What the router says about each question: the probability of "sot".
        labels: What people say.
        cost_yes: Price of a wrong "sot".
        cost_no: Price of a wrong "direct".

    Raises:
        ConfigurationError: There are no questions, or a price is negative.
    """
    if not labels or min(cost_yes, cost_no) < 0:
        raise ConfigurationError(
            f"{len(labels)} questions with cost_yes={cost_yes} and cost_no={cost_no} fix no threshold. "
            "Give labelled questions and prices of 0 or more.",
        )
    values = sorted({*probabilities})
    between = [(low + high) / 2 for low, high in pairwise(values)]
    curve = []
    for threshold in [0.0, *between, 1.0]:
        scores = Scores.of([stated >= threshold for stated in probabilities], labels)
        cost = scores.false_positives * cost_yes + scores.false_negatives * cost_no
        curve.append(Threshold(threshold, scores, cost / len(labels)))
    return Calibration(tuple(curve), min(curve, key=lambda point: (point.cost, -point.threshold)))
