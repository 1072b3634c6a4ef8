"""LLMs of every kind that write from a script, slowly if asked to."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    LLMMetadata,
    MessageRole,
)
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.llms import LLM, CustomLLM
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.schema import NodeWithScore, TextNode

if TYPE_CHECKING:
    from collections.abc import Iterator

TITLES = ["Soil", "Water", "Light", "Seeds", "Tools", "Slugs", "Bees", "Compost"]


def nodes(count: int = 3) -> list[NodeWithScore]:
    texts = [f"{title} is what chunk {n} is about." for n, title in enumerate(TITLES[:count], start=1)]
    return [
        NodeWithScore(node=TextNode(text=text, id_=f"node-{n}", metadata={"file": f"{n}.md"}), score=1 / n)
        for n, text in enumerate(texts, start=1)
    ]


def memory() -> ChatMemoryBuffer:
    """A chat engine's memory without a database: LlamaIndex does not close that of its default."""
    return ChatMemoryBuffer.from_defaults(token_limit=4000)


def is_point(prompt: str) -> re.Match[str] | None:
    return re.search(r"[Tt]he point is (\d+)|only point (\d+)", prompt.rsplit("user:", 1)[-1])


class Script:
    """What the LLM writes, and a record of what it was asked."""

    def __init__(
        self,
        *,
        points: int = 3,
        pause: float = 0.0,
        words: int = 6,
        skeleton: str | None = None,
        point: str | None = None,
        together: int = 0,
    ) -> None:
        self.skeleton = skeleton or "\n".join(
            f"{n}. {title}" for n, title in enumerate(TITLES[:points], start=1)
        )
        self.point = point or "All of this is said by source [{n}] " + " ".join(["and"] * (words - 8)) + "so."
        self.pause = pause
        self.asked: list[str] = []
        self.kwargs: list[dict[str, Any]] = []
        self.failures: list[Exception | None] = []
        self.running = self.peak = 0
        self.took: list[float] = []
        self.cancelled = 0
        self._together = together
        self._points_begun = 0
        self._lock = threading.Lock()

    def wait(self, prompt: str) -> Iterator[float]:
        """Pauses, until so many points have been asked for that they can only have been asked at once."""
        if not is_point(prompt):
            return
        with self._lock:
            self._points_begun += 1
        deadline = time.monotonic() + 30
        while self._points_begun < self._together:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self._points_begun} of {self._together} points are asked at once")
            yield 0.002

    def answer(self, prompt: str, kwargs: dict[str, Any]) -> list[str]:
        with self._lock:
            self.asked.append(prompt)
            self.kwargs.append(kwargs)
            failure = self.failures.pop(0) if self.failures else None
        if failure is not None:
            raise failure
        if number := is_point(prompt):
            text = self.point.format(n=number[1] or number[2])
        else:
            text = self.skeleton if "skeleton" in prompt.rsplit("user:", 1)[-1] else "One plain answer."
        return re.findall(r"\s*\S+\s*?(?=\s|$)", text)

    def sleep(self, prompt: str, words: int) -> None:
        for seconds in self.wait(prompt):
            time.sleep(seconds)
        time.sleep(self.pause * words)

    async def asleep(self, prompt: str, words: int) -> None:
        for seconds in self.wait(prompt):
            await asyncio.sleep(seconds)
        await asyncio.sleep(self.pause * words)

    @contextmanager
    def writing(self) -> Any:
        with self._lock:
            self.running += 1
            self.peak = max(self.peak, self.running)
        started = time.perf_counter()
        try:
            yield
        finally:
            with self._lock:
                self.running -= 1
                self.took.append(time.perf_counter() - started)


def shown(messages: Any) -> str:
    return "\n".join(f"{message.role.value}: {message.content}" for message in messages)


def usage(prompt: str, words: list[str]) -> dict[str, Any]:
    return {"usage": {"prompt_tokens": len(prompt.split()), "completion_tokens": len(words)}}


