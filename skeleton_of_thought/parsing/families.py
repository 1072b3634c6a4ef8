"""The lists a text holds: marked lines that share a family, where they are a list and not an accident."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from skeleton_of_thought.parsing.item import Item
from skeleton_of_thought.parsing.talk import is_about_skeleton, is_lead_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from skeleton_of_thought.parsing.lines import Line
    from skeleton_of_thought.parsing.markers import Marker

_MOST_LABEL_WORDS = 6
_LARGEST_FIRST = 999


class Rank(IntEnum):
    """What a reader takes for the top level first."""

    NUMBERED = 0
    HEADING = 1
    BOLD = 2
    LABEL = 3
    BULLET = 4


@dataclass(frozen=True, slots=True)
class Candidate:
    """A list that may be the skeleton, its sub-lists of the same family included.

    Attributes:
        rank: Its place in the order of preference.
        family: What its markers share.
        items: Its points in order, at least one.
    """

    rank: Rank
    family: str
    items: tuple[Item, ...]

    @property
    def line(self) -> int:
        """Where it starts."""
        return self.items[0].line


def numbered_families(lines: Sequence[Line]) -> dict[str, list[Item]]:
    """Every line with a number, by what kind of marker it has."""
    families: defaultdict[str, list[Item]] = defaultdict(list)
    for place, line in enumerate(lines):
        if line.marker is None:
            continue
        frame = "" if line.frame == "plain" else f"{line.frame} {line.sort}\t"
        family, value = _reading(line.marker, frame, families)
        if not is_lead_in(line.body) and not is_about_skeleton(line.text):
            families[family].append(Item(line.body, value, family, "", place, line.indent))
    return families


def numbered_lists(families: dict[str, list[Item]], lines: Sequence[Line]) -> list[Candidate]:
    """The numbered lists: strong markers that start at the beginning or go on, weak ones that count up from one."""
    lists = (
        (family, _plausible(items) if _is_strong(lines[items[0].line]) else _counted(items))
        for family, items in families.items()
    )
    return [Candidate(Rank.NUMBERED, family, tuple(items)) for family, items in lists if items]


def framed_lists(lines: Sequence[Line], numbered: Iterable[Candidate]) -> list[Candidate]:
    """The lists without numbers: headings, bold lines, labels over lists, bullets, table rows."""
    taken = {item.line for candidate in numbered for item in candidate.items}
    families: defaultdict[tuple[Rank, str], list[Item]] = defaultdict(list)
    for place, line in enumerate(lines):
        rank = _rank(lines, place)
        if rank is None or place in taken:
            continue
        if rank in {Rank.HEADING, Rank.BOLD, Rank.LABEL} and is_about_skeleton(line.text):
            continue
        families[rank, line.sort].append(Item(line.text, None, line.sort, "", place, line.indent))
    return [
        Candidate(rank, sort, tuple(items))
        for (rank, sort), items in families.items()
        if len(items) > 1 or rank is Rank.BULLET
    ]


def _reading(marker: Marker, frame: str, families: dict[str, list[Item]]) -> tuple[str, int]:
    """What an ambiguous marker stands for: the reading that continues a family, else the likeliest."""
    for family, value in marker.readings:
        before = families.get(frame + family)
        if before and before[-1].value == value - 1:
            return frame + family, value
    family, value = marker.readings[-1]
    return frame + family, value


def _is_strong(line: Line) -> bool:
    return line.marker is not None and line.marker.strong


def _plausible(items: list[Item]) -> list[Item]:
    """Strong markers make a list if they start at the beginning, or if there are several; years do not."""
    most = _LARGEST_FIRST if len(items) > 1 else 2  # a single "2." may have lost its "1."
    return items if (items[0].value or 0) <= most else []


def _counted(items: list[Item]) -> list[Item]:
    """The items of a weak family that count up from one, restarts allowed; none if it never gets to two."""
    counted: list[Item] = []
    last: int | None = None
    for item in items:
        if item.value == 1 or (last is not None and item.value == last + 1):
            counted.append(item)
            last = item.value
    return counted if any(item.value != 1 for item in counted) else []


def _rank(lines: Sequence[Line], place: int) -> Rank | None:
    line = lines[place]
    if line.frame == "plain":
        return Rank.LABEL if _is_label(line) and _leads_a_list(lines, place) else None
    ranks = {"heading": Rank.HEADING, "bold": Rank.BOLD, "bullet": Rank.BULLET, "row": Rank.BULLET}
    return ranks.get(line.frame)


def _is_label(line: Line) -> bool:
    is_short = len(line.text.split()) <= _MOST_LABEL_WORDS
    return is_short and line.text.endswith((":", "：")) and not is_lead_in(line.text)


def _leads_a_list(lines: Sequence[Line], place: int) -> bool:
    following = (line for line in lines[place + 1 : place + 3] if line.frame != "blank")
    line = next(following, None)
    return line is not None and (line.marker is not None or line.frame == "bullet")
