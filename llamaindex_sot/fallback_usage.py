"""Counts the tokens of LLM calls made by somebody else: the synthesizer that writes a direct answer."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events.llm import (
    LLMChatEndEvent,
    LLMChatInProgressEvent,
    LLMCompletionEndEvent,
    LLMCompletionInProgressEvent,
)
from llama_index_instrumentation import get_dispatcher

from llamaindex_sot.messages import end_of, usage_of, was_filtered, was_truncated
from skeleton_of_thought.request import Delta
from skeleton_of_thought.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Iterator


class CallUsage:
    """The tokens of the calls made inside `counted_usage`, and how the last of them ended."""

    def __init__(self) -> None:
        self.usage = Usage()
        self.truncated = self.filtered = False
        self.finish_reason: str | None = None
        self._ends: dict[str | None, Delta] = {}  # by span: what the pieces of open calls said of their end

    def grew(self, span: str | None, response: Any) -> None:
        """A piece of a call's answer; with OpenAI's usage in the stream, the last one does not say why it ended."""
        if (reason := end_of(response)) is not None:
            self._ends[span] = Delta(
                truncated=was_truncated(response), filtered=was_filtered(response), finish_reason=reason
            )

    def ended(self, span: str | None, response: Any) -> None:
        """A call is answered; `response` is the whole answer, or the last piece of it."""
        self.grew(span, response)
        end = self._ends.pop(span, Delta())
        self.usage += usage_of(response).of_answered()
        self.truncated, self.finish_reason = end.truncated, end.finish_reason
        self.filtered = end.filtered or was_filtered(response)

    def delta(self) -> Delta:
        """The same as the last piece of an answer."""
        return Delta(
            usage=self.usage,
            truncated=self.truncated,
            filtered=self.filtered,
            finish_reason=self.finish_reason,
        )


_OPEN: ContextVar[CallUsage | None] = ContextVar("counted_usage", default=None)


class _UsageHandler(BaseEventHandler):
    """Adds each finished LLM call to the count of the block in which the call was made."""

    @classmethod
    def class_name(cls) -> str:
        return "SkeletonOfThoughtUsage"

    def handle(self, event: Any, **_: Any) -> None:
        counted = _OPEN.get()
        if counted is None:
            return
        if isinstance(event, LLMChatInProgressEvent | LLMCompletionInProgressEvent):
            counted.grew(event.span_id, event.response)
        elif isinstance(event, LLMChatEndEvent | LLMCompletionEndEvent) and event.response:
            counted.ended(event.span_id, event.response)


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
