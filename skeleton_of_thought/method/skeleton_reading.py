"""From a model's answer to the points a run writes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from skeleton_of_thought.skeleton import Point, Skeleton, parse_skeleton

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skeleton_of_thought.request import Request

MIN_POINTS = 2
"""A skeleton with fewer points is answered directly: there is nothing to write at the same time."""


def read_skeleton(request: Request, received: str, *, truncated: bool, max_points: int) -> Skeleton:
    """The skeleton in the answer to a skeleton request, at most so many points of it, none twice.

    Args:
        request: What was asked; a partial answer it carried is the beginning of the list.
        received: What the model wrote.
        truncated: Whether it was stopped by its length limit; then the last title is cut off, and is dropped.
        max_points: Points beyond this number are dropped.
    """
    last = request.messages[-1]
    start = last.text if last.role == "assistant" else ""
    points = parse_skeleton(_with_start(start, received)).points
    if truncated and len(points) > MIN_POINTS:
        points = points[:-1]
    kept = _distinct(points)[:max_points]
    return Skeleton(tuple(replace(point, index=i) for i, point in enumerate(kept, start=1)))


def _with_start(start: str, received: str) -> str:
    """The whole list, whether the model continued the partial answer it was given or began again."""
    received = received.lstrip()
    return received if received.startswith(start) else f"{start} {received}"


def _distinct(points: Sequence[Point]) -> list[Point]:
    """The points without those whose title was there before: weak models repeat themselves."""
    first: dict[str, Point] = {}
    for point in points:
        first.setdefault(point.title.casefold(), point)
    return list(first.values())
