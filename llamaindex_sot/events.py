"""What a run tells LlamaIndex's instrumentation, next to the events of its LLM calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from llama_index_instrumentation import get_dispatcher
from llama_index_instrumentation.base import BaseEvent

from skeleton_of_thought.events import Event, PointEnded, PointStarted, RouteChosen, SkeletonReady

if TYPE_CHECKING:
    from skeleton_of_thought.request import Delta, Request

dispatcher = get_dispatcher(__name__)


class RouteEvent(BaseEvent):
    """The question gets a skeleton, or one plain answer; said again if the run changes its way."""

    route: Literal["sot", "direct"]
    reason: str

    @classmethod
    def class_name(cls) -> str:
        """Name in serialized events."""
        return "SkeletonOfThoughtRouteEvent"


class SkeletonEvent(BaseEvent):
    """The skeleton is complete and its points are going out."""

    skeleton: str
    titles: list[str]

    @classmethod
    def class_name(cls) -> str:
        """Name in serialized events."""
        return "SkeletonOfThoughtSkeletonEvent"


class PointStartEvent(BaseEvent):
    """The request for a point is going out, for the first time (`attempt` 1) or again."""

    index: int
    title: str
    attempt: int

    @classmethod
    def class_name(cls) -> str:
        """Name in serialized events."""
        return "SkeletonOfThoughtPointStartEvent"


class PointEndEvent(BaseEvent):
    """A point is complete, or failed for good."""

    index: int
    title: str
    text: str
    status: Literal["ok", "failed", "skipped"]
    error: str | None
    seconds: float

    @classmethod
    def class_name(cls) -> str:
        """Name in serialized events."""
        return "SkeletonOfThoughtPointEndEvent"


def publish(event: Event | tuple[Request, Delta], span_id: str | None) -> None:
    """Dispatch what has happened, if LlamaIndex has an event for it."""
    match event:
        case RouteChosen(route, reason):
            dispatcher.event(RouteEvent(route=route, reason=reason, span_id=span_id))
        case SkeletonReady(skeleton):
            titles = [point.title for point in skeleton]
            dispatcher.event(SkeletonEvent(skeleton=skeleton.as_text(), titles=titles, span_id=span_id))
        case PointStarted(index, title, attempt):
            dispatcher.event(PointStartEvent(index=index, title=title, attempt=attempt, span_id=span_id))
        case PointEnded(result):
            dispatcher.event(
                PointEndEvent(
                    index=result.index,
                    title=result.title,
                    text=result.text,
                    status=result.status,
                    error=result.error,
                    seconds=result.seconds,
                    span_id=span_id,
                )
            )
