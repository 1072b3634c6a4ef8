"""What LLMs over somebody else's chat models have in common: all of LlamaIndex's methods from two of their own."""

from __future__ import annotations

from abc import abstractmethod
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

from llamaindex_sot.messages import as_openai
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

    @llm_chat_callback()
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Answer a conversation."""
        *_, whole = self._responses(messages, kwargs)
        return whole

    @llm_chat_callback()
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Answer a conversation."""
        *_, whole = [response async for response in self._aresponses(messages, kwargs)]
        return whole

    @llm_chat_callback()
    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        """Answer a conversation piece by piece."""
        return self._responses(messages, kwargs)

    @llm_chat_callback()
    async def astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseAsyncGen:
        """Answer a conversation piece by piece."""

        async def responses() -> ChatResponseAsyncGen:
            async for response in self._aresponses(messages, kwargs):
                yield response

        return responses()

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:  # noqa: ARG002
        """Answer a prompt."""
        *_, whole = self._responses([ChatMessage(content=prompt)], kwargs)
        return _completion(whole)

    @llm_completion_callback()
    async def acomplete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:  # noqa: ARG002
        """Answer a prompt."""
        *_, whole = [r async for r in self._aresponses([ChatMessage(content=prompt)], kwargs)]
        return _completion(whole)

    @llm_completion_callback()
    def stream_complete(
        self,
        prompt: str,
        formatted: bool = False,  # noqa: ARG002
        **kwargs: Any,
    ) -> CompletionResponseGen:
        """Answer a prompt piece by piece."""
        asked = [ChatMessage(content=prompt)]
        return (_completion(response) for response in self._responses(asked, kwargs))

    @llm_completion_callback()
    async def astream_complete(
        self,
        prompt: str,
        formatted: bool = False,  # noqa: ARG002
        **kwargs: Any,
    ) -> CompletionResponseAsyncGen:
        """Answer a prompt piece by piece."""
        asked = [ChatMessage(content=prompt)]
        return (_completion(response) async for response in self._aresponses(asked, kwargs))

    def _responses(self, messages: Sequence[ChatMessage], options: dict[str, Any]) -> ChatResponseGen:
        """The answer growing, and at last the whole of it."""
        growing = _Growing()
        for delta in self._deltas(messages, **options):
            yield from growing.take(delta)
        yield growing.whole()

    async def _aresponses(
        self, messages: Sequence[ChatMessage], options: dict[str, Any]
    ) -> ChatResponseAsyncGen:
        growing = _Growing()
        async for delta in self._adeltas(messages, **options):
            for response in growing.take(delta):
                yield response
        yield growing.whole()


class _Growing:
    """An answer that is being written."""

    def __init__(self) -> None:
        self._text = ""
        self._bill = Delta()

    def take(self, delta: Delta) -> list[ChatResponse]:
        """The response a piece makes, if it has text."""
        self._bill = Delta(
            usage=self._bill.usage + delta.usage, truncated=self._bill.truncated or delta.truncated
        )
        self._text += delta.text
        return [self._response(delta.text)] if delta.text else []

    def whole(self) -> ChatResponse:
        """The last response: all of the text, and what it cost in the shape of OpenAI's API."""
        raw = {
            "finish_reason": "length" if self._bill.truncated else "stop",
            "usage": as_openai(self._bill.usage),
        }
        return self._response("", raw)

    def _response(self, delta: str, raw: dict[str, Any] | None = None) -> ChatResponse:
        message = ChatMessage(role=MessageRole.ASSISTANT, content=self._text)
        return ChatResponse(message=message, delta=delta, raw=raw)


def _completion(response: ChatResponse) -> CompletionResponse:
    return CompletionResponse(text=response.message.content or "", delta=response.delta, raw=response.raw)
