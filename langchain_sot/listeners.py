"""Who listens for a chat model's tokens, and how a chain tells them its answer: in reading order, as one run."""

from __future__ import annotations

import itertools
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import (
    AsyncCallbackHandler,
    AsyncCallbackManager,
    BaseCallbackHandler,
    CallbackManager,
)
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, LLMResult
from langchain_core.tracers._streaming import _StreamingCallbackHandler, _V2StreamingCallbackHandler
from langchain_core.tracers.base import AsyncBaseTracer, BaseTracer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence

    from langchain_core.callbacks import AsyncCallbackManagerForChainRun, CallbackManagerForChainRun
    from langchain_core.messages import BaseMessage

NAME = "answer"
"""What the run is called in which token listeners hear a chain's answer."""

_TOKEN_EVENTS = ("on_llm_new_token", "on_stream_event")
_NOT_SHOWING = {
    getattr(kind, event)
    for kind in (BaseCallbackHandler, AsyncCallbackHandler, BaseTracer, AsyncBaseTracer)
    for event in _TOKEN_EVENTS
}


def shows_tokens(handler: BaseCallbackHandler) -> bool:
    """Whether a handler does something with tokens; a tracer only notes when they came."""
    if isinstance(handler, (_StreamingCallbackHandler, _V2StreamingCallbackHandler)):
        return True
    return any(getattr(type(handler), event, None) not in _NOT_SHOWING for event in _TOKEN_EVENTS)


def wants_stream(handlers: Sequence[BaseCallbackHandler]) -> bool:
    """Whether somebody wants tokens of an `invoke` too: LangGraph's messages stream, `astream_events`."""
    return any(
        isinstance(handler, (_StreamingCallbackHandler, _V2StreamingCallbackHandler)) for handler in handlers
    )


class WithoutTokens(BaseCallbackHandler):
    """Passes everything on to a handler but tokens."""

    def __init__(self, handler: BaseCallbackHandler) -> None:
        object.__setattr__(self, "_handler", handler)

    def on_llm_new_token(self, *args: Any, **kwargs: Any) -> None:
        """Not passed on."""

    def on_stream_event(self, *args: Any, **kwargs: Any) -> None:
        """Not passed on."""

    def __getattribute__(self, name: str) -> Any:
        if name in _TOKEN_EVENTS or name.startswith("__"):
            return object.__getattribute__(self, name)
        if name.startswith("tap_output"):  # by which a streaming handler is known: models would stream for it
            raise AttributeError(name)
        return getattr(object.__getattribute__(self, "_handler"), name)


def without_tokens(handlers: Sequence[BaseCallbackHandler]) -> list[BaseCallbackHandler]:
    """The handlers, those that show tokens without them."""
    return [WithoutTokens(handler) if shows_tokens(handler) else handler for handler in handlers]


class ToldAnswer:
    """A chain's answer, told to those who listen for a chat model's tokens as if one model had written it.

    The bill is not told again: the requests' own runs have it.

    Args:
        messages: The conversation.
        run: The chain's run.
    """

    def __init__(
        self,
        messages: list[BaseMessage],
        run: CallbackManagerForChainRun | AsyncCallbackManagerForChainRun,
    ) -> None:
        self._messages = messages
        self._parent = run
        self._listeners = [handler for handler in run.handlers if shows_tokens(handler)]
        self._events = any(isinstance(each, _V2StreamingCallbackHandler) for each in self._listeners)

    def chunks(self, chunks: Iterator[Any]) -> Iterator[Any]:
        """The same chunks, told while they pass; what a parser made of an answer is nobody's tokens."""
        if not self._listeners:
            yield from chunks
            return
        for first in chunks:
            if not isinstance(first, AIMessageChunk):
                yield first
                continue
            yield from self._told(first, chunks)
            return

    def _told(self, first: AIMessageChunk, chunks: Iterator[AIMessageChunk]) -> Iterator[AIMessageChunk]:
        manager = self._manager(CallbackManager)
        (run,) = manager.on_chat_model_start({"name": NAME}, [self._messages], name=NAME)
        told: list[AIMessageChunk] = []

        def tapped() -> Iterator[ChatGenerationChunk]:
            for chunk in itertools.chain((first,), chunks):
                generation = ChatGenerationChunk(message=chunk)
                run.on_llm_new_token(chunk.content, chunk=generation)
                told.append(chunk)
                yield generation

        try:
            if self._events:
                from langchain_core.language_models._compat_bridge import chunks_to_events

                passed = 0
                for event in chunks_to_events(tapped()):
                    run.on_stream_event(event)
                    yield from told[passed:]
                    passed = len(told)
            else:
                for generation in tapped():
                    yield generation.message  # type: ignore[misc]
        except BaseException as error:
            run.on_llm_error(error, response=LLMResult(generations=[]))
            raise
        run.on_llm_end(_without_bill(told))

    async def achunks(self, chunks: AsyncIterator[Any]) -> AsyncIterator[Any]:
        """Like `chunks`, with asyncio."""
        if not self._listeners:
            async for chunk in chunks:
                yield chunk
            return
        async for first in chunks:
            if not isinstance(first, AIMessageChunk):
                yield first
                continue
            async with aclosing(self._atold(first, chunks)) as told:
                async for chunk in told:
                    yield chunk
            return

    async def _atold(
        self, first: AIMessageChunk, chunks: AsyncIterator[AIMessageChunk]
    ) -> AsyncGenerator[AIMessageChunk]:
        manager = self._manager(AsyncCallbackManager)
        (run,) = await manager.on_chat_model_start({"name": NAME}, [self._messages], name=NAME)
        told: list[AIMessageChunk] = []

        async def tell(chunk: AIMessageChunk) -> ChatGenerationChunk:
            generation = ChatGenerationChunk(message=chunk)
            await run.on_llm_new_token(chunk.content, chunk=generation)
            told.append(chunk)
            return generation

        async def tapped() -> AsyncIterator[ChatGenerationChunk]:
            yield await tell(first)
            async for chunk in chunks:
                yield await tell(chunk)

        try:
            if self._events:
                from langchain_core.language_models._compat_bridge import achunks_to_events

                passed = 0
                async for event in achunks_to_events(tapped()):
                    await run.on_stream_event(event)
                    while passed < len(told):
                        yield told[passed]
                        passed += 1
            else:
                async for generation in tapped():
                    yield generation.message  # type: ignore[misc]
        except BaseException as error:
            await run.on_llm_error(error, response=LLMResult(generations=[]))
            raise
        await run.on_llm_end(_without_bill(told))

    def _manager(self, kind: Any) -> Any:
        manager = kind(handlers=[], parent_run_id=self._parent.run_id)
        manager.handlers, manager.inheritable_handlers = list(self._listeners), []
        manager.add_tags([*self._parent.tags, f"sot:{NAME}"], inherit=False)
        manager.add_metadata(dict(self._parent.metadata), inherit=False)
        return manager


def _without_bill(chunks: list[AIMessageChunk]) -> LLMResult:
    if not chunks:
        return LLMResult(generations=[])
    first, *rest = chunks
    whole: AIMessageChunk = first.__add__(rest) if rest else first
    message = whole.model_copy(update={"usage_metadata": None})
    return LLMResult(generations=[[ChatGeneration(message=message)]])
