"""Any LangChain chat model as a LlamaIndex LLM, with `langchain-core` alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from llama_index.core.base.llms.types import LLMMetadata
from llama_index.core.bridge.pydantic import PrivateAttr

from llamaindex_sot.llms.delta_llm import SMALLEST_WINDOW, DeltaLLM
from llamaindex_sot.messages import from_llamaindex
from skeleton_of_thought.errors import ConfigurationError
from skeleton_of_thought.request import Delta
from skeleton_of_thought.usage import Usage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from llama_index.core.base.llms.types import ChatMessage

_CUT_OFF: Final = {"length", "max_tokens", "MAX_TOKENS"}


class LangChainLLM(DeltaLLM):
    """A LangChain chat model where LlamaIndex wants an LLM; LangChain's callbacks see every call.

    Calls are passed on as they are: `stop`, `max_tokens` and other options must be known to the model.

    Args:
        model: The chat model, a `BaseChatModel`.
        context_window: Tokens of context LlamaIndex may plan with.

    Example:
        ```python
        from langchain_sot import ChatTransformers
        from llamaindex_sot import LangChainLLM, SkeletonOfThoughtSynthesizer

        synthesizer = SkeletonOfThoughtSynthesizer(LangChainLLM(ChatTransformers()))
        ```
    """

    _model: Any = PrivateAttr()
    _window: int = PrivateAttr()

    def __init__(self, model: Any, *, context_window: int = SMALLEST_WINDOW) -> None:
        super().__init__()
        self._model = model
        self._window = context_window

    @classmethod
    def class_name(cls) -> str:
        """Name in traces and serialized components."""
        return "LangChainLLM"

    @property
    def kind(self) -> str:
        """What LangChain calls the kind of model, for the choice of prompts."""
        return str(getattr(self._model, "_llm_type", "langchain"))

    @property
    def metadata(self) -> LLMMetadata:
        """What LlamaIndex plans with."""
        name = getattr(self._model, "model_name", None) or getattr(self._model, "model", None)
        return LLMMetadata(
            context_window=self._window, is_chat_model=True, model_name=str(name or self._model.get_name())
        )

    def _deltas(self, messages: Sequence[ChatMessage], **options: Any) -> Iterator[Delta]:
        return map(_delta, self._model.stream(_conversation(messages), **options))

    async def _adeltas(self, messages: Sequence[ChatMessage], **options: Any) -> AsyncIterator[Delta]:
        async for chunk in self._model.astream(_conversation(messages), **options):
            yield _delta(chunk)


def _conversation(messages: Sequence[ChatMessage]) -> list[tuple[str, str]]:
    plain = from_llamaindex(messages)
    if other := [message.original.role for message in plain if message.role == "other"]:
        raise ConfigurationError(
            f"LangChainLLM passes on text of system, user and assistant, not a message of role {other[0].value!r}."
        )
    return [(message.role, message.text) for message in plain]


def _delta(chunk: Any) -> Delta:
    usage: Any = chunk.usage_metadata or {}
    details = usage.get("input_token_details") or {}
    reasons = (chunk.response_metadata.get(key) for key in ("finish_reason", "stop_reason"))
    return Delta(
        str(chunk.text),
        Usage(
            usage.get("input_tokens", 0),
            usage.get("output_tokens", 0),
            details.get("cache_read") or 0,
            details.get("cache_creation") or 0,
        ),
        truncated=any(reason in _CUT_OFF for reason in reasons),
    )
