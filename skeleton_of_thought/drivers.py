"""The loops that send a run's requests: all at once or streamed, with threads or with asyncio.

A driver knows nothing of the method, and nothing of a framework: it is given a function that sends requests.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import queue
import threading
from collections import deque
from typing import TYPE_CHECKING

from skeleton_of_thought.request import Delta, Reply, Request
from skeleton_of_thought.usage import Usage

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        AsyncIterator,
        Awaitable,
        Callable,
        Generator,
        Iterator,
        Sequence,
    )

    from skeleton_of_thought.events import Event
    from skeleton_of_thought.method import SkeletonOfThought

Outcome = Reply | Exception
_News = tuple[Request, Delta | BaseException | None]
"""A piece of an answer, the error that ended it, or None at its end."""


def answer_all(run: SkeletonOfThought, send: Callable[[Sequence[Request]], Sequence[Outcome]]) -> None:
    """Drive a run to its end; `send` answers several requests at once and returns their outcomes in order."""
    waiting = run.start()
    while waiting:
        waiting = _tell(run, waiting, send(waiting))


async def aanswer_all(
    run: SkeletonOfThought, send: Callable[[Sequence[Request]], Awaitable[Sequence[Outcome]]]
) -> None:
    """Like `answer_all`, with a coroutine."""
    waiting = run.start()
    while waiting:
        waiting = _tell(run, waiting, await send(waiting))


def _tell(run: SkeletonOfThought, requests: Sequence[Request], outcomes: Sequence[Outcome]) -> list[Request]:
    released: list[Request] = []
    for request, outcome in zip(requests, outcomes, strict=True):
        if isinstance(outcome, Exception):
            released += run.failed(request.id, outcome)
        else:
            released += run.done(request.id, outcome.text, outcome.usage, truncated=outcome.truncated)
    return released


class _Requests:
    """The open requests of a streamed run: at most so many at once, their usage and truncation summed up."""

    def __init__(self, run: SkeletonOfThought, max_concurrency: int | None) -> None:
        self._run = run
        self._waiting: deque[Request] = deque()
        self._places = max_concurrency
        self._usage: dict[str, Usage] = {}
        self._truncated: set[str] = set()

    def to_open(self, released: Sequence[Request]) -> list[Request]:
        """Queue requests; returns those whose turn it is."""
        self._waiting.extend(released)
        count = len(self._waiting) if self._places is None else min(self._places, len(self._waiting))
        if self._places is not None:
            self._places -= count
        return [self._waiting.popleft() for _ in range(count)]

    def take(self, request: Request, news: Delta | BaseException | None) -> list[Request]:
        """Tell the run; returns the requests to open now."""
        if not isinstance(news, Delta) and self._places is not None:
            self._places += 1
        return self.to_open(self._tell(request, news))

    def _tell(self, request: Request, news: Delta | BaseException | None) -> Sequence[Request]:
        if isinstance(news, Delta):
            self._usage[request.id] = self._usage.get(request.id, Usage()) + news.usage
            if news.truncated:
                self._truncated.add(request.id)
            return self._run.text(request.id, news.text)
        usage = self._usage.pop(request.id, Usage())
        truncated = request.id in self._truncated
        self._truncated.discard(request.id)
        if news is None:
            return self._run.done(request.id, usage=usage, truncated=truncated)
        return self._run.failed(request.id, news, usage)


def stream(
    run: SkeletonOfThought,
    send: Callable[[Request], Iterator[Delta]],
    *,
    max_concurrency: int | None = None,
) -> Generator[Event | tuple[Request, Delta]]:
    """Drive a run to its end with one thread per request; yields what happens while it happens.

    Args:
        run: The run.
        send: Opens the stream of one request. Called in a thread of its own, with the caller's context
            variables.
        max_concurrency: Most streams open at once; None for all.

    Yields:
        The run's events; and the pieces of a direct answer as they came, for who wants more than their text.
        Closing the iterator closes the streams: each at its next piece, since a thread cannot be interrupted.
    """
    inbox: queue.SimpleQueue[_News] = queue.SimpleQueue()
    stopped = threading.Event()

    def work(request: Request) -> None:
        try:
            with contextlib.closing(_closable(send(request))) as deltas:
                for delta in deltas:
                    if stopped.is_set():
                        return
                    inbox.put((request, delta))
            inbox.put((request, None))
        except BaseException as error:  # noqa: BLE001 - whatever ends the thread must end the wait for it
            inbox.put((request, error))

    def start(opened: Sequence[Request]) -> None:
        for request in opened:
            context = contextvars.copy_context()
            threading.Thread(
                target=context.run, args=(work, request), daemon=True, name=f"sot {request.id}"
            ).start()

    requests = _Requests(run, max_concurrency)
    try:
        start(requests.to_open(run.start()))
        yield from run.events()
        while not run.finished:
            request, news = inbox.get()
            start(requests.take(request, news))
            if request.stage == "direct" and isinstance(news, Delta):
                yield request, news
            yield from run.events()
    finally:
        stopped.set()


def _closable(deltas: Iterator[Delta]) -> Generator[Delta]:
    """A generator over any iterator, so that closing it closes what it stands on."""
    try:
        yield from deltas
    finally:
        close = getattr(deltas, "close", None)
        if close is not None:
            close()


async def astream(
    run: SkeletonOfThought,
    send: Callable[[Request], AsyncIterator[Delta]],
    *,
    max_concurrency: int | None = None,
) -> AsyncGenerator[Event | tuple[Request, Delta]]:
    """Like `stream`, with one task per request; closing the iterator cancels the outstanding requests."""
    inbox: asyncio.Queue[_News] = asyncio.Queue()
    tasks: set[asyncio.Task[None]] = set()

    async def work(request: Request) -> None:
        try:
            async with contextlib.aclosing(_aclosable(send(request))) as deltas:
                async for delta in deltas:
                    inbox.put_nowait((request, delta))
            inbox.put_nowait((request, None))
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - cancelled by us, or inside `send`
            inbox.put_nowait((request, error))

    def start(opened: Sequence[Request]) -> None:
        tasks.update(asyncio.create_task(work(request), name=f"sot {request.id}") for request in opened)

    requests = _Requests(run, max_concurrency)
    try:
        start(requests.to_open(run.start()))
        for event in run.events():
            yield event
        while not run.finished:
            request, news = await inbox.get()
            start(requests.take(request, news))
            if request.stage == "direct" and isinstance(news, Delta):
                yield request, news
            for event in run.events():
                yield event
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _aclosable(deltas: AsyncIterator[Delta]) -> AsyncGenerator[Delta]:
    try:
        async for delta in deltas:
            yield delta
    finally:
        close = getattr(deltas, "aclose", None)
        if close is not None:
            await close()
