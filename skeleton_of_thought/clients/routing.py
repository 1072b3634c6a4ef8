"""The prompting router over a client of the command."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skeleton_of_thought.clients.opening import open_client
from skeleton_of_thought.request import Reply, Request
from skeleton_of_thought.routing.prompting import ANSWER_TOKENS, PromptingRouter
from skeleton_of_thought.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skeleton_of_thought.messages import Message


def prompting_router(model: str) -> PromptingRouter:
    """A router that asks a model; the model's name is as for `open_client`."""
    client = open_client(model)

    def complete(messages: Sequence[Message]) -> Reply:
        request = Request("route", "route", tuple(messages), max_tokens=ANSWER_TOKENS)
        deltas = list(client.stream(request))
        return Reply("".join(delta.text for delta in deltas), sum((delta.usage for delta in deltas), Usage()))

    return PromptingRouter(complete)
