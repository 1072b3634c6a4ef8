"""The loops with asyncio: all requests of a round at once, or one task per request."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from skeleton_of_thought.drivers.open_requests import News, OpenRequests
from skeleton_of_thought.drivers.sync import Outcome, tell
from skeleton_of_thought.drivers.turns import Turns

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence

    from skeleton_of_thought.events import Event
    from skeleton_of_thought.method import SkeletonOfThought
    from skeleton_of_thought.request import Delta, Request


async def aanswer_all(
    run: SkeletonOfThought, send: Callable[[Sequence[Request]], Awaitable[Sequence[Outcome]]]
) -> None:
    """Like `answer_all`, with a coroutine."""
    waiting = run.start()
    while waiting:
        waiting = tell(run, waiting, await send(waiting))


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
    turns = turns or Turns(longest_wait=run.settings.longest_wait)
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
                request, news = await _next(inbox, requests)
            except TimeoutError:
                start(requests.late())
            else:
                start(requests.take(request, news))
            if requests.dropped():
                _cancel_closed(tasks, requests)
            for seen in (*requests.direct(), *run.events()):
                yield seen
        requests.bill(inbox.get_nowait() for _ in range(inbox.qsize()))
    finally:
        requests.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _next(inbox: asyncio.Queue[tuple[Request, News]], requests: OpenRequests) -> tuple[Request, News]:
    """What came next; TimeoutError if something is late."""
    if not inbox.empty():
        return inbox.get_nowait()
    async with asyncio.timeout(requests.wait):
        return await inbox.get()


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
                    turn.add(delta.usage)
                    inbox.put_nowait((request, delta))
                    if not requests.is_open(request):
                        return
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
