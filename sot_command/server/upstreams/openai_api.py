"""A server that speaks OpenAI's language: chunks go through as they come, so that nothing in them is lost."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any

from skeleton_of_thought.clients.client import identity
from skeleton_of_thought.clients.keys import address_and_key
from skeleton_of_thought.clients.openai import cache_key, text_of_content
from skeleton_of_thought.errors import SkeletonOfThoughtError, require
from skeleton_of_thought.prompts import PROMPTS, AnyPrompts
from skeleton_of_thought.reported import Reported
from skeleton_of_thought.request import Delta
from skeleton_of_thought.usage import Usage, counted

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping

    from skeleton_of_thought.messages import Message
    from skeleton_of_thought.request import Request

_SECONDS_BEHIND_END = 1.0
"""A server that keeps its connection open behind the end of an answer is not waited for longer."""


class BrokenStreamError(SkeletonOfThoughtError):
    """An upstream's stream ended before its answer did."""


class UpstreamError(SkeletonOfThoughtError):
    """An upstream reported an error in the middle of an answer.

    Attributes:
        status_code: What the upstream would have answered, where it says so.
    """

    def __init__(self, error: Any) -> None:
        told = error if isinstance(error, dict) else {"message": error}
        super().__init__(str(told.get("message") or "the upstream reported an error"))
        code = told.get("code")
        self.status_code = code if isinstance(code, int) else None


class OpenAIUpstream:
    """Answers requests by OpenAI's chat completions, streamed.

    The SDK makes the connection and the errors; the events are read here, because its objects for chunks cost more
    than the rest of a relay.

    Args:
        model: The model's name at the upstream.
        base_url: Address of another server; the key may then be missing.
        prompt_cache: Send OpenAI's `prompt_cache_key`, by which requests with one prefix find the same cache.

    Raises:
        ConfigurationError: OPENAI_API_KEY is not set.
    """

    max_stops: int | None = 4
    prompts: AnyPrompts = PROMPTS["opening"]
    relays = True

    def __init__(self, model: str, *, base_url: str | None = None, prompt_cache: bool = False) -> None:
        openai = require("openai", extra="openai", needed_for=f"The model openai:{model}")
        base_url, key = address_and_key("openai", model, base_url)
        self.name = f"openai:{model}"
        self.base_url = base_url
        self.identity = identity(self)
        self._model = model
        self._prompt_cache = prompt_cache
        # A run decides itself what is sent again.
        self._client = openai.AsyncOpenAI(api_key=key, base_url=base_url, max_retries=0)

    async def astream(self, request: Request, fields: Mapping[str, Any]) -> AsyncGenerator[Delta]:
        """The answer to a request, as it is written."""
        opening = self._client.chat.completions.with_streaming_response.create(
            model=self._model,
            messages=[to_wire(message) for message in request.messages],
            stream=True,
            extra_body=self._body(request, fields),
        )
        reported, ended = Reported(), False
        async with opening as response, contextlib.aclosing(response.iter_lines()) as lines:
            async for line in lines:
                if not line.startswith("data:"):
                    continue
                data = line[5:].strip()
                if data == "[DONE]":
                    ended = True
                    await _read_on(lines)
                    break
                chunk = json.loads(data)
                if chunk.get("error"):
                    raise UpstreamError(chunk["error"])
                if chunk.get("usage"):
                    yield Delta(usage=reported.grown_to(_usage(chunk["usage"])))
                if chunk.get("choices"):
                    delta = _delta(chunk)
                    ended = ended or delta.raw["choices"][0].get("finish_reason") is not None
                    yield delta
        if not ended:
            raise BrokenStreamError(f"The upstream's answer to {request.id} broke off in the middle.")

    def _body(self, request: Request, fields: Mapping[str, Any]) -> dict[str, Any]:
        """The caller's fields, and over them what the run asks for."""
        body = {"stream_options": {"include_usage": True}, **fields}
        if self._prompt_cache:
            body |= cache_key(request)
        if request.max_tokens:
            body["max_completion_tokens"] = request.max_tokens
        if request.stop:
            body["stop"] = list(request.stop)
        return body

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.close()


async def _read_on(lines: AsyncIterator[str]) -> None:
    """Read what is behind the end, nothing as a rule: a connection of which all was read is used again."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_SECONDS_BEHIND_END):
            async for _ in lines:
                pass


def to_wire(message: Message) -> dict[str, Any]:
    """A message as the caller sent it, with whatever the run made of its content."""
    if isinstance(message.original, dict):
        kept = message.original.get("content")
        return {**message.original, "content": kept if message.content == (kept or "") else message.content}
    return {"role": message.role, "content": message.content}


def _delta(chunk: dict[str, Any]) -> Delta:
    choice = chunk["choices"][0]
    said = choice.get("delta") or {}
    if isinstance(said.get("content"), list):  # which callers do not expect
        said["content"] = text_of_content(said["content"])
    finish = choice.get("finish_reason")
    return Delta(
        text=said.get("content") or "",
        truncated=finish == "length",
        raw=chunk,
        finish_reason=finish,
        filtered=finish == "content_filter" or bool(said.get("refusal")),
        other_content=any(said.get(name) for name in ("tool_calls", "function_call", "audio")),
    )


def _usage(told: dict[str, Any]) -> Usage:
    details = told.get("prompt_tokens_details") or {}
    named = ((told, "prompt_tokens"), (told, "completion_tokens"), (details, "cached_tokens"))
    return Usage(*(counted(where.get(name)) for where, name in named))
