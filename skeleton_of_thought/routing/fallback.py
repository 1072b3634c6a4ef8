"""A router that answers in any case: where the one it holds fails, the default one decides."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
import time
from concurrent.futures import Future
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from skeleton_of_thought.errors import DeadlineError
from skeleton_of_thought.provider_errors import describe
from skeleton_of_thought.routing.registry import get_router

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skeleton_of_thought.messages import Message
    from skeleton_of_thought.routing.decision import Decision, Router

logger = logging.getLogger(__name__)

FALLBACK: Final = "lexical"
"""Decides where nobody was chosen and the model does not decide, and where a router fails: it needs no model."""


_SHARE: Final = 0.5
"""Of an answer's time, what a router may take."""


class FallbackRouter:
    """Asks a router, and the lexical one about a question on which that router fails, or is too late.

    Decisions carry the seconds that passed in all; the reason tells of a failure, and it is logged.

    Example:
        >>> from skeleton_of_thought.messages import Message
        >>> from skeleton_of_thought.routing import PromptingRouter
        >>> def unreachable(messages):
        ...     raise ConnectionError("no route to host")
        >>> router = FallbackRouter(PromptingRouter(unreachable))
        >>> router.route([Message("user", "What are the main benefits of learning a second language?")]).route
        'sot'
    """

    def __init__(self, inner: Router, *, timeout: float | None = None) -> None:
        """Keep them.

        Args:
            inner: The router.
            timeout: Seconds the whole answer may take, of which the router is given half; None for no limit.
        """
        self.inner = inner
        self._seconds = None if timeout is None else timeout * _SHARE

    def route(self, messages: Sequence[Message]) -> Decision:
        """The inner router's decision, or the lexical one's."""
        started = time.perf_counter()
        try:
            decision = self._in_time(messages)
        except Exception as error:  # noqa: BLE001 - whatever a router dies of, the question can be answered
            decision = _without_router(error, messages)
        return replace(decision, seconds=time.perf_counter() - started)

    async def aroute(self, messages: Sequence[Message]) -> Decision:
        """The same without blocking the event loop."""
        started = time.perf_counter()
        try:
            async with asyncio.timeout(self._seconds) as limit:
                decision = await self.inner.aroute(messages)
        except Exception as error:  # noqa: BLE001 - as above
            decision = _without_router(self._late() if limit.expired() else error, messages)
        return replace(decision, seconds=time.perf_counter() - started)

    def _in_time(self, messages: Sequence[Message]) -> Decision:
        """The router's decision, in a thread that is left behind where it is late: it cannot be interrupted."""
        if self._seconds is None:
            return self.inner.route(messages)
        found: Future[Decision] = Future()
        context = contextvars.copy_context()

        def work() -> None:
            try:
                found.set_result(context.run(self.inner.route, messages))
            except BaseException as error:  # noqa: BLE001 - raised below, in the caller's thread
                found.set_exception(error)

        threading.Thread(target=work, daemon=True, name="sot route").start()
        try:
            return found.result(self._seconds)
        except TimeoutError as error:
            raise (error if found.done() else self._late()) from None

    def _late(self) -> DeadlineError:
        return DeadlineError(f"it took longer than {self._seconds:g} s, half of the timeout")


def _without_router(error: Exception, messages: Sequence[Message]) -> Decision:
    logger.warning("The router failed, the %s one decides: %s", FALLBACK, describe(error))
    instead = get_router(FALLBACK).route(messages)
    return replace(instead, reason=f"the router failed ({describe(error)}); {instead.reason}")
