"""Anthropic's API."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from skeleton_of_thought.clients.reported import Reported
from skeleton_of_thought.errors import ConfigurationError, require
from skeleton_of_thought.prompts import PROMPTS
from skeleton_of_thought.request import Delta
from skeleton_of_thought.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from skeleton_of_thought.request import Request

LONGEST_ANSWER = 4096
"""Tokens of an answer; the API wants a number."""


class AnthropicClient:
    """Messages, streamed.

    Args:
        model: The model's name, such as `"claude-haiku-4-5"`.
        base_url: Address of another server; the key may then be missing.

    Raises:
        ConfigurationError: ANTHROPIC_API_KEY is not set.
    """

    max_stops: int | None = 4
    prompts = PROMPTS["opening"]

    def __init__(self, model: str, *, base_url: str | None = None) -> None:
        anthropic = require("anthropic", extra="anthropic", needed_for=f"The model anthropic:{model}")
        base_url = base_url or os.environ.get("ANTHROPIC_BASE_URL")
        key = os.environ.get("ANTHROPIC_API_KEY") or ("none" if base_url else None)
        if key is None:
            raise ConfigurationError(
                f"The model anthropic:{model} needs a key. Set ANTHROPIC_API_KEY, or give --base-url for a "
                "server without one."
            )
        self.name = f"anthropic:{model}"
        self._model = model
        self._messages = anthropic.Anthropic(api_key=key, base_url=base_url).messages

    def stream(self, request: Request) -> Iterator[Delta]:
        """The answer to a request, as it is written."""
        system = "\n\n".join(m.text for m in request.messages if m.role == "system")
        options: dict[str, Any] = {"system": system} if system else {}
        if request.stop:
            options["stop_sequences"] = list(request.stop)
        events = self._messages.create(
            model=self._model,
            messages=[{"role": m.role, "content": m.content} for m in request.messages if m.role != "system"],
            max_tokens=request.max_tokens or LONGEST_ANSWER,
            stream=True,
            **options,
        )
        reported = Reported()
        for event in events:
            if event.type == "message_start":
                yield Delta(usage=reported.grown_to(_input_usage(event.message.usage)))
            elif event.type == "content_block_delta" and event.delta.type == "text_delta":
                yield Delta(event.delta.text)
            elif event.type == "message_delta":
                yield Delta(
                    usage=reported.output_grown_to(event.usage.output_tokens or 0),
                    truncated=event.delta.stop_reason == "max_tokens",
                    finish_reason=event.delta.stop_reason,
                    filtered=event.delta.stop_reason == "refusal",
                )


def _input_usage(usage: Any) -> Usage:
    """What a request's start reports; Anthropic counts cached tokens beside the others."""
    read, written = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
    lifetimes = getattr(usage, "cache_creation", None)
    if not written and lifetimes is not None:  # named by how long they live
        written = sum(
            getattr(lifetimes, name, None) or 0
            for name in ("ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens")
        )
    return Usage(
        input_tokens=(usage.input_tokens or 0) + read + written,
        cache_read_tokens=read,
        cache_write_tokens=written,
    )