class ChatLLM(LLM):
    """A chat model whose async methods are real."""

    system_prompt: str | None = None
    window: int = 4096
    _script: Script = PrivateAttr()

    def __init__(self, script: Script | None = None, **options: Any) -> None:
        super().__init__(**options)
        self._script = script or Script()

    @property
    def script(self) -> Script:
        return self._script

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(context_window=self.window, num_output=64, is_chat_model=True, model_name="fake")

    def _response(self, text: str, delta: str | None = None, raw: Any = None) -> ChatResponse:
        return ChatResponse(
            message=ChatMessage(role=MessageRole.ASSISTANT, content=text), delta=delta, raw=raw
        )

    @llm_chat_callback()
    def chat(self, messages: Any, **kwargs: Any) -> ChatResponse:
        words = self._script.answer(shown(messages), kwargs)
        with self._script.writing():
            self._script.sleep(shown(messages), len(words))
        return self._response("".join(words), raw=usage(shown(messages), words))

    @llm_chat_callback()
    def stream_chat(self, messages: Any, **kwargs: Any) -> Any:
        def pieces() -> Any:
            words = self._script.answer(shown(messages), kwargs)
            text = ""
            with self._script.writing():
                self._script.sleep(shown(messages), 0)
                for place, word in enumerate(words, start=1):
                    time.sleep(self._script.pause)
                    text += word
                    raw = usage(shown(messages), words) if place == len(words) else None
                    yield self._response(text, word, raw)

        return pieces()

    @llm_chat_callback()
    async def achat(self, messages: Any, **kwargs: Any) -> ChatResponse:
        words = self._script.answer(shown(messages), kwargs)
        with self._script.writing():
            await self._script.asleep(shown(messages), len(words))
        return self._response("".join(words), raw=usage(shown(messages), words))

    @llm_chat_callback()
    async def astream_chat(self, messages: Any, **kwargs: Any) -> Any:
        async def pieces() -> Any:
            words = self._script.answer(shown(messages), kwargs)
            text = ""
            with self._script.writing():
                try:
                    await self._script.asleep(shown(messages), 0)
                    for place, word in enumerate(words, start=1):
                        await asyncio.sleep(self._script.pause)
                        text += word
                        raw = usage(shown(messages), words) if place == len(words) else None
                        yield self._response(text, word, raw)
                except (asyncio.CancelledError, GeneratorExit):
                    self._script.cancelled += 1
                    raise

        return pieces()

    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        raise NotImplementedError

    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        raise NotImplementedError

    async def acomplete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        raise NotImplementedError

    async def astream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        raise NotImplementedError


class PretendedAsyncLLM(ChatLLM):
    """A chat model whose async methods only call the sync ones, as those of several integrations do."""

    @llm_chat_callback()
    async def achat(self, messages: Any, **kwargs: Any) -> ChatResponse:
        return self.chat(messages, **kwargs)

    @llm_chat_callback()
    async def astream_chat(self, messages: Any, **kwargs: Any) -> Any:
        async def pieces() -> Any:
            for piece in self.stream_chat(messages, **kwargs):
                yield piece

        return pieces()


class CompletionLLM(CustomLLM):
    """A model that only completes, with LlamaIndex's own pretended async methods."""

    _script: Script = PrivateAttr()

    def __init__(self, script: Script | None = None, **options: Any) -> None:
        super().__init__(**options)
        self._script = script or Script()

    @property
    def script(self) -> Script:
        return self._script

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(context_window=4096, num_output=64, is_chat_model=False, model_name="fake")

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        words = self._script.answer(prompt, kwargs)
        with self._script.writing():
            self._script.sleep(prompt, len(words))
        return CompletionResponse(text=" " + "".join(words), raw=usage(prompt, words))

    @llm_completion_callback()
    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        def pieces() -> Any:
            words = self._script.answer(prompt, kwargs)
            text = ""
            with self._script.writing():
                self._script.sleep(prompt, 0)
                for word in [" ", *words]:
                    time.sleep(self._script.pause)
                    text += word
                    yield CompletionResponse(text=text, delta=word)

        return pieces()
