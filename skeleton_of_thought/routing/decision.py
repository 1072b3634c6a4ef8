"""What a router says, and what a router is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from skeleton_of_thought.routing.question import question_in
from skeleton_of_thought.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skeleton_of_thought.messages import Message


Route = Literal["sot", "direct"]


@dataclass(frozen=True, slots=True)
class Decision:
    """A router's answer for one conversation.

    Attributes:
        route: `"sot"` to write a skeleton first, `"direct"` for one plain answer.
        confidence: Calibrated probability that `route` is right, 0 to 1.
        reason: One line a person can read.
        seconds: How long the router took.
        usage: Tokens the router spent; zero for all local routers.
    """

    route: Route
    confidence: float
    reason: str
    seconds: float = 0.0
    usage: Usage = field(default_factory=Usage)

    @classmethod
    def at(cls, probability: float, *, threshold: float, reason: str, seconds: float = 0.0) -> Decision:
        """The decision a threshold makes of the probability that a skeleton pays.

        With a threshold above one half the cheaper mistake is chosen on purpose: a "direct" may then
        carry a confidence below one half.
        """
        if probability >= threshold:
            return cls("sot", probability, reason, seconds)
        return cls("direct", 1.0 - probability, reason, seconds)


@runtime_checkable
class Router(Protocol):
    """Decides per conversation whether a skeleton pays.

    Thread-safe: one router serves many conversations at once.
    """

    def route(self, messages: Sequence[Message]) -> Decision:
        """Decide for a conversation whose last message is the question."""
        ...

    async def aroute(self, messages: Sequence[Message]) -> Decision:
        """The same without blocking the event loop."""
        ...


@dataclass(frozen=True, slots=True)
class Question:
    """What a router judges.

    Attributes:
        text: The last user message, or the part of it that is the question where it carries pasted text, blank ends
            removed; empty if nobody asked anything.
        follows: Whether an answer was given before it, so that it may lean on that answer.
    """

    text: str
    follows: bool = False

    @classmethod
    def of(cls, messages: Sequence[Message]) -> Question:
        """Read the question out of a conversation."""
        asked = next((i for i in reversed(range(len(messages))) if messages[i].role == "user"), None)
        if asked is None:
            return cls("")
        return cls(
            question_in(messages[asked].text),
            follows=any(message.role == "assistant" for message in messages[:asked]),
        )
