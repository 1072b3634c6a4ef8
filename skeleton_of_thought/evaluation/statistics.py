"""Means and their uncertainty: small functions, checked against cases counted by hand."""

from __future__ import annotations

import math
import random
from collections import Counter
from dataclasses import dataclass
from statistics import fmean, geometric_mean
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

RESAMPLES: Final = 1000
"""How often questions are drawn again; fewer times when there are thousands, so that a report takes seconds."""

_MOST_DRAWS: Final = 1_000_000
_LEAST_RESAMPLES: Final = 200
CONFIDENCE: Final = 0.95

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure and the range its like fall into when the questions are drawn again.

    Attributes:
        value: The figure of the questions as they are.
        low: Lower end of the 95 % interval.
        high: Upper end.
        count: How many questions it rests on.
    """

    value: float
    low: float
    high: float
    count: int

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers."""
        return {"value": self.value, "low": self.low, "high": self.high, "count": self.count}


def bootstrap(
    values: Sequence[_T],
    statistic: Callable[[Sequence[_T]], float],
    *,
    resamples: int | None = None,
    seed: int = 0,
) -> Interval | None:
    """A statistic with its 95 % percentile bootstrap interval; None without values.

    Args:
        values: One per question.
        statistic: Any function of such a sequence.
        resamples: How often as many values are drawn, with replacement; None for `RESAMPLES`, or down to 200 if
            that makes more than a million draws.
        seed: The same seed draws the same.
    """
    if not values:
        return None
    draw = random.Random(seed)
    count = len(values)
    if resamples is None:
        resamples = min(RESAMPLES, max(_LEAST_RESAMPLES, _MOST_DRAWS // count))
    found = sorted(statistic(draw.choices(values, k=count)) for _ in range(resamples))
    edge = (1 - CONFIDENCE) / 2
    return Interval(statistic(values), quantile(found, edge), quantile(found, 1 - edge), count)


def quantile(ordered: Sequence[float], share: float) -> float:
    """The value below which a share of the sorted values lies, interpolated between neighbours.

    Example:
        >>> quantile([1.0, 2.0, 3.0, 4.0], 0.5)
        2.5
    """
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def speed_up(pairs: Sequence[tuple[float, float]]) -> float:
    """How many times as fast: the geometric mean of the questions' ratios, plain seconds to others.

    Twice as fast and half as fast are then as good as unchanged, which a mean of ratios would not say.

    Example:
        >>> round(speed_up([(2.0, 1.0), (1.0, 2.0)]), 12)
        1.0
    """
    return geometric_mean([plain / other for plain, other in pairs])


def balance(lengths: Sequence[float]) -> float | None:
    """How even the points are: mean length over the longest, 1 if all are alike; None without text.

    The longest point decides when the answer is complete, so this is the share of the parallel time in use.

    Example:
        >>> balance([10, 20, 30])
        0.6666666666666666
    """
    longest = max(lengths, default=0)
    return fmean(lengths) / longest if longest else None


def cohens_kappa(pairs: Sequence[tuple[Hashable, Hashable]]) -> float | None:
    """Agreement of two judges beyond chance (Cohen 1960); None without pairs, or if chance explains everything.

    Example:
        >>> cohens_kappa([("win", "win"), ("win", "lose"), ("lose", "lose"), ("lose", "lose")])
        0.5
    """
    if not pairs:
        return None
    total = len(pairs)
    seen = sum(first == second for first, second in pairs) / total
    firsts, seconds = (Counter(pair[side] for pair in pairs) for side in (0, 1))
    chance = sum(firsts[name] * seconds[name] for name in firsts) / total**2
    return None if chance == 1 else (seen - chance) / (1 - chance)


def intercept(points: Sequence[tuple[float, float]]) -> float:
    """Where the least-squares line through (x, y) meets x = 0; the mean of y if all x are the same.

    Example:
        >>> intercept([(1.0, 3.0), (2.0, 5.0)])
        1.0
    """
    x_mean, y_mean = fmean(x for x, _ in points), fmean(y for _, y in points)
    spread = sum((x - x_mean) ** 2 for x, _ in points)
    if spread == 0:
        return y_mean
    slope = sum((x - x_mean) * (y - y_mean) for x, y in points) / spread
    return y_mean - slope * x_mean
