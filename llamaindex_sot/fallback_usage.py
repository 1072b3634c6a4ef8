"""Counts the tokens of LLM calls made by somebody else: the synthesizer that writes a direct answer."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events.llm import LLMChatEndEvent, LLMCompletionEndEvent
from llama_index_instrumentation import get_dispatcher

from llamaindex_sot.messages import usage_of, was_truncated
from skeleton_of_thought.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Iterator


class CallUsage:
    """The tokens of the calls made inside `counted_usage`, and whether the last of them was cut off."""

    def __init__(self) -> None:
        self.usage = Usage()
        self.truncated = False


_OPEN: ContextVar[CallUsage | None] = ContextVar("counted_usage", default=None)


class _UsageHandler(BaseEventHandler):
    """Adds each finished LLM call to the count of the block in which the call was made."""

    @classmethod
    def class_name(cls) -> str:
        return "SkeletonOfThoughtUsage"

    def handle(self, event: Any, **_: Any) -> None:
        counted = _OPEN.get()
        if (
            counted is not None
            and isinstance(event, LLMChatEndEvent | LLMCompletionEndEvent)
            and event.response
        ):
            counted.usage += usage_of(event.response).of_answered()
            counted.truncated = was_truncated(event.response)


_HANDLER = _UsageHandler()


@contextmanager
def counted_usage() -> Iterator[CallUsage]:
    """Count the LLM calls inside, in this thread or task and those that inherit its context."""
    handlers = get_dispatcher().event_handlers
    if _HANDLER not in handlers:
        handlers.append(_HANDLER)
    token = _OPEN.set(counted := CallUsage())
    try:
        yield counted
    finally:
        _OPEN.reset(token)
