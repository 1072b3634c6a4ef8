"""The default router: words, kinds of request and shape, weighed by a logistic model in pure Python."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from skeleton_of_thought.routing.decision import Decision, Question
from skeleton_of_thought.routing.features import cues, features
from skeleton_of_thought.routing.linear import Contribution, LinearModel, checked_threshold

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from skeleton_of_thought.messages import Message

NOTHING_ASKED: Final = "there is no question"
_FEATURES_IN_A_REASON: Final = 3


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why the lexical router decided as it did.

    Attributes:
        decision: What `route` returns for the same conversation.
        probability: Calibrated probability that a skeleton pays.
        threshold: From which probability the route is "sot".
        bias: Log-odds before any feature is looked at.
        contributions: What each feature added to the log-odds, the strongest first.
    """

    decision: Decision
    probability: float
    threshold: float
    bias: float
    contributions: tuple[Contribution, ...]


class LexicalRouter:
    """Routes by what can be seen in the question without a model; well below a millisecond, no dependency.

    Example:
        >>> from skeleton_of_thought.messages import Message
        >>> router = LexicalRouter()
        >>> router.route([Message("user", "What are the main benefits of learning a second language?")]).route
        'sot'
        >>> router.route([Message("user", "Write a poem about my cat.")]).route
        'direct'
    """

    def __init__(
        self, *, threshold: float | None = None, share: float | None = None, weights: Path | None = None
    ) -> None:
        """Load the weights.

        Args:
            threshold: Probability from which the answer is "sot"; `sot router calibrate` finds one for
                what mistakes cost you. Default: the one stored with the weights, which leans to "direct".
            share: Of suitable questions in your traffic; the probabilities are shifted to it. Default: the one
                stored with the weights.
            weights: A file of `sot router train --base lexical`; default: the weights in the package.

        Raises:
            ConfigurationError: The threshold or the share is no probability or the file holds no weights.
        """
        self.model = (_shipped() if weights is None else LinearModel.load(weights)).for_share(share)
        self.threshold = self.model.threshold if threshold is None else checked_threshold(threshold)
        cues()  # read once here, not while the first question waits

    def route(self, messages: Sequence[Message]) -> Decision:
        """Decide for the last user message."""
        return self.explain(messages).decision

    async def aroute(self, messages: Sequence[Message]) -> Decision:
        """The same; it is too short to be worth a thread."""
        return self.route(messages)

    def probability(self, messages: Sequence[Message]) -> float:
        """Calibrated probability that a skeleton pays."""
        return self.explain(messages).probability

    def explain(self, messages: Sequence[Message]) -> Explanation:
        """Decide, and tell which features decided."""
        started = time.perf_counter()
        question = Question.of(messages)
        if not question.text:
            decision = Decision("direct", 1.0, NOTHING_ASKED, time.perf_counter() - started)
            return Explanation(decision, 0.0, self.threshold, self.model.bias, ())
        values = features(question)
        probability = self.model.probability(values)
        contributions = self.model.contributions(values)
        decision = Decision.at(
            probability,
            threshold=self.threshold,
            reason=loudest(contributions, sot=probability >= self.threshold),
            seconds=time.perf_counter() - started,
        )
        return Explanation(decision, probability, self.threshold, self.model.bias, tuple(contributions))


@lru_cache(maxsize=1)
def _shipped() -> LinearModel:
    return LinearModel.shipped("lexical")


def loudest(contributions: Sequence[Contribution], *, sot: bool) -> str:
    """A reason a person can read: the features that counted most for the route that was taken."""
    named = [item.feature for item in contributions if (item.log_odds > 0) == sot][:_FEATURES_IN_A_REASON]
    verdict = "points can be written independently" if sot else "better answered in one piece"
    return f"{verdict}: {', '.join(named)}" if named else verdict
