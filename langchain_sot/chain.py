"""`SkeletonOfThoughtChain`: stands where a chat model stood."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, ClassVar, cast

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, AnyMessage, message_chunk_to_message
from langchain_core.runnables import RunnableConfig, RunnableSerializable
from pydantic import ConfigDict

from langchain_sot.base import SkeletonOfThoughtBase
from langchain_sot.concurrency import SharedLimit
from langchain_sot.execution import Execution
from langchain_sot.graph import draw
from langchain_sot.listeners import ToldAnswer, wants_stream
from langchain_sot.messages import from_input, to_langchain

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterator

    from langchain_core.callbacks import (
        AsyncCallbackManagerForChainRun,
        CallbackManagerForChainRun,
    )
    from langchain_core.runnables.graph import Graph
    from langchain_core.runnables.utils import ConfigurableFieldSpec


class SkeletonOfThoughtChain(
    SkeletonOfThoughtBase, SharedLimit, RunnableSerializable[LanguageModelInput, AIMessage]
):
    """Answers with a skeleton first and all points at the same time (arXiv 2307.15337).

    Takes what a chat model takes and returns what a chat model returns: an `AIMessage`, or `AIMessageChunk`s
    when streamed. Points go out as one `batch` or `abatch`; when streamed, as concurrent streams, read in
    order, live. An answer that cannot be split (no list in the skeleton, a refusal, bound tools, a response
    format, a router's no) is one plain answer of the model, returned as the model gave it. Where something wants
    a chat model itself, such as an agent, use `ChatSkeletonOfThought`.

    `response_metadata["sot"]` holds route, reason, skeleton, points, seconds and usage. Every request is a
    child run, named `skeleton`, `point 3` or `direct` and tagged `sot:point:3` accordingly; the custom events
    `sot_skeleton`, `sot_point_start` and `sot_point_end` tell the progress. Whoever listens for a chat model's
    tokens (LangGraph's `stream_mode="messages"`, `astream_events`, a callback) hears those of the answer, in reading
    order, in one run named `answer`; to hear the points while they are written, give the model itself a handler:
    `ChatOpenAI(callbacks=[...])`.

    The attributes are those of `SkeletonOfThoughtBase`, with `router=None` for a skeleton of every question.

    Example:
        ```python
        from langchain_sot import ChatTransformers, SkeletonOfThoughtChain

        chain = SkeletonOfThoughtChain(model=ChatTransformers())
        for chunk in chain.stream("How can I improve my time management skills?"):
            print(chunk.text, end="")
        ```
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(
        extra="forbid", arbitrary_types_allowed=True, protected_namespaces=()
    )

    def invoke(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AIMessage:
        """Answer, all points in one `batch`."""
        return self._call_with_config(self._answer, input, config, **kwargs)

    async def ainvoke(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AIMessage:
        """Answer, all points in one `abatch`."""
        return await self._acall_with_config(self._aanswer, input, config, **kwargs)

    def stream(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Iterator[AIMessage]:
        """Answer in reading order while it is written; closing the iterator stops the requests."""
        yield from self.transform(iter([input]), config, **kwargs)

    async def astream(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncGenerator[AIMessage]:
        """Like `stream`, with asyncio."""

        async def inputs() -> AsyncIterator[LanguageModelInput]:
            yield input

        async with contextlib.aclosing(self.atransform(inputs(), config, **kwargs)) as chunks:
            async for chunk in chunks:
                yield chunk

    def transform(
        self, input: Iterator[LanguageModelInput], config: RunnableConfig | None = None, **kwargs: Any
    ) -> Iterator[AIMessage]:
        """Like `stream`; waits for the whole input first."""
        yield from self._transform_stream_with_config(input, self._stream_answer, config, **kwargs)

    async def atransform(
        self, input: AsyncIterator[LanguageModelInput], config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncGenerator[AIMessage]:
        """Like `transform`, with asyncio."""
        chunks = self._atransform_stream_with_config(input, self._astream_answer, config, **kwargs)
        async with contextlib.aclosing(cast("AsyncGenerator[AIMessage]", chunks)):
            async for chunk in chunks:
                yield chunk

    @property
    def InputType(self) -> Any:  # noqa: N802 - LangChain's name
        """What the model takes."""
        return self.model.InputType

    @property
    def OutputType(self) -> Any:  # noqa: N802 - LangChain's name
        """What chat models return."""
        return AnyMessage

    def get_graph(self, config: RunnableConfig | None = None) -> Graph:
        """Route, skeleton, points and direct answer, to draw: `chain.get_graph().draw_mermaid()`."""
        return draw(
            input_schema=self.get_input_schema(config),
            output_schema=self.get_output_schema(config),
            direct_model=self.model,
            skeleton_model=self.skeleton_model or self.model,
            point_model=self.point_model or self.model,
            routed=self.chosen_router() is not None,
        )

    @property
    def config_specs(self) -> list[ConfigurableFieldSpec]:
        """What can be configured per call: the models' own fields, the route, and which part is the question."""
        return self.own_config_specs()

    # The four ways of a call: plain or streamed, with threads or with asyncio.

    def _answer(
        self,
        input: LanguageModelInput,
        run_manager: CallbackManagerForChainRun,
        config: RunnableConfig,
        **kwargs: Any,
    ) -> Any:
        if wants_stream(run_manager.handlers):
            return _whole(list(self._told(input, run_manager, config, kwargs)))
        return self._execution(input, run_manager, config, kwargs).answer()

    async def _aanswer(
        self,
        input: LanguageModelInput,
        run_manager: AsyncCallbackManagerForChainRun,
        config: RunnableConfig,
        **kwargs: Any,
    ) -> Any:
        if wants_stream(run_manager.handlers):
            return _whole([chunk async for chunk in self._atold(input, run_manager, config, kwargs)])
        return await self._execution(input, run_manager, config, kwargs).aanswer()

    def _stream_answer(
        self,
        input: Iterator[LanguageModelInput],
        run_manager: CallbackManagerForChainRun,
        config: RunnableConfig,
        **kwargs: Any,
    ) -> Iterator[AIMessageChunk]:
        if parts := list(input):
            yield from self._told(_joined(parts), run_manager, config, kwargs)

    async def _astream_answer(
        self,
        input: AsyncIterator[LanguageModelInput],
        run_manager: AsyncCallbackManagerForChainRun,
        config: RunnableConfig,
        **kwargs: Any,
    ) -> AsyncIterator[AIMessageChunk]:
        if parts := [part async for part in input]:
            told = self._atold(_joined(parts), run_manager, config, kwargs)
            async with contextlib.aclosing(told) as chunks:
                async for chunk in chunks:
                    yield chunk

    def _told(
        self,
        input: LanguageModelInput,
        run_manager: CallbackManagerForChainRun,
        config: RunnableConfig,
        kwargs: dict[str, Any],
    ) -> Iterator[AIMessageChunk]:
        """The answer in pieces, which token listeners hear."""
        execution = self._execution(input, run_manager, config, kwargs)
        with contextlib.closing(cast("Any", execution.stream())) as chunks:
            yield from ToldAnswer(to_langchain(from_input(input)), run_manager).chunks(chunks)

    async def _atold(
        self,
        input: LanguageModelInput,
        run_manager: AsyncCallbackManagerForChainRun,
        config: RunnableConfig,
        kwargs: dict[str, Any],
    ) -> AsyncGenerator[AIMessageChunk]:
        execution = self._execution(input, run_manager, config, kwargs)
        async with contextlib.aclosing(cast("Any", execution.astream())) as chunks:
            told = ToldAnswer(to_langchain(from_input(input)), run_manager).achunks(chunks)
            async with contextlib.aclosing(cast("AsyncGenerator[AIMessageChunk]", told)):
                async for chunk in told:
                    yield chunk

    def _execution(
        self,
        input: LanguageModelInput,
        run_manager: CallbackManagerForChainRun | AsyncCallbackManagerForChainRun,
        config: RunnableConfig,
        kwargs: dict[str, Any],
    ) -> Execution:
        return Execution(self, from_input(input), run_manager=run_manager, config=config, kwargs=kwargs)


def _whole(chunks: list[Any]) -> Any:
    """An answer that came in pieces because somebody listens: a message, or what a parser made of a direct one."""
    first, *rest = chunks
    if not isinstance(first, AIMessageChunk):
        return chunks[-1]
    return message_chunk_to_message(cast("AIMessageChunk", first.__add__(rest) if rest else first))


def _joined(parts: list[Any]) -> Any:
    """The whole input of a transform: its parts added up, or the last one, as runnables do."""
    whole = parts[0]
    for part in parts[1:]:
        try:
            whole = whole + part
        except TypeError:
            whole = part
    return whole
