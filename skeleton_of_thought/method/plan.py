"""What a model planned: the points a run writes, each once, each after those it follows."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from skeleton_of_thought.skeleton import Point, Skeleton, parse_skeleton

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skeleton_of_thought.request import Request

MIN_POINTS = 2
"""An outline with fewer points is answered directly: there is nothing to write at the same time."""

_LONGEST_EARLY = 8000
"""Characters of a skeleton from which no line is read early any more: it is none."""

_FOLLOWS = re.compile(
    r"(?<![\s|(\[])[\s|(\[]++(?:after|nach)\s++((?:\d{1,4}+(?!\d)[\s,&]*+(?:(?:and|und)\b\s*+)?)++)[)\]]?\s*$",
    re.IGNORECASE,
)


class Outline:
    """The points of an answer while they are being planned; those that were started stay as they were.

    Args:
        max_points: Points beyond this number are dropped.

    Attributes:
        points: The points so far, numbered from 1, none twice.
        is_complete: Whether no more will come.
        notes: What had to be mended, a sentence each.
    """

    def __init__(self, max_points: int) -> None:
        self._most = max_points
        self.points: tuple[Point, ...] = ()
        self.is_complete = False
        self.notes: tuple[str, ...] = ()
        self._attempt = 0
        self._written: list[str] = []

    def __len__(self) -> int:
        return len(self.points)

    @property
    def skeleton(self) -> Skeleton:
        """The points as a skeleton."""
        return Skeleton(self.points)

    def parents(self, index: int) -> tuple[int, ...]:
        """The numbers of the points a point follows."""
        return self.points[index - 1].after

    def plan(self, points: Sequence[Point], *, started: int) -> None:
        """Take what is planned now: the points so far, or all.

        Args:
            points: The points, numbered as the model counts them.
            started: How many of this outline's points have been started.
        """
        kept = self.points[:started]
        titles = {point.title.casefold(): point.index for point in kept}
        numbers: dict[int, int] = {}
        new: list[Point] = []
        for point in points:
            title = point.title.casefold()
            if title not in titles and len(kept) + len(new) < self._most:
                titles[title] = len(kept) + len(new) + 1
                new.append(point)
            if title in titles:
                numbers[point.index] = titles[title]
        self.points = (
            *kept,
            *(
                replace(
                    point,
                    index=len(kept) + place,
                    after=tuple(numbers.get(number, number) for number in point.after),
                )
                for place, point in enumerate(new, start=1)
            ),
        )

    def grew(self, request: Request, delta: str) -> None:
        """The answer to a skeleton request grew; another attempt begins anew."""
        if request.attempt != self._attempt:
            self._attempt, self._written = request.attempt, []
        self._written.append(delta)

    def read(self, request: Request, *, truncated: bool, started: int) -> None:
        """Take the whole answer to a skeleton request.

        Args:
            request: What was asked; a partial answer it carried is the beginning of the list.
            truncated: Whether the answer was stopped by its length limit; then the last title is cut off, and is
                dropped.
            started: How many points have been started.
        """
        points = _points(request, "".join(self._written))
        if truncated and len(points) > MIN_POINTS:
            points = points[:-1]
        self.plan(points, started=started)

    def read_so_far(self, request: Request, *, started: int) -> None:
        """Take the complete lines of an answer to a skeleton request that is still being written."""
        lines, _, _ = "".join(self._written).rpartition("\n")
        if len(lines) <= _LONGEST_EARLY:
            self.plan(_points(request, lines), started=started)

    def complete(self) -> None:
        """No more points will come: unknown numbers and circles are taken out of what points follow."""
        self.points, notes = mended(self.points)
        self.notes += notes
        self.is_complete = True

    def note(self, note: str) -> None:
        """Record what went wrong with the outline."""
        self.notes += (note,)

    def grouped(self, size: int) -> list[tuple[int, ...]]:
        """The numbers of all points, so many together."""
        indexes = range(1, len(self.points) + 1)
        return [tuple(indexes[first : first + size]) for first in range(0, len(indexes), size)]


def mended(points: Sequence[Point]) -> tuple[tuple[Point, ...], tuple[str, ...]]:
    """Points whose order can be kept: unknown numbers and circles are taken out of what they follow.

    Returns:
        The points, and a sentence for each number that was taken out.
    """
    known = {point.index for point in points}
    notes: list[str] = []
    follows: dict[int, list[int]] = {}
    for point in points:
        follows[point.index] = [number for number in point.after if number in known - {point.index}]
        unknown = [number for number in point.after if number not in follows[point.index]]
        notes += [f"point {point.index} was to follow {number}, which it cannot" for number in unknown]
    done: set[int] = set()
    while len(done) < len(points):
        ready = [index for index in follows if index not in done and set(follows[index]) <= done]
        if not ready:
            index = min(set(follows) - done)
            circle = [number for number in follows[index] if number not in done]
            notes += [f"point {index} was to follow {number} in a circle" for number in circle]
            follows[index] = [number for number in follows[index] if number in done]
            ready = [index]
        done.update(ready)
    return tuple(replace(point, after=tuple(follows[point.index])) for point in points), tuple(notes)


def _points(request: Request, received: str) -> tuple[Point, ...]:
    """The points in an answer to a skeleton request; "(after 1)" behind a title says what a point follows."""
    return tuple(map(_following, parse_skeleton(_with_start(request.partial_answer, received)).points))


def _following(point: Point) -> Point:
    found = _FOLLOWS.search(point.title)
    if found is None or not point.title[: found.start()].strip():
        return point
    after = tuple(dict.fromkeys(int(number) for number in re.findall(r"\d+", found[1])))
    return replace(point, title=point.title[: found.start()].rstrip(), after=after)


def _with_start(start: str, received: str) -> str:
    """The whole list, whether the model continued the partial answer it was given or began again."""
    received = received.lstrip()
    return received if received.startswith(start) else f"{start} {received}"
