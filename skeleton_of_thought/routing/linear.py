"""A logistic model over named features, small enough to ship as JSON and to read in an editor."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, replace
from importlib import resources
from typing import TYPE_CHECKING, Any

from skeleton_of_thought.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from importlib.resources.abc import Traversable
    from pathlib import Path

_LARGEST_LOGIT = 3.0
"""Log-odds that are approached and never reached: among questions unlike those of the training, one in twenty of the
surest decisions is wrong, so no probability is below .05 or above .95, and those near it are drawn in."""

_SHARE_UNTOLD = 0.37
"""Share of suitable questions behind weights that do not say theirs."""


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one feature added to the log-odds that a skeleton pays; negative speaks for "direct"."""

    feature: str
    log_odds: float


@dataclass(frozen=True, slots=True)
class LinearModel:
    """Weights whose probabilities are calibrated: the training folds the calibration into them.

    Attributes:
        bias: Log-odds of a question with no known feature.
        weights: Log-odds per unit of a feature.
        threshold: Probability from which the answer is "sot", unless the router is told another.
        share: Of suitable questions in the traffic the probabilities are right for.
        about: How the weights were trained and what they scored; for people, not used here.
    """

    bias: float
    weights: Mapping[str, float]
    threshold: float = 0.5
    share: float = _SHARE_UNTOLD
    about: Mapping[str, Any] = field(default_factory=dict)

    def probability(self, values: Mapping[str, float]) -> float:
        """Probability that a skeleton pays; unknown features count nothing."""
        known = self.weights
        return sigmoid(
            self.bias + sum(known[name] * value for name, value in values.items() if name in known)
        )

    def for_share(self, share: float | None) -> LinearModel:
        """The same model for traffic with another share of suitable questions; None for the share it has.

        What a question looks like is as telling as before, only the odds before looking are others (prior shift).

        Raises:
            ConfigurationError: The share is not between 0 and 1.
        """
        if share is None:
            return self
        if not 0.0 < share < 1.0:
            raise ConfigurationError(
                f"share={share!r} is no share of suitable questions. Give a number above 0 and below 1, such as "
                "0.2 where one question in five wants several points.",
            )
        return replace(self, bias=self.bias + log_odds(share) - log_odds(self.share), share=share)

    def contributions(self, values: Mapping[str, float]) -> list[Contribution]:
        """What each known feature added, the strongest first."""
        found = [
            Contribution(name, self.weights[name] * value)
            for name, value in values.items()
            if self.weights.get(name)
        ]
        return sorted(found, key=lambda item: -abs(item.log_odds))

    def save(self, path: Path) -> None:
        """Write the model as JSON, one weight per line so that two trainings can be compared."""
        content = {
            "about": self.about,
            "threshold": self.threshold,
            "share": self.share,
            "bias": round(self.bias, 4),
            "weights": {name: round(weight, 4) for name, weight in sorted(self.weights.items())},
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path | Traversable) -> LinearModel:
        """Read a model written by `save`.

        Raises:
            ConfigurationError: The file is missing or is something else.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            return cls(
                float(content["bias"]),
                {str(name): float(weight) for name, weight in content["weights"].items()},
                float(content["threshold"]),
                float(content.get("share", _SHARE_UNTOLD)),
                content["about"],
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigurationError(
                f"{path} holds no router weights ({type(error).__name__}: {error}). "
                "Write them with `sot router train --base lexical --out FILE`.",
            ) from error

    @classmethod
    def shipped(cls, name: str) -> LinearModel:
        """The weights `name` that come with the package."""
        return cls.load(resources.files("skeleton_of_thought.routing").joinpath(f"data/{name}.json"))


def sigmoid(logit: float) -> float:
    """Probability of a log-odds, drawn in smoothly so that it stays between .05 and .95; the order is kept."""
    return 1.0 / (1.0 + math.exp(-_LARGEST_LOGIT * math.tanh(logit / _LARGEST_LOGIT)))


def log_odds(probability: float) -> float:
    """Log-odds of a probability between 0 and 1."""
    return math.log(probability / (1.0 - probability))


def checked_threshold(threshold: float) -> float:
    """The threshold, if it is one.

    Raises:
        ConfigurationError: It is not between 0 and 1.
    """
    if not 0.0 <= threshold <= 1.0:
        raise ConfigurationError(
            f"threshold={threshold!r} is no probability. Give a number from 0 (always) to 1 (hardly ever).",
        )
    return threshold
