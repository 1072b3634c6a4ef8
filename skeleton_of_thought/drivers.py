"""The loops that send a run's requests: all at once or streamed, with threads or with asyncio.

A driver knows nothing of the method, and nothing of a framework: it is given a function that sends requests.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import queue
import threading
from typing import TYPE_CHECKING

from skeleton_of_thought._open_requests import News, OpenRequests
from skeleton_of_thought.errors import EmptyAnswerError, FilteredError
from skeleton_of_thought.request import Delta, Reply, Request
from skeleton_of_thought.turns import Turns

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        AsyncIterator,
        Awaitable,
        Callable,
        Generator,
        Iterator,
        Mapping,
        Sequence,
    )

    from skeleton_of_thought.events import Event
    from skeleton_of_thought.method import SkeletonOfThought

Outcome = Reply | Exception


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
        elif outcome.filtered and request.stage == "point":
            released += run.failed(request.id, FilteredError(), outcome.usage)
        elif outcome.empty and request.stage == "direct":
            released += run.failed(request.id, EmptyAnswerError(), outcome.usage)
        else:
            released += run.done(request.id, outcome.text, outcome.usage, truncated=outcome.truncated)
    return released


def stream(
    run: SkeletonOfThought,
    send: Callable[[Request], Iterator[Delta]],
    *,
    max_concurrency: int | None = None,
    turns: Turns | None = None,
) -> Generator[Event | tuple[Request, Delta]]:
    """Drive a run to its end with one thread per request; yields what happens while it happens.

    Args:
        run: The run.
        send: Opens the stream of one request. Called in a thread of its own, with the caller's context
            variables.
        max_concurrency: Most streams open at once; None for all.
        turns: What every request waits for before it is sent; None for turns of this run alone.

    Yields:
        The run's events; and the pieces of a direct answer as they came, for who wants more than their text.
        Closing the iterator closes the streams: each at its next piece, since a thread cannot be interrupted.
        A deadline of the run's options works in the same way: what is late is not waited for.
    """
    inbox: queue.SimpleQueue[tuple[Request, News]] = queue.SimpleQueue()
    requests = OpenRequests(run, max_concurrency)
    turns = turns or Turns()

    def start(opened: Sequence[Request]) -> None:
        for request in opened:
            context = contextvars.copy_context()
            threading.Thread(
                target=context.run,
                args=(_work, request, send, turns, requests, inbox),
                daemon=True,
                name=f"sot {request.id}",
            ).start()

    try:
        start(requests.start())
        yield from run.events()
        while not run.finished:
            try:
                request, news = inbox.get(timeout=requests.wait)
            except queue.Empty:
                start(requests.late())
            else:
                start(requests.take(request, news))
            yield from requests.direct()
            yield from run.events()
    finally:
        requests.close()


def _work(
    request: Request,
    send: Callable[[Request], Iterator[Delta]],
    turns: Turns,
    requests: OpenRequests,
    inbox: queue.SimpleQueue[tuple[Request, News]],
) -> None:
    """Send one request, unless nobody waits for it any more when its turn comes."""
    try:
        with turns.turn(request) as turn:
            if not requests.is_open(request):
                turn.unused()
                return
            inbox.put((request, "begun"))
            with contextlib.closing(_closable(send(request))) as deltas:
                for delta in deltas:
                    if not requests.is_open(request):
                        return
                    turn.add(delta.usage)
                    inbox.put((request, delta))
        inbox.put((request, None))
    except BaseException as error:  # noqa: BLE001 - whatever ends the thread must end the wait for it
        inbox.put((request, error))


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
    turns: Turns | None = None,
) -> AsyncGenerator[Event | tuple[Request, Delta]]:
    """Like `stream`, with one task per request; closing the iterator cancels the outstanding requests."""
    inbox: asyncio.Queue[tuple[Request, News]] = asyncio.Queue()
    requests = OpenRequests(run, max_concurrency)
    turns = turns or Turns()
    tasks: dict[asyncio.Task[None], Request] = {}

    def start(opened: Sequence[Request]) -> None:
        for request in opened:
            work = _awork(request, send, turns, requests, inbox)
            tasks[asyncio.create_task(work, name=f"sot {request.id}")] = request

    try:
        start(requests.start())
        for event in run.events():
            yield event
        while not run.finished:
            try:
                async with asyncio.timeout(requests.wait):
                    request, news = await inbox.get()
            except TimeoutError:
                start(requests.late())
            else:
                start(requests.take(request, news))
            if requests.dropped():
                _cancel_closed(tasks, requests)
            for seen in (*requests.direct(), *run.events()):
                yield seen
    finally:
        requests.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _cancel_closed(tasks: Mapping[asyncio.Task[None], Request], requests: OpenRequests) -> None:
    for task, request in tasks.items():
        if not requests.is_open(request):
            task.cancel()


async def _awork(
    request: Request,
    send: Callable[[Request], AsyncIterator[Delta]],
    turns: Turns,
    requests: OpenRequests,
    inbox: asyncio.Queue[tuple[Request, News]],
) -> None:
    """Send one request; cancelled when nobody waits for it any more.

    A cancellation can get lost on its way (`asyncio.wait_for` before Python 3.12 drops one that meets a result,
    and ChatOpenAI waits so for every chunk), so the request is also looked after by itself.
    """
    try:
        async with turns.aturn(request) as turn:
            inbox.put_nowait((request, "begun"))
            async with contextlib.aclosing(_aclosable(send(request))) as deltas:
                async for delta in deltas:
                    if not requests.is_open(request):
                        return
                    turn.add(delta.usage)
                    inbox.put_nowait((request, delta))
        inbox.put_nowait((request, None))
    except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - cancelled by us, or inside `send`
        inbox.put_nowait((request, error))


async def _aclosable(deltas: AsyncIterator[Delta]) -> AsyncGenerator[Delta]:
    try:
        async for delta in deltas:
            yield delta
    finally:
        close = getattr(deltas, "aclose", None)
        if close is not None:
            await close()
