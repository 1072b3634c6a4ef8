"""A router that answers in any case: where the one it holds fails, the default one decides."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from skeleton_of_thought.provider_errors import describe
from skeleton_of_thought.routing.registry import get_router

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skeleton_of_thought.messages import Message
    from skeleton_of_thought.routing.decision import Decision, Router

logger = logging.getLogger(__name__)

FALLBACK: Final = "lexical"
"""Decides where nobody was chosen and the model does not decide, and where a router fails: it needs no model."""


class FallbackRouter:
    """Asks a router, and the lexical one about a question on which that router fails.

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

    def __init__(self, inner: Router) -> None:
        self.inner = inner

    def route(self, messages: Sequence[Message]) -> Decision:
        """The inner router's decision, or the lexical one's."""
        started = time.perf_counter()
        try:
            decision = self.inner.route(messages)
        except Exception as error:  # noqa: BLE001 - whatever a router dies of, the question can be answered
            decision = _without_router(error, messages)
        return replace(decision, seconds=time.perf_counter() - started)

    async def aroute(self, messages: Sequence[Message]) -> Decision:
        """The same without blocking the event loop."""
        started = time.perf_counter()
        try:
            decision = await self.inner.aroute(messages)
        except Exception as error:  # noqa: BLE001 - as above
            decision = _without_router(error, messages)
        return replace(decision, seconds=time.perf_counter() - started)


def _without_router(error: Exception, messages: Sequence[Message]) -> Decision:
    logger.warning("The router failed, the %s one decides: %s", FALLBACK, describe(error))
    instead = get_router(FALLBACK).route(messages)
    return replace(instead, reason=f"the router failed ({describe(error)}); {instead.reason}")
