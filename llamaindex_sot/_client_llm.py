"""The command's API clients as LlamaIndex LLMs: no package of LlamaIndex's per provider is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseGen,
    CompletionResponse,
    CompletionResponseGen,
    LLMMetadata,
    MessageRole,
)
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.llms import CustomLLM
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback

from llamaindex_sot._messages import from_llamaindex
from skeleton_of_thought.request import Delta, Request

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from skeleton_of_thought.clients import Client

SMALLEST_WINDOW = 8192
"""Tokens of context to plan with; the APIs do not say how many a model reads, and all of today's read more."""


class ClientLLM(CustomLLM):
    """A chat model behind one of the clients the command uses.

    Its async methods are LlamaIndex's, which only call the sync ones; our faces then use threads.

    Args:
        client: Answers.
    """

    _client: Any = PrivateAttr()

    def __init__(self, client: Client) -> None:
        super().__init__()
        self._client = client

    @classmethod
    def class_name(cls) -> str:
        """Name in traces and serialized components."""
        return "ClientLLM"

    @property
    def max_stops(self) -> int | None:
        """How many stop sequences a call may carry."""
        stops: int | None = self._client.max_stops
        return stops

    @property
    def metadata(self) -> LLMMetadata:
        """What LlamaIndex plans with."""
        return LLMMetadata(
            context_window=SMALLEST_WINDOW, is_chat_model=True, model_name=str(self._client.name)
        )

    @llm_chat_callback()
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Answer a conversation."""
        *_, last = self._responses(messages, **kwargs)
        return last

    @llm_chat_callback()
    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        """Answer a conversation piece by piece."""

        def responses() -> ChatResponseGen:
            yield from self._responses(messages, **kwargs)

        return responses()

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:  # noqa: ARG002
        """Answer a prompt, as a user's message."""
        *_, last = self._responses([ChatMessage(content=prompt)], **kwargs)
        return _completion(last)

    @llm_completion_callback()
    def stream_complete(
        self,
        prompt: str,
        formatted: bool = False,  # noqa: ARG002
        **kwargs: Any,
    ) -> CompletionResponseGen:
        """Answer a prompt piece by piece."""

        def responses() -> CompletionResponseGen:
            yield from map(_completion, self._responses([ChatMessage(content=prompt)], **kwargs))

        return responses()

    def _responses(
        self,
        messages: Sequence[ChatMessage],
        *,
        stop: Sequence[str] = (),
        max_tokens: int | None = None,
    ) -> Iterator[ChatResponse]:
        """The answer growing; the last response is the whole of it, and says what it cost."""
        request = Request(
            "direct", "direct", tuple(from_llamaindex(messages)), stop=tuple(stop), max_tokens=max_tokens
        )
        text, bill = "", Delta()
        for delta in self._client.stream(request):
            bill = Delta(usage=bill.usage + delta.usage, truncated=bill.truncated or delta.truncated)
            if delta.text:
                text += delta.text
                yield _response(text, delta.text)
        yield _response(text, "", _raw(bill))


def _response(text: str, delta: str, raw: dict[str, Any] | None = None) -> ChatResponse:
    message = ChatMessage(role=MessageRole.ASSISTANT, content=text)
    return ChatResponse(message=message, delta=delta, raw=raw)


def _completion(response: ChatResponse) -> CompletionResponse:
    return CompletionResponse(text=response.message.content or "", delta=response.delta, raw=response.raw)


def _raw(bill: Delta) -> dict[str, Any]:
    """What LlamaIndex's token counter reads, in the shape of OpenAI's API."""
    return {
        "finish_reason": "length" if bill.truncated else "stop",
        "usage": {
            "prompt_tokens": bill.usage.input_tokens,
            "completion_tokens": bill.usage.output_tokens,
            "total_tokens": bill.usage.total_tokens,
            "prompt_tokens_details": {"cached_tokens": bill.usage.cache_read_tokens},
        },
    }
