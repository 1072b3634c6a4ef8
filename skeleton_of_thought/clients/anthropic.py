"""Anthropic's API."""

from __future__ import annotations

import weakref
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from skeleton_of_thought.clients.connections import Connections
from skeleton_of_thought.clients.keys import address_and_key
from skeleton_of_thought.errors import require
from skeleton_of_thought.prompts import PROMPTS, AnyPrompts
from skeleton_of_thought.reported import Reported
from skeleton_of_thought.request import Delta
from skeleton_of_thought.usage import CHARACTERS_PER_TOKEN, Usage, counted

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

    from skeleton_of_thought.request import Request

LONGEST_ANSWER = 4096
"""Tokens of an answer; the API wants a number."""

_SHORTEST_PREFIX = 1024
"""Tokens below which Anthropic caches nothing."""


class AnthropicClient:
    """Messages, streamed; a run decides itself what is sent again, so the SDK does not.

    Args:
        model: The model's name, such as `"claude-haiku-4-5"`.
        base_url: Address of another server; the key may then be missing.
        prompt_cache: Mark what all requests of an answer share with `cache_control`.

    Raises:
        ConfigurationError: ANTHROPIC_API_KEY is not set.
        MissingExtraError: The package `anthropic` is not installed.
    """

    max_stops: int | None = 4
    load = 0.0

    def __init__(self, model: str, *, base_url: str | None = None, prompt_cache: bool = False) -> None:
        sdk: Any = require("anthropic", extra="anthropic", needed_for=f"The model anthropic:{model}")
        base_url, key = address_and_key("anthropic", model, base_url)
        self.name = f"anthropic:{model}"
        self.base_url = base_url
        self.prompts: AnyPrompts = PROMPTS["opening"]
        self._model = model
        self._prompt_cache = prompt_cache
        options: dict[str, Any] = {"api_key": key, "base_url": base_url, "max_retries": 0}
        self._make = partial(sdk.Anthropic, **options)
        self._connections = Connections(partial(sdk.AsyncAnthropic, **options))

    @cached_property
    def _messages(self) -> Any:
        sdk = self._make()
        weakref.finalize(self, sdk.close)
        return sdk.messages

    def stream(self, request: Request) -> Generator[Delta]:
        """The answer to a request, as it is written."""
        reported = Reported()
        with self._messages.create(**self._sent(request)) as events:
            for event in events:
                yield delta_of(event, reported)

    async def astream(self, request: Request) -> AsyncGenerator[Delta]:
        """The same with asyncio."""
        reported = Reported()
        async with (
            self._connections.use() as sdk,
            await sdk.messages.create(**self._sent(request)) as events,
        ):
            async for event in events:
                yield delta_of(event, reported)

    def _sent(self, request: Request) -> dict[str, Any]:
        """The parameters of a request."""
        system = "\n\n".join(m.text for m in request.messages if m.role == "system")
        sent: dict[str, Any] = {"system": system} if system else {}
        if request.stop:
            sent["stop_sequences"] = list(request.stop)
        return {
            **sent,
            "model": self._model,
            "messages": conversation(request, prompt_cache=self._prompt_cache),
            "max_tokens": request.max_tokens or LONGEST_ANSWER,
            "stream": True,
        }


def conversation(request: Request, *, prompt_cache: bool) -> list[dict[str, Any]]:
    """The messages on the wire; the last one all requests of an answer share carries the mark for the cache."""
    shared = request.messages[: request.shared]
    long = sum(len(message.text) for message in shared) // CHARACTERS_PER_TOKEN >= _SHORTEST_PREFIX
    mark = len(shared) - 1 if prompt_cache and long else None
    messages = []
    for place, message in enumerate(request.messages):
        if message.role == "system":
            continue
        content: Any = message.content
        if place == mark and isinstance(content, str):
            content = [{"type": "text", "text": content, "cache_control": {"type": "ephemeral"}}]
        messages.append({"role": message.role, "content": content})
    return messages


def delta_of(event: Any, reported: Reported) -> Delta:
    """A piece of the answer."""
    if event.type == "message_start":
        return Delta(usage=reported.grown_to(_usage(event.message.usage, output=0)))
    if event.type == "content_block_delta" and event.delta.type == "text_delta":
        return Delta(event.delta.text)
    if event.type == "message_delta":
        reason = event.delta.stop_reason
        return Delta(
            usage=reported.grown_to(_usage(event.usage, output=getattr(event.usage, "output_tokens", None))),
            truncated=reason == "max_tokens",
            finish_reason=reason,
            filtered=reason == "refusal",
        )
    return Delta()


def _usage(usage: Any, *, output: Any) -> Usage:
    """Tokens so far; Anthropic counts cached tokens beside the others, and writes by lifetime too."""
    fresh, read, written = (
        counted(getattr(usage, name, None))
        for name in ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    )
    if not written:
        by_lifetime = getattr(usage, "cache_creation", None)
        names = ("ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens")
        written = sum(counted(getattr(by_lifetime, name, None)) for name in names)
    return Usage(fresh + read + written, counted(output), read, written)
