"""What everything that answers with a client does with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skeleton_of_thought.messages import Message
from skeleton_of_thought.method import SkeletonOfThought
from skeleton_of_thought.quirks import quirks_of
from skeleton_of_thought.request import Request

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skeleton_of_thought.clients.client import Client
    from skeleton_of_thought.options import Options
    from skeleton_of_thought.prompts import Prompts
    from skeleton_of_thought.routing.decision import Decision


def new_run(
    messages: Sequence[Message],
    client: Client,
    options: Options,
    decision: Decision,
    prompts: Prompts | None = None,
) -> SkeletonOfThought:
    """A run with the prompts that suit a client, unless others are given, and what is known of its model."""
    quirks = quirks_of(client.name)
    return SkeletonOfThought(
        messages,
        prompts or client.prompts,
        options,
        decision=decision,
        quirks={"skeleton": quirks, "point": quirks, "direct": quirks},
    )


def warm_up(client: Client) -> None:
    """A first short answer, so that nothing that is timed pays for what only the first request pays."""
    for _ in client.stream(Request("direct", "direct", (Message("user", "Hello"),), max_tokens=4)):
        pass
