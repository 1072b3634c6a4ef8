"""Counts the tokens of LLM calls made by somebody else: the synthesizer that writes a direct answer."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events.llm import LLMChatEndEvent, LLMCompletionEndEvent
from llama_index_instrumentation import get_dispatcher

from llamaindex_sot.messages import usage_of
from skeleton_of_thought.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Iterator


class Ledger:
    """The tokens of the calls made while it is open."""

    def __init__(self) -> None:
        self.usage = Usage()


_OPEN: ContextVar[Ledger | None] = ContextVar("open_ledger", default=None)


class _Clerk(BaseEventHandler):
    """Writes each finished LLM call into the ledger that is open where the call was made."""

    @classmethod
    def class_name(cls) -> str:
        return "SkeletonOfThoughtUsage"

    def handle(self, event: Any, **_: Any) -> None:
        ledger = _OPEN.get()
        if (
            ledger is not None
            and isinstance(event, LLMChatEndEvent | LLMCompletionEndEvent)
            and event.response
        ):
            ledger.usage += usage_of(event.response)


_CLERK = _Clerk()


@contextmanager
def open_ledger() -> Iterator[Ledger]:
    """Count the LLM calls inside, in this thread or task and those that inherit its context."""
    handlers = get_dispatcher().event_handlers
    if _CLERK not in handlers:
        handlers.append(_CLERK)
    token = _OPEN.set(ledger := Ledger())
    try:
        yield ledger
    finally:
        _OPEN.reset(token)
