"""The other half of a route: not whether an answer can be written in points, but what that saves.

A short plain answer is over before a skeleton is written. How long it would be is guessed from the question; how fast
this model writes alone and in points is known from its answers so far (`skeleton_of_thought.speeds`).
"""

from __future__ import annotations

import asyncio
import json
import math
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING, Final

from skeleton_of_thought.routing.decision import Decision, Question, Router
from skeleton_of_thought.routing.features import features

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from skeleton_of_thought.messages import Message
    from skeleton_of_thought.speeds import Speeds

CHARACTERS_A_WORD: Final = 6.0
"""With the blank, as English has it; `Speeds` counts characters."""

_LONGEST_WORDS: Final = 600.0
_NOT_FOR_LENGTH: Final = ("word ", "words ", "starts ", "a sentence starts ")


@dataclass(frozen=True, slots=True)
class PlainLength:
    """How long a plain answer to a question would be: a log-linear model of a few dozen kinds and shapes.

    Attributes:
        bias: Logarithm of the words that answer a question with no known feature.
        weights: What a feature adds to it.
    """

    bias: float
    weights: Mapping[str, float]

    def words(self, question: Question) -> float:
        """Words a reader would expect; within a factor of two for two questions in three or better."""
        found = sum(self.weights.get(name, 0.0) * value for name, value in features(question).items())
        return min(_LONGEST_WORDS, math.exp(min(self.bias + found, math.log(_LONGEST_WORDS))))

    @classmethod
    @lru_cache(maxsize=1)
    def shipped(cls) -> PlainLength:
        """The model that comes with the package; `training.lengths` makes it."""
        text = resources.files("skeleton_of_thought.routing").joinpath("data/lengths.json").read_text("utf-8")
        content = json.loads(text)
        return cls(content["bias"], content["weights"])


def length_features(question: Question) -> dict[str, float]:
    """The features that tell of length: kinds of request and shape, no single words."""
    return {name: value for name, value in features(question).items() if not name.startswith(_NOT_FOR_LENGTH)}


@dataclass(frozen=True, slots=True)
class Saving:
    """What a skeleton is expected to save for one question.

    Attributes:
        words: Of the plain answer.
        plain: Its seconds.
        sot: Seconds of an answer of the same length by a skeleton.
    """

    words: float
    plain: float
    sot: float

    @property
    def pays(self) -> bool:
        """Whether the skeleton is expected to be faster."""
        return self.sot < self.plain

    def __str__(self) -> str:
        saved = self.plain - self.sot
        what = f"saves {saved:.1f} of {self.plain:.1f} s" if self.pays else f"costs {-saved:.1f} s more"
        return f"about {self.words:.0f} words; a skeleton {what}"


def saving(question: Question, speeds: Speeds, *, load: float = 0.0) -> Saving | None:
    """What a skeleton would save; None while nothing is known of the model's speeds.

    Args:
        question: What is asked.
        speeds: What the model's answers have told.
        load: Share of the model's capacity in use.
    """
    words = PlainLength.shipped().words(question)
    seconds = speeds.seconds(words * CHARACTERS_A_WORD, load)
    return None if seconds is None else Saving(words, *seconds)


class GainRouter:
    """Asks another router whether points fit, and then whether they are expected to be faster.

    Example:
        >>> from skeleton_of_thought import Message
        >>> from skeleton_of_thought.routing import FixedRouter
        >>> from skeleton_of_thought.speeds import Speeds
        >>> speeds = Speeds()
        >>> speeds.observe_points([(300, 30.0, 3.0), (300, 30.0, 4.0)], ahead=30.0)
        >>> router = GainRouter(FixedRouter("sot"), speeds=speeds)
        >>> router.route([Message("user", "What is the capital of Peru?")]).route
        'direct'
    """

    def __init__(self, inner: Router, *, speeds: Speeds, load: Callable[[], float] = lambda: 0.0) -> None:
        """Keep them.

        Args:
            inner: Says whether the answer falls into points.
            speeds: Of the model that will answer; what it learns meanwhile counts at once.
            load: Share of the model's capacity in use now: what is left is shared by the points.
        """
        self.inner = inner
        self.speeds = speeds
        self.load = load

    def route(self, messages: Sequence[Message]) -> Decision:
        """The inner router's decision, "direct" where a skeleton would not be faster."""
        return self._weighed(self.inner.route(messages), messages)

    async def aroute(self, messages: Sequence[Message]) -> Decision:
        """The same without blocking the event loop."""
        return await asyncio.to_thread(self._weighed, await self.inner.aroute(messages), messages)

    def _weighed(self, decision: Decision, messages: Sequence[Message]) -> Decision:
        if decision.route == "direct":
            return decision
        question, load = Question.of(messages), self.load()
        expected = saving(question, self.speeds, load=load)
        if expected is None:
            words = PlainLength.shipped().words(question)
            reason = f"{decision.reason}; about {words:.0f} words, and no speed of this model is known yet"
        elif expected.pays:
            self.speeds.tries(pays=True)
            reason = f"{decision.reason}; {expected}"
        elif load < 1 and self.speeds.tries(pays=False):
            reason = f"{decision.reason}; {expected}, and is tried to see whether that still holds"
        else:
            return replace(decision, route="direct", reason=f"no gain to expect: {expected}")
        return replace(decision, reason=reason)
