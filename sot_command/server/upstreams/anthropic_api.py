"""Anthropic's API, as far as it has the same things: text, limits, sampling."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from skeleton_of_thought.clients.anthropic import LONGEST_ANSWER, delta_of
from skeleton_of_thought.errors import ConfigurationError, require
from skeleton_of_thought.prompts import PROMPTS, AnyPrompts
from skeleton_of_thought.reported import Reported
from skeleton_of_thought.usage import CHARACTERS_PER_TOKEN

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from skeleton_of_thought.request import Delta, Request

_SHORTEST_PREFIX = 1024
"""Tokens below which Anthropic caches nothing."""


class AnthropicUpstream:
    """Messages, streamed.

    Args:
        model: The model's name.
        base_url: Address of another server; the key may then be missing.
        prompt_cache: Mark what all requests of an answer share with `cache_control`.

    Raises:
        ConfigurationError: ANTHROPIC_API_KEY is not set.
    """

    max_stops: int | None = 4
    prompts: AnyPrompts = PROMPTS["opening"]
    relays = False

    def __init__(self, model: str, *, base_url: str | None = None, prompt_cache: bool = False) -> None:
        anthropic = require("anthropic", extra="anthropic", needed_for=f"The model anthropic:{model}")
        base_url = base_url or os.environ.get("ANTHROPIC_BASE_URL")
        key = os.environ.get("ANTHROPIC_API_KEY") or ("none" if base_url else None)
        if key is None:
            raise ConfigurationError(
                f"The model anthropic:{model} needs a key. Set ANTHROPIC_API_KEY, or give --base-url for a "
                "server without one."
            )
        self.name = f"anthropic:{model}"
        self.identity = f"{self.name} {base_url or ''}".rstrip()
        self._model = model
        self._prompt_cache = prompt_cache
        self._client = anthropic.AsyncAnthropic(api_key=key, base_url=base_url, max_retries=0)

    async def astream(self, request: Request, fields: Mapping[str, Any]) -> AsyncGenerator[Delta]:
        """The answer to a request, as it is written."""
        system = "\n\n".join(m.text for m in request.messages if m.role == "system")
        sent: dict[str, Any] = {}
        # Not every version of the SDK has them as parameters; models that take none say so.
        sampling = {
            name: fields[name] for name in ("temperature", "top_p", "top_k") if fields.get(name) is not None
        }
        if system:
            sent["system"] = system
        stop = request.stop or fields.get("stop") or ()
        if stop:
            sent["stop_sequences"] = [stop] if isinstance(stop, str) else list(stop)
        longest = request.max_tokens or fields.get("max_completion_tokens") or fields.get("max_tokens")
        events = await self._client.messages.create(
            model=self._model,
            messages=self._messages(request),
            max_tokens=longest or LONGEST_ANSWER,
            stream=True,
            extra_body=sampling,
            **sent,
        )
        reported = Reported()
        async with events:
            async for event in events:
                yield delta_of(event, reported)

    def _messages(self, request: Request) -> list[dict[str, Any]]:
        """The messages; the last one all requests of the answer share carries the mark for the cache."""
        shared = request.messages[: request.shared]
        long = sum(len(message.text) for message in shared) // CHARACTERS_PER_TOKEN >= _SHORTEST_PREFIX
        mark = len(shared) - 1 if self._prompt_cache and long else None
        messages = []
        for place, message in enumerate(request.messages):
            if message.role == "system":
                continue
            content: Any = message.content
            if place == mark and isinstance(content, str):
                content = [{"type": "text", "text": content, "cache_control": {"type": "ephemeral"}}]
            messages.append({"role": message.role, "content": content})
        return messages

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.close()
