"""What happens in a run, for whoever watches it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from skeleton_of_thought.answer import PointResult
    from skeleton_of_thought.routing.decision import Route
    from skeleton_of_thought.skeleton import Skeleton


@dataclass(frozen=True, slots=True)
class RouteChosen:
    """The run goes this way; said again, with the new reason, if it falls back to a direct answer."""

    route: Route
    reason: str


@dataclass(frozen=True, slots=True)
class SkeletonText:
    """The skeleton grew by this text."""

    text: str


@dataclass(frozen=True, slots=True)
class SkeletonReady:
    """The skeleton is complete and its points are going out."""

    skeleton: Skeleton


@dataclass(frozen=True, slots=True)
class PointStarted:
    """The request for a point is going out, for the first time (`attempt` 1) or again."""

    index: int
    title: str
    attempt: int


@dataclass(frozen=True, slots=True)
class PointText:
    """A point grew by this text, cleaned, whether it is its turn to be read or not."""

    index: int
    text: str


@dataclass(frozen=True, slots=True)
class PointEnded:
    """A point is complete, or failed for good."""

    result: PointResult


@dataclass(frozen=True, slots=True)
class AnswerText:
    """The answer grew by this text, in reading order; all of them joined are the answer."""

    text: str


Event = RouteChosen | SkeletonText | SkeletonReady | PointStarted | PointText | PointEnded | AnswerText
