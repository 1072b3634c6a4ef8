"""The scripted model for LangChain, for LlamaIndex and as a client; all count ten tokens in and one per word out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, LLMMetadata, TextBlock, ToolCallBlock
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.llms import LLM
from llama_index.core.llms.callbacks import llm_chat_callback
from pydantic import Field

from skeleton_of_thought import Delta, Usage
from skeleton_of_thought.prompts import PROMPTS

from .script import Reply, Script

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterator

    from skeleton_of_thought import Request

INPUT_TOKENS = 10
NAME = "scripted-1"


def words(reply: Reply) -> list[str]:
    return re.findall(r"\s*\S+", reply.text)


def written(reply: Reply) -> Iterator[str]:
    for place, word in enumerate(words(reply)):
        if place == reply.breaks:
            raise ConnectionError
        yield word


class ScriptedChatModel(BaseChatModel):
    """For LangChain."""

    script: Any = Field(default_factory=Script)
    model_name: str = NAME

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _chunks(self, reply: Reply) -> Iterator[ChatGenerationChunk]:
        for word in written(reply):
            yield ChatGenerationChunk(message=AIMessageChunk(content=word))
        count = len(words(reply))
        calls = [{"name": "look_up", "args": "{}", "id": "1", "index": 0}] if reply.tool else []
        usage = {"input_tokens": INPUT_TOKENS, "output_tokens": count, "total_tokens": INPUT_TOKENS + count}
        about = {"finish_reason": reply.finish, "model_name": NAME}
        last = AIMessageChunk(
            content="",
            usage_metadata=usage,
            response_metadata=about,
            tool_call_chunks=calls,
            chunk_position="last",
        )
        yield ChatGenerationChunk(message=last)

    def _stream(self, messages: Any, stop: Any = None, run_manager: Any = None, **_: Any) -> Iterator[Any]:
        reply = self.script.answer(messages[-1].text)
        self.script.wait(reply)
        yield from self._chunks(reply)

    async def _astream(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **_: Any
    ) -> AsyncIterator[Any]:
        reply = self.script.answer(messages[-1].text)
        await self.script.await_(reply)
        for chunk in self._chunks(reply):
            yield chunk

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **_: Any) -> ChatResult:
        return self._whole(list(self._stream(messages)))

    async def _agenerate(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **_: Any
    ) -> ChatResult:
        return self._whole([chunk async for chunk in self._astream(messages)])

    def _whole(self, chunks: list[ChatGenerationChunk]) -> ChatResult:
        whole: Any = chunks[0].message
        for chunk in chunks[1:]:
            whole += chunk.message
        message = AIMessage(
            whole.content,
            tool_calls=whole.tool_calls,
            usage_metadata=whole.usage_metadata,
            response_metadata=whole.response_metadata,
        )
        return ChatResult(generations=[ChatGeneration(message=message)])


class ScriptedLLM(LLM):
    """For LlamaIndex."""

    _script: Script = PrivateAttr()

    def __init__(self, script: Script) -> None:
        super().__init__()
        self._script = script

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(context_window=8000, is_chat_model=True, model_name=NAME)

    def _responses(self, reply: Reply) -> Iterator[ChatResponse]:
        text = ""
        for word in written(reply):
            text += word
            yield ChatResponse(message=ChatMessage(role="assistant", content=text), delta=word)
        usage = {"prompt_tokens": INPUT_TOKENS, "completion_tokens": len(words(reply))}
        raw = {"usage": usage, "choices": [{"finish_reason": reply.finish}]}
        calls = [ToolCallBlock(tool_call_id="1", tool_name="look_up", tool_kwargs={})] if reply.tool else []
        message = ChatMessage(role="assistant", blocks=[TextBlock(text=text), *calls])
        yield ChatResponse(message=message, delta="", raw=raw)

    @llm_chat_callback()
    def chat(self, messages: Any, **_: Any) -> ChatResponse:
        reply = self._script.answer(messages[-1].content)
        self._script.wait(reply)
        *_rest, whole = self._responses(reply)
        return whole

    @llm_chat_callback()
    async def achat(self, messages: Any, **_: Any) -> ChatResponse:
        reply = self._script.answer(messages[-1].content)
        await self._script.await_(reply)
        *_rest, whole = self._responses(reply)
        return whole

    @llm_chat_callback()
    def stream_chat(self, messages: Any, **_: Any) -> Any:
        def responses() -> Iterator[ChatResponse]:
            reply = self._script.answer(messages[-1].content)
            self._script.wait(reply)
            yield from self._responses(reply)

        return responses()

    @llm_chat_callback()
    async def astream_chat(self, messages: Any, **_: Any) -> Any:
        async def responses() -> AsyncIterator[ChatResponse]:
            reply = self._script.answer(messages[-1].content)
            await self._script.await_(reply)
            for response in self._responses(reply):
                yield response

        return responses()

    def complete(self, prompt: str, formatted: bool = False, **_: Any) -> Any:
        raise NotImplementedError

    def stream_complete(self, prompt: str, formatted: bool = False, **_: Any) -> Any:
        raise NotImplementedError

    async def acomplete(self, prompt: str, formatted: bool = False, **_: Any) -> Any:
        raise NotImplementedError

    async def astream_complete(self, prompt: str, formatted: bool = False, **_: Any) -> Any:
        raise NotImplementedError


class ScriptedClient:
    """For `ask` and `stream`."""

    name = NAME
    prompts = PROMPTS["instruction"]
    max_stops = None
    load = 0.0

    def __init__(self, script: Script) -> None:
        self._script = script

    def _deltas(self, reply: Reply) -> Iterator[Delta]:
        for word in written(reply):
            yield Delta(word)
        yield Delta(
            usage=Usage(INPUT_TOKENS, len(words(reply))),
            truncated=reply.finish == "length",
            filtered=reply.finish == "content_filter",
            other_content=reply.tool,
        )

    def stream(self, request: Request) -> Iterator[Delta]:
        reply = self._script.answer(request.messages[-1].text)
        self._script.wait(reply)
        yield from self._deltas(reply)

    async def astream(self, request: Request) -> AsyncGenerator[Delta]:
        reply = self._script.answer(request.messages[-1].text)
        await self._script.await_(reply)
        for delta in self._deltas(reply):
            yield delta
