"""What our LLMs have in common: all of LlamaIndex's methods from two of their own."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncGenerator, Generator
from typing import TYPE_CHECKING, Any

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
    CompletionResponse,
    CompletionResponseAsyncGen,
    CompletionResponseGen,
    MessageRole,
)
from llama_index.core.llms import LLM
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback

from llamaindex_sot.messages import reported
from skeleton_of_thought.request import Delta

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

SMALLEST_WINDOW = 8192
"""Tokens of context to plan with where nobody says how many a model reads; all of today's read more."""


class DeltaLLM(LLM):
    """A chat model whose answers come as `Delta`s. A completion asks its prompt as a user's message."""

    @abstractmethod
    def _deltas(self, messages: Sequence[ChatMessage], **options: Any) -> Iterator[Delta]:
        """The answer to a conversation, as it is written."""

    @abstractmethod
    def _adeltas(self, messages: Sequence[ChatMessage], **options: Any) -> AsyncIterator[Delta]:
        """The same without blocking the event loop."""

    def _completion_deltas(self, prompt: str, *, formatted: bool, **options: Any) -> Iterator[Delta]:  # noqa: ARG002
        """The answer to a prompt, or its continuation where it is `formatted` and the model can be given it so."""
        return self._deltas([ChatMessage(content=prompt)], **options)

    def _acompletion_deltas(
        self,
        prompt: str,
        *,
        formatted: bool,  # noqa: ARG002
        **options: Any,
    ) -> AsyncIterator[Delta]:
        """The same without blocking the event loop."""
        return self._adeltas([ChatMessage(content=prompt)], **options)

    @llm_chat_callback()
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Answer a conversation."""
        *_, whole = _responses(self._deltas(messages, **kwargs), self._about)
        return whole

    @llm_chat_callback()
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Answer a conversation."""
        *_, whole = [
            response async for response in _aresponses(self._adeltas(messages, **kwargs), self._about)
        ]
        return whole

    @llm_chat_callback()
    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        """Answer a conversation piece by piece."""
        return _responses(self._deltas(messages, **kwargs), self._about)

    @llm_chat_callback()
    async def astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseAsyncGen:
        """Answer a conversation piece by piece."""

        async def responses() -> ChatResponseAsyncGen:
            async for response in _aresponses(self._adeltas(messages, **kwargs), self._about):
                yield response

        return responses()

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """Answer a prompt."""
        deltas = self._completion_deltas(prompt, formatted=formatted, **kwargs)
        *_, whole = _responses(deltas, self._about)
        return completion(whole)

    @llm_completion_callback()
    async def acomplete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """Answer a prompt."""
        deltas = self._acompletion_deltas(prompt, formatted=formatted, **kwargs)
        *_, whole = [response async for response in _aresponses(deltas, self._about)]
        return completion(whole)

    @llm_completion_callback()
    def stream_complete(
        self,
        prompt: str,
        formatted: bool = False,
        **kwargs: Any,
    ) -> CompletionResponseGen:
        """Answer a prompt piece by piece."""
        deltas = self._completion_deltas(prompt, formatted=formatted, **kwargs)
        return (completion(response) for response in _responses(deltas, self._about))

    @llm_completion_callback()
    async def astream_complete(
        self,
        prompt: str,
        formatted: bool = False,
        **kwargs: Any,
    ) -> CompletionResponseAsyncGen:
        """Answer a prompt piece by piece."""
        deltas = self._acompletion_deltas(prompt, formatted=formatted, **kwargs)
        return (completion(response) async for response in _aresponses(deltas, self._about))

    @property
    def _about(self) -> dict[str, Any]:
        """What the raw part of every last response says of the model."""
        return {}


def _responses(deltas: Iterator[Delta], about: dict[str, Any]) -> ChatResponseGen:
    """The answer growing, and at last the whole of it."""
    growing = _Growing(about)
    try:
        for delta in deltas:
            yield from growing.take(delta)
    finally:
        if isinstance(deltas, Generator):
            deltas.close()
    yield growing.whole()


async def _aresponses(deltas: AsyncIterator[Delta], about: dict[str, Any]) -> ChatResponseAsyncGen:
    growing = _Growing(about)
    try:
        async for delta in deltas:
            for response in growing.take(delta):
                yield response
    finally:
        if isinstance(deltas, AsyncGenerator):
            await deltas.aclose()
    yield growing.whole()


class _Growing:
    """An answer that is being written."""

    def __init__(self, about: dict[str, Any]) -> None:
        self._about = about
        self._text = ""
        self._bill = Delta()

    def take(self, delta: Delta) -> list[ChatResponse]:
        """The response a piece makes, if it has text."""
        self._bill = Delta(
            usage=self._bill.usage + delta.usage,
            truncated=self._bill.truncated or delta.truncated,
            filtered=self._bill.filtered or delta.filtered,
            finish_reason=delta.finish_reason or self._bill.finish_reason,
        )
        self._text += delta.text
        return [self._response(delta.text)] if delta.text else []

    def whole(self) -> ChatResponse:
        """The last response: all of the text, and what it cost in the shape of OpenAI's API."""
        raw = {
            **self._about,
            "finish_reason": "content_filter"
            if self._bill.filtered
            else "length"
            if self._bill.truncated
            else self._bill.finish_reason,
            **reported(self._bill.usage),
        }
        return self._response("", raw)

    def _response(self, delta: str, raw: dict[str, Any] | None = None) -> ChatResponse:
        message = ChatMessage(role=MessageRole.ASSISTANT, content=self._text)
        return ChatResponse(message=message, delta=delta, raw=raw)


def completion(response: ChatResponse) -> CompletionResponse:
    """A chat's response as one to a prompt."""
    return CompletionResponse(
        text=response.message.content or "",
        delta=response.delta,
        raw=response.raw,
        additional_kwargs=response.additional_kwargs,
    )
