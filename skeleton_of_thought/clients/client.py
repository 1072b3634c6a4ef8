"""What a client is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from skeleton_of_thought.prompts import AnyPrompts
    from skeleton_of_thought.request import Delta, Request


class Client(Protocol):
    """Answers requests, several at the same time from several threads.

    Attributes:
        name: The model, as the user named it.
        prompts: The prompts that suit it.
        max_stops: How many stop sequences a request may carry; None for no limit.
    """

    name: str
    prompts: AnyPrompts
    max_stops: int | None

    def stream(self, request: Request) -> Iterator[Delta]:
        """The answer to a request, as it is written."""
        ...
