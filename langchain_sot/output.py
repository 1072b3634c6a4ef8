"""A run's answer as LangChain reports it: a message, message chunks, custom events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.ai import add_usage

from langchain_sot.messages import usage_metadata, usage_of
from skeleton_of_thought.events import AnswerText, Event, PointEnded, PointStarted, SkeletonReady
from skeleton_of_thought.prices import Price
from skeleton_of_thought.request import Stage
from skeleton_of_thought.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from langchain_sot.calls import Calls
    from skeleton_of_thought.answer import Answer
    from skeleton_of_thought.request import Delta, Request


StagePrices = Mapping[Stage, Price | None] | None


def message_of(answer: Answer, calls: Calls, run_id: UUID, prices: StagePrices = None) -> AIMessage:
    """The answer as a message; a direct one is the model's own message with the bill added."""
    direct = calls.direct
    if answer.route == "direct" and isinstance(direct, AIMessage):
        rest = answer.usage - usage_of(direct)
        usage = add_usage(direct.usage_metadata, usage_metadata(rest)) if rest != Usage() else None
        return direct.model_copy(
            update={
                "response_metadata": {**direct.response_metadata, **_metadata(answer, None, prices)},
                "usage_metadata": usage or direct.usage_metadata,
            }
        )
    return AIMessage(
        answer.text,
        id=_message_id(run_id),
        response_metadata=_metadata(answer, calls.model_name, prices),
        usage_metadata=usage_metadata(answer.usage),
    )


class StreamedAnswer:
    """Turns a run's events into message chunks, and keeps what a direct answer's own chunks reported."""

    def __init__(self, run_id: UUID) -> None:
        self._id = _message_id(run_id)
        self._reported = Usage()
        self._raw = False

    def chunks(self, event: Event | tuple[Request, Delta]) -> Iterator[AIMessageChunk]:
        """The chunks this event is worth: text of the answer, or a direct answer's own chunks."""
        if isinstance(event, tuple):
            _, delta = event
            if isinstance(delta.raw, AIMessageChunk):
                self._raw = True
                self._reported += usage_of(delta.raw)
                yield delta.raw.model_copy(update={"chunk_position": None})  # the bill comes behind it
        elif isinstance(event, AnswerText) and not self._raw:
            yield AIMessageChunk(content=event.text, id=self._id)

    def last(self, answer: Answer, calls: Calls, prices: StagePrices = None) -> AIMessageChunk:
        """The chunk with the bill: metadata of several chunks would be added up, so it is on one."""
        rest = answer.usage - self._reported
        return AIMessageChunk(
            content="",
            id=None if self._raw else self._id,
            response_metadata=_metadata(answer, None if self._raw else calls.model_name, prices),
            usage_metadata=None if self._raw and rest == Usage() else usage_metadata(rest),
            chunk_position="last",
        )


def custom_events(event: Event | tuple[Request, Delta]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and payload of the custom event this is, if it is one."""
    match event:
        case SkeletonReady(skeleton):
            points = [{"index": point.index, "title": point.title} for point in skeleton]
            yield "sot_skeleton", {"skeleton": skeleton.as_text(), "points": points}
        case PointStarted(index, title, attempt):
            yield "sot_point_start", {"index": index, "title": title, "attempt": attempt}
        case PointEnded(result):
            yield "sot_point_end", result.to_dict()


def _metadata(answer: Answer, model_name: str | None, prices: StagePrices) -> dict[str, Any]:
    return {"sot": answer.to_dict(prices), **({"model_name": model_name} if model_name else {})}


def _message_id(run_id: UUID) -> str:
    """The id LangChain gives to a chat model's message: replaced by a provider's own where there is one."""
    return f"lc_run--{run_id}"
