"""What a client is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from skeleton_of_thought.clients.keys import without_password
from skeleton_of_thought.messages import Message
from skeleton_of_thought.request import Request

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from skeleton_of_thought.prompts import AnyPrompts
    from skeleton_of_thought.request import Delta


class Client(Protocol):
    """Answers requests, several at the same time from several threads or on one event loop.

    Attributes:
        name: The model, as the user named it.
        prompts: The prompts that suit it: `OpeningPrompts` for a model that decides, opens and plans by itself.
        max_stops: How many stop sequences a request may carry; None for no limit.

    One that puts a request's `fields` into its body has a true `takes_fields` besides.
    """

    name: str
    prompts: AnyPrompts
    max_stops: int | None

    @property
    def load(self) -> float:
        """Share of its room for requests that is taken: 0 is idle, or nobody knows; from 1 on new ones wait."""
        ...

    def stream(self, request: Request) -> Iterator[Delta]:
        """The answer to a request, as it is written; closing the iterator hangs up."""
        ...

    def astream(self, request: Request) -> AsyncGenerator[Delta]:
        """The same with asyncio."""
        ...


class Named(Protocol):
    """What has a model's name, and perhaps the address of its server as `base_url`."""

    name: str


def identity(client: Named) -> str:
    """What is learned of a model is kept under this: its name, and its server where it is not the provider's own."""
    server = without_password(getattr(client, "base_url", None))
    return f"{client.name} {server or ''}".rstrip()


def warm_up(client: Client) -> None:
    """A first short answer, so that nothing that is timed pays for what only the first request pays."""
    for _ in client.stream(Request("direct", "direct", (Message("user", "Hello"),), max_tokens=4)):
        pass
