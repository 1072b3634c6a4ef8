"""What an upstream is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from skeleton_of_thought.prompts import AnyPrompts
    from skeleton_of_thought.request import Delta, Request


class Upstream(Protocol):
    """Answers the requests of many runs on one event loop.

    Attributes:
        name: The model, as the user named it, such as `"openai:gpt-5-mini"`.
        identity: The same with its server: what is learned of a model is kept under it.
        prompts: The prompts that suit it.
        max_stops: How many stop sequences a request may carry; None for no limit.
        relays: Whether a plain answer passes on every field of OpenAI's language: tools, response formats, several
            choices. Pieces of a direct answer then carry the upstream's own chunk as `raw`.
    """

    name: str
    identity: str
    prompts: AnyPrompts
    max_stops: int | None
    relays: bool

    def astream(self, request: Request, fields: Mapping[str, Any]) -> AsyncGenerator[Delta]:
        """The answer to a request, as it is written; closing the generator cancels it upstream.

        Args:
            request: What the run asks.
            fields: What the caller wants passed on, in OpenAI's words: `temperature`, `seed`, ...
        """
        ...

    async def aclose(self) -> None:
        """Close what it keeps open."""
        ...
