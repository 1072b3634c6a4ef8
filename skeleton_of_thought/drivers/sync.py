"""The loops with threads: all requests of a round at once, or one thread per request."""

from __future__ import annotations

import contextlib
import contextvars
import queue
import threading
from typing import TYPE_CHECKING

from skeleton_of_thought.drivers.open_requests import News, OpenRequests
from skeleton_of_thought.drivers.turns import Turns
from skeleton_of_thought.request import Delta, Reply, Request

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from skeleton_of_thought.events import Event
    from skeleton_of_thought.method import SkeletonOfThought

Outcome = Reply | Exception
"""What a request sent in a round came to."""


def answer_all(run: SkeletonOfThought, send: Callable[[Sequence[Request]], Sequence[Outcome]]) -> None:
    """Drive a run to its end; `send` answers several requests at once and returns their outcomes in order."""
    waiting = run.start()
    while waiting:
        waiting = tell(run, waiting, send(waiting))


def tell(run: SkeletonOfThought, requests: Sequence[Request], outcomes: Sequence[Outcome]) -> list[Request]:
    """Tell a run what a round of requests came to; returns what that releases."""
    released: list[Request] = []
    for request, outcome in zip(requests, outcomes, strict=True):
        if isinstance(outcome, Exception):
            released += run.failed(request.id, outcome)
        else:
            released += run.done(
                request.id,
                outcome.text,
                outcome.usage,
                truncated=outcome.truncated,
                filtered=outcome.filtered,
                other_content=outcome.other_content,
                finish_reason=outcome.finish_reason,
            )
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
        The run's events; and the pieces of a direct answer as they came: a caller may want more than their text.
        Closing the iterator closes the streams: each at its next piece, since a thread cannot be interrupted.
        A deadline of the run's options works in the same way: what is late is not waited for.
    """
    inbox: queue.SimpleQueue[tuple[Request, News]] = queue.SimpleQueue()
    requests = OpenRequests(run, max_concurrency)
    turns = turns or Turns(longest_wait=run.settings.longest_wait)

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
        requests.bill(inbox.get_nowait() for _ in range(inbox.qsize()))
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
                    turn.add(delta.usage)
                    inbox.put((request, delta))
                    if not requests.is_open(request):
                        return
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
