"""Turns a run of the method into text, and tells LlamaIndex what happens meanwhile."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from llama_index_instrumentation.span import active_span_id

from llamaindex_sot.events import publish
from skeleton_of_thought.drivers import astream, stream
from skeleton_of_thought.events import AnswerText

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator

    from llamaindex_sot.everyday import Everyday
    from skeleton_of_thought.answer import Answer
    from skeleton_of_thought.method import SkeletonOfThought
    from skeleton_of_thought.request import Delta, Request


class AnswerRun:
    """One answer being written.

    Args:
        run: Decides what is sent.
        everyday: The options that say how; the answer tells them what it says of the LLM's speed.
        empty: What to say instead of nothing at all.
        describe: What the metadata says of a finished answer.

    Attributes:
        direct: The LLM's own last response, where the answer is a direct one.
        metadata: Filled when the text has been read to its end; the same object from the start.
    """

    def __init__(
        self,
        run: SkeletonOfThought,
        *,
        everyday: Everyday,
        empty: str,
        describe: Callable[[Answer], dict[str, Any]],
    ) -> None:
        self._run = run
        self._empty = empty
        self._limit = everyday.max_concurrency
        self._turns = everyday.turns()
        self._speeds = everyday.speeds
        self._describe = describe
        self._span = active_span_id.get()
        self._written = False
        self._answer: Answer | None = None
        self.direct: Any = None
        self.metadata: dict[str, Any] = {}

    def texts(self, send: Callable[[Request], Iterator[Delta]]) -> Generator[str]:
        """The answer in reading order while it is written; closing the iterator stops the requests."""
        with contextlib.closing(
            stream(self._run, send, max_concurrency=self._limit, turns=self._turns)
        ) as events:
            for event in events:
                yield from self._text(event)
        yield from self._end()

    async def atexts(self, send: Callable[[Request], AsyncIterator[Delta]]) -> AsyncGenerator[str]:
        """Like `texts`, with asyncio."""
        async with contextlib.aclosing(
            astream(self._run, send, max_concurrency=self._limit, turns=self._turns)
        ) as events:
            async for event in events:
                for text in self._text(event):
                    yield text
        for text in self._end():
            yield text

    def describe(self) -> None:
        """Fill the metadata, if the answer is finished."""
        if self._answer is not None:
            self.metadata.update(self._describe(self._answer))

    def _text(self, event: Any) -> Iterator[str]:
        publish(event, self._span)
        if isinstance(event, tuple) and event[1].raw is not None:
            self.direct = event[1].raw
        if isinstance(event, AnswerText):
            self._written = True
            yield event.text

    def _end(self) -> Iterator[str]:
        if not self._written:
            yield self._empty
        self._answer = self._run.answer
        self._speeds.observe(self._answer)
        self.describe()
