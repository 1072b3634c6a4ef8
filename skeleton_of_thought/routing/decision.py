"""What a router says, and what a router is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

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
    usage: Usage = Usage()


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
