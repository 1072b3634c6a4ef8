"""One question, one way: the answer, with the time of everything that happened."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from skeleton_of_thought.asking import Asker, splitting_router
from skeleton_of_thought.events import PointEnded, PointStarted, PointText, SkeletonReady
from skeleton_of_thought.messages import Message
from skeleton_of_thought.options import Options
from skeleton_of_thought.routing.decision import Decision

if TYPE_CHECKING:
    from skeleton_of_thought.clients import Client
    from skeleton_of_thought.events import Event
    from skeleton_of_thought.limits import Limiter
    from skeleton_of_thought.prices import Prices
    from skeleton_of_thought.routing import Router

Way = Literal["direct", "sot", "routed"]
"""Plainly, by a skeleton, or as a router decides (the paper's SoT-R)."""


class Timeline:
    """When each point was sent, had its first text, and ended: seconds from the start of the run."""

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self._skeleton: float | None = None
        self._points: dict[int, dict[str, float]] = {}

    def watch(self, event: Event) -> None:
        """Take note of the time."""
        now = time.perf_counter() - self._started
        match event:
            case SkeletonReady():
                self._skeleton = now
            case PointStarted(index, _, attempt) if attempt == 1:
                self._points[index] = {"sent": now}
            case PointText(index, _) if index in self._points:
                self._points[index].setdefault("first_text", now)
            case PointEnded(result) if result.index in self._points:
                self._points[result.index]["ended"] = now
            case _:
                pass

    def to_dict(self) -> dict[str, Any]:
        """`skeleton`: when it was complete, None without one; `points`: by number, `sent`, `first_text`, `ended`."""
        points = [
            {"index": index, **{name: round(value, 6) for name, value in times.items()}}
            for index, times in sorted(self._points.items())
        ]
        return {"skeleton": None if self._skeleton is None else round(self._skeleton, 6), "points": points}


def decide(way: Way, messages: list[Message], router: Router) -> Decision:
    """The route of a way; a router's with the time its answer took."""
    if way != "routed":
        return Decision(way, 1.0, "chosen by the evaluation")
    started = time.perf_counter()
    decision = router.route(messages)
    return replace(decision, seconds=time.perf_counter() - started)


def answer_one_way(
    request: str,
    way: Way,
    client: Client,
    *,
    router: Router,
    max_points: int | None = None,
    limiter: Limiter | None = None,
    prices: Prices | None = None,
) -> dict[str, Any]:
    """Answer a question in one way.

    A router's "sot" and the way `"sot"` itself are what the client's own prompts make of it: in the opening protocol
    the model may still answer plainly.

    Returns:
        The contract of `Answer.to_dict` with `text`, `timeline`, `truncated` (whether the model's length limit
        ended a direct answer) and, for `"routed"`, `decision`.

    Raises:
        Exception: The client's own, if there is no answer at all.
    """
    messages = [Message("user", request)]
    decision = decide(way, messages, router)
    asker = Asker(
        client,
        router=splitting_router(client),
        max_points=max_points,
        limiter=limiter,
        prices=prices,
        options=Options(load_aware=False),
    )
    pieces = asker.stream(messages, decision=decision)
    timeline, truncated = Timeline(), False
    for seen in pieces.events():
        if isinstance(seen, tuple):
            truncated = truncated or seen[1].truncated
        else:
            timeline.watch(seen)
    told = {"text": pieces.answer.text, **pieces.answer.to_dict(), "timeline": timeline.to_dict()}
    told["truncated"] = truncated
    if way == "routed":
        told["decision"] = {
            "route": decision.route,
            "confidence": round(decision.confidence, 4),
            "reason": decision.reason,
            "seconds": round(decision.seconds, 6),
        }
    return told
