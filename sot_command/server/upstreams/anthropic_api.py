"""Anthropic's API, as far as it has the same things: text, limits, sampling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skeleton_of_thought.clients.anthropic import LONGEST_ANSWER, conversation, delta_of
from skeleton_of_thought.clients.client import identity
from skeleton_of_thought.clients.keys import address_and_key
from skeleton_of_thought.errors import require
from skeleton_of_thought.prompts import PROMPTS, AnyPrompts
from skeleton_of_thought.reported import Reported
from skeleton_of_thought.request import as_stops

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from skeleton_of_thought.request import Delta, Request


class AnthropicUpstream:
    """Answers requests by Anthropic's messages, streamed.

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
        base_url, key = address_and_key("anthropic", model, base_url)
        self.name = f"anthropic:{model}"
        self.base_url = base_url
        self.identity = identity(self)
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
        if stops := request.stop or as_stops(fields.get("stop")):
            sent["stop_sequences"] = list(stops)
        longest = request.max_tokens or fields.get("max_completion_tokens") or fields.get("max_tokens")
        events = await self._client.messages.create(
            model=self._model,
            messages=conversation(request, prompt_cache=self._prompt_cache),
            max_tokens=longest or LONGEST_ANSWER,
            stream=True,
            extra_body=sampling,
            **sent,
        )
        reported = Reported()
        async with events:
            async for event in events:
                yield delta_of(event, reported)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.close()
