"""The skeleton of an answer: an ordered list of short points, read out of whatever the model wrote."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import overload

from skeleton_of_thought.parsing.item import Item
from skeleton_of_thought.parsing.json_list import json_items
from skeleton_of_thought.parsing.lines import read_lines
from skeleton_of_thought.parsing.one_line import spread
from skeleton_of_thought.parsing.source import visible_text
from skeleton_of_thought.parsing.titles import title_and_description
from skeleton_of_thought.parsing.top_level import top_level_items

_MOST_PASSES = 3


@dataclass(frozen=True, slots=True)
class Point:
    """One point of a skeleton.

    Attributes:
        index: Its place in the skeleton, from 1.
        title: What the point is about: one line, without markers and markdown.
        description: What the model wrote next to the title (`Energy: save power`), often empty; in a plan, what the
            point says.
        form: Its length and form as planned ("60 words, 3 bullets"), often empty.
        after: The numbers of the points whose texts its writer must have seen.
    """

    index: int
    title: str
    description: str = ""
    form: str = ""
    after: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Skeleton(Sequence[Point]):
    r"""The points of an answer in order; a sequence of `Point`.

    Example:
        >>> skeleton = parse_skeleton("Sure! **1. Energy** 2) Water: drink more")
        >>> [point.title for point in parse_skeleton("Sure:\n- Energy\n- Water: drink more")]
        ['Energy', 'Water']
    """

    points: tuple[Point, ...] = ()

    def as_text(self) -> str:
        """The numbered titles, one per line; parsing this text gives the same titles again."""
        return "\n".join(f"{point.index}. {point.title}" for point in self.points)

    @overload
    def __getitem__(self, index: int) -> Point: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Point, ...]: ...
    def __getitem__(self, index: int | slice) -> Point | tuple[Point, ...]:
        return self.points[index]

    def __len__(self) -> int:
        return len(self.points)

    def __str__(self) -> str:
        return self.as_text()


def parse_skeleton(text: str) -> Skeleton:
    """Read the top-level points out of a model's answer to the skeleton request.

    Four steps: drop what is not part of the answer (thoughts, control tokens, code fences), recognise the
    marker of every line, choose the list a reader would call the skeleton, clean its titles. JSON arrays are
    read as such. Prose gives no points; sub-points belong to their parent and are dropped.

    Args:
        text: Anything. Never raises; the time is linear in the length.

    Returns:
        The points renumbered from 1. Empty if the text holds no list.
    """
    answer = visible_text(text)
    lines = read_lines(answer)
    points = _points(json_items(answer) or spread(top_level_items(lines), lines))
    for _ in range(_MOST_PASSES):
        # Without its marks a lone title may turn out to be a list on one line: "- `1. A` `2. B`".
        parts = spread([Item(points[0].title, 1)], lines) if len(points) == 1 else []
        if len(parts) < 2:  # noqa: PLR2004 - one part is the title itself
            break
        points = _points(parts)
    return Skeleton(points)


def _points(items: Iterable[Item]) -> tuple[Point, ...]:
    points: list[Point] = []
    for item in items:
        index = len(points) + 1
        title, description = title_and_description(item.body, {index, item.value})
        if title:
            points.append(Point(index, title, description or item.description))
    return tuple(points)
