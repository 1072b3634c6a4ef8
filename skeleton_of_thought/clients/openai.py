"""OpenAI's API, and every server that speaks its language."""

from __future__ import annotations

import hashlib
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
    from collections.abc import AsyncGenerator, Generator, Mapping

    from skeleton_of_thought.request import Request

_SHORTEST_PREFIX = 1024
"""Tokens below which OpenAI caches nothing."""


class OpenAIClient:
    """Chat completions, streamed; a run decides itself what is sent again, so the SDK does not.

    Args:
        model: The model's name, such as `"gpt-5-mini"`.
        base_url: Address of another server; the key may then be missing.
        prompt_cache: Send OpenAI's `prompt_cache_key`, by which requests with one prefix find the same cache.

    Raises:
        ConfigurationError: OPENAI_API_KEY is not set.
        MissingExtraError: The package `openai` is not installed.
    """

    max_stops: int | None = 4
    takes_fields = True
    load = 0.0

    def __init__(self, model: str, *, base_url: str | None = None, prompt_cache: bool = False) -> None:
        sdk: Any = require("openai", extra="openai", needed_for=f"The model openai:{model}")
        base_url, key = address_and_key("openai", model, base_url)
        self.name = f"openai:{model}"
        self.base_url = base_url
        self.prompts: AnyPrompts = PROMPTS["opening"]
        self._model = model
        self._prompt_cache = prompt_cache
        options: dict[str, Any] = {"api_key": key, "base_url": base_url, "max_retries": 0}
        self._make = partial(sdk.OpenAI, **options)
        self._connections = Connections(partial(sdk.AsyncOpenAI, **options))

    @cached_property
    def _completions(self) -> Any:
        sdk = self._make()
        weakref.finalize(self, sdk.close)
        return sdk.chat.completions

    def stream(self, request: Request, *, fields: Mapping[str, Any] | None = None) -> Generator[Delta]:
        """The answer to a request, as it is written; `fields` go into the body as they are."""
        reported = Reported()
        with self._completions.create(**self._sent(request, fields)) as chunks:
            for chunk in chunks:
                yield _delta(chunk, reported)

    async def astream(self, request: Request) -> AsyncGenerator[Delta]:
        """The same with asyncio."""
        reported = Reported()
        async with (
            self._connections.use() as sdk,
            await sdk.chat.completions.create(**self._sent(request)) as chunks,
        ):
            async for chunk in chunks:
                yield _delta(chunk, reported)

    def _sent(self, request: Request, fields: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The parameters of a request."""
        sent: dict[str, Any] = {
            "model": self._model,
            "messages": [{"role": m.role, "content": m.content} for m in request.messages],
            "stream": True,
            "stream_options": {"include_usage": True},
            "extra_body": {**dict(request.fields), **(fields or {})},
        }
        if request.max_tokens:
            sent["max_completion_tokens"] = request.max_tokens
        if request.stop:
            sent["stop"] = list(request.stop)
        if self._prompt_cache:
            sent["extra_body"] |= cache_key(request)
        return sent


def cache_key(request: Request) -> dict[str, str]:
    """The field by which requests that begin alike find the same cache, if it keeps so short a beginning."""
    prefix = "\0".join(message.text for message in request.messages[: request.shared])
    if len(prefix) // CHARACTERS_PER_TOKEN < _SHORTEST_PREFIX:
        return {}
    digest = hashlib.sha256(prefix.encode(errors="replace")).hexdigest()
    return {"prompt_cache_key": f"sot-{digest[:32]}"}


def _delta(chunk: Any, reported: Reported) -> Delta:
    """A piece of the answer."""
    choice = next(
        iter(getattr(chunk, "choices", None) or ()), None
    )  # the SDK checks nothing that a server sends
    said = getattr(choice, "delta", None)
    reason = getattr(choice, "finish_reason", None)
    return Delta(
        text=text_of_content(getattr(said, "content", None)),
        usage=reported.grown_to(_usage(getattr(chunk, "usage", None))),
        truncated=reason == "length",
        finish_reason=reason,
        filtered=reason == "content_filter" or bool(getattr(said, "refusal", None)),
    )


def text_of_content(content: Any) -> str:
    """The text of a piece; a few servers send it as a list of parts."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    texts = (
        part if isinstance(part, str) else part.get("text") for part in parts if isinstance(part, (str, dict))
    )
    return "".join(text for text in texts if isinstance(text, str))


def _usage(usage: Any) -> Usage:
    """Tokens as reported; what a server leaves out, or what is no number, is 0 and adds nothing."""
    details = getattr(usage, "prompt_tokens_details", None)
    named = ((usage, "prompt_tokens"), (usage, "completion_tokens"), (details, "cached_tokens"))
    return Usage(*(counted(getattr(told, name, None)) for told, name in named))
