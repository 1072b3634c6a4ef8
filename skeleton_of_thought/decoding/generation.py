"""The handle of one running generation: read it from threads or from an event loop, or cancel it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from typing import TYPE_CHECKING

from skeleton_of_thought.errors import EngineClosedError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from skeleton_of_thought.decoding.request import GenerationResult


class Generation:
    """One request on its way: iterate over the text as it is written, or wait for the result.

    Text that is written faster than it is read arrives in larger pieces. There is one stream of text per
    generation: what one reader took, another does not see; `result` and `aresult` always have all of it.

    Example:
        ```python
        generation = engine.submit(GenerationRequest(messages=[{"role": "user", "content": "Hello"}]))
        for text in generation:  # or: async for text in generation
            show(text)
        generation.result().usage
        ```
    """

    def __init__(self, cancel: Callable[[], None]) -> None:
        self._cancel = cancel
        self._pid = os.getpid()
        self._news = threading.Condition()
        self._pending: list[str] = []
        self._result: GenerationResult | None = None
        self._error: BaseException | None = None
        self._waiters: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []

    @classmethod
    def failed(cls, error: BaseException) -> Generation:
        """A generation that ended before it began."""
        generation = cls(lambda: None)
        generation.finish(None, error)
        return generation

    @property
    def done(self) -> bool:
        """Whether nothing more will come."""
        return self._result is not None or self._error is not None

    def __iter__(self) -> Iterator[str]:
        return self.texts()

    def __aiter__(self) -> AsyncIterator[str]:
        return self.atexts()

    def texts(self, end: float | None = None) -> Iterator[str]:
        """The text as it is written.

        Args:
            end: When all of it must have been written, on `time.monotonic()`'s clock; None for no limit. A text that
                is finished is given however late it is read.

        Raises:
            TimeoutError: It is not finished at that time; the generation goes on.
        """
        self._check_process()
        while True:
            with self._news:
                left = None if end is None else max(0.0, end - time.monotonic())
                self._news.wait_for(lambda: self._pending or self.done, left)
                text = self._take_before(end)
            if text is None:
                return
            yield text

    async def atexts(self, end: float | None = None) -> AsyncIterator[str]:
        """`texts` without blocking the event loop."""
        while True:
            left = None if end is None else max(0.0, end - time.monotonic())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._until(lambda: bool(self._pending) or self.done)
            with self._news:
                text = self._take_before(end)
            if text is None:
                return
            yield text

    def result(self, timeout: float | None = None) -> GenerationResult:
        """Wait for the end.

        Args:
            timeout: Most seconds to wait.

        Raises:
            TimeoutError: The time is up; the generation goes on.
            DecodingError: The engine could not do it.
        """
        self._check_process()
        with self._news:
            if not self._news.wait_for(lambda: self.done, timeout):
                raise TimeoutError(f"The generation was not finished after {timeout} seconds.")
        return self._outcome()

    async def aresult(self) -> GenerationResult:
        """`result` without blocking the event loop."""
        await self._until(lambda: self.done)
        return self._outcome()

    def cancel(self) -> None:
        """Stop writing; the row is free within one step. What was written so far is the result."""
        self._check_process()
        self._cancel()

    def _outcome(self) -> GenerationResult:
        if self._error is not None:
            raise self._error
        assert self._result is not None
        return self._result

    def _take_before(self, end: float | None) -> str | None:
        if end is not None and not self.done and time.monotonic() >= end:
            raise TimeoutError("The text was not finished in time.")
        return self._take()

    def _take(self) -> str | None:
        """All text that waits, None at the end; with the lock held."""
        if self._pending:
            text = "".join(self._pending)
            self._pending.clear()
            return text
        if self._error is not None:
            raise self._error
        return None

    async def _until(self, ready: Callable[[], bool]) -> None:
        self._check_process()
        loop = asyncio.get_running_loop()
        while True:
            with self._news:
                if ready():
                    return
                waiter = loop.create_future()
                self._waiters.append((loop, waiter))
            try:
                await waiter
            finally:
                with self._news:
                    if (loop, waiter) in self._waiters:
                        self._waiters.remove((loop, waiter))

    def _check_process(self) -> None:
        if os.getpid() != self._pid:
            raise EngineClosedError(
                f"This generation runs in process {self._pid}; a forked process cannot read it. "
                "Make the engine after the fork."
            )

    # The engine's side.

    def push(self, text: str) -> None:
        """Engine only: add text."""
        with self._news:
            self._pending.append(text)
            self._wake()

    def finish(self, result: GenerationResult | None, error: BaseException | None = None) -> None:
        """Engine only: end it, once; later calls change nothing."""
        with self._news:
            if not self.done:
                self._result, self._error = result, error
                self._wake()

    def _wake(self) -> None:
        self._news.notify_all()
        waiters, self._waiters = self._waiters, []
        for loop, waiter in waiters:
            try:
                loop.call_soon_threadsafe(_release, waiter)
            except RuntimeError:  # that event loop is closed: nobody waits any more
                continue


def _release(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
