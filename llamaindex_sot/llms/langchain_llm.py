"""Any LangChain chat model as a LlamaIndex LLM, with `langchain-core` alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from llama_index.core.base.llms.types import ImageBlock, LLMMetadata, TextBlock
from llama_index.core.bridge.pydantic import PrivateAttr

from llamaindex_sot.llms.delta_llm import SMALLEST_WINDOW, DeltaLLM
from llamaindex_sot.messages import readable
from skeleton_of_thought.reported import ReportedPieces
from skeleton_of_thought.request import Delta

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from llama_index.core.base.llms.types import ChatMessage

    from skeleton_of_thought.usage import Usage

_CUT_OFF: Final = {"length", "max_tokens"}
_FILTERED: Final = {"content_filter", "refusal", "safety", "recitation", "prohibited_content", "blocklist"}


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

    @property
    def own_fields(self) -> dict[str, Any] | None:
        """The model's own `extra_body`; None where it has no such thing."""
        return dict(self._model.extra_body or {}) if hasattr(self._model, "extra_body") else None

    def _deltas(self, messages: Sequence[ChatMessage], **options: Any) -> Iterator[Delta]:
        reported = ReportedPieces()
        for chunk in self._model.stream(_conversation(messages), **options):
            yield _delta(chunk, reported.added(chunk))

    async def _adeltas(self, messages: Sequence[ChatMessage], **options: Any) -> AsyncIterator[Delta]:
        reported = ReportedPieces()
        async for chunk in self._model.astream(_conversation(messages), **options):
            yield _delta(chunk, reported.added(chunk))


def _conversation(messages: Sequence[ChatMessage]) -> list[tuple[str, str | list[dict[str, Any]]]]:
    """The messages as LangChain takes them: text, and pictures as its standard blocks."""
    return [
        (role, _content(blocks))
        for role, blocks in readable(messages, who="LangChainLLM", kinds=(TextBlock, ImageBlock))
    ]


def _content(blocks: Sequence[TextBlock | ImageBlock]) -> str | list[dict[str, Any]]:
    texts = [block.text for block in blocks if isinstance(block, TextBlock)]
    if len(texts) == len(blocks):
        return "".join(texts)
    return [
        {"type": "text", "text": block.text} if isinstance(block, TextBlock) else _picture(block)
        for block in blocks
    ]


def _picture(block: ImageBlock) -> dict[str, Any]:
    if block.url is not None and str(block.url).startswith(("http:", "https:")):
        return {"type": "image", "url": str(block.url)}
    data = block.resolve_image(as_base64=True).read()
    kind = block.image_mimetype or "image/png"
    return {"type": "image", "base64": data.decode() if isinstance(data, bytes) else data, "mime_type": kind}


def _delta(chunk: Any, usage: Usage) -> Delta:
    told = [chunk.response_metadata.get(key) for key in ("finish_reason", "stop_reason")]
    ends = [str(reason).lower() for reason in told if reason]
    return Delta(
        str(chunk.text),
        usage,
        truncated=any(reason in _CUT_OFF for reason in ends),
        filtered=any(reason in _FILTERED for reason in ends) or bool(chunk.additional_kwargs.get("refusal")),
        finish_reason=ends[0] if ends else None,
    )
