"""Which list in the text is the skeleton.

Every family of marked lines (all `1.`, all `##`, all `- `) is a candidate. Numbered lists come before
headings, headings before bullets, the earlier before the later; a list that lies inside the points of another
one is that one's sub-points. What remains of the text belongs to the points or is talk.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

from skeleton_of_thought.parsing.bare import bare_items
from skeleton_of_thought.parsing.families import (
    Candidate,
    Rank,
    framed_lists,
    numbered_families,
    numbered_lists,
)
from skeleton_of_thought.parsing.item import Item
from skeleton_of_thought.parsing.one_line import behind_lead_in
from skeleton_of_thought.parsing.runs import chosen_run
from skeleton_of_thought.parsing.talk import (
    is_about_skeleton,
    is_courtesy,
    is_opening_or_closing,
    opens_turn,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from skeleton_of_thought.parsing.lines import Line

# More lists than this are noise; the bound keeps comparing them linear in the text.
_MOST_CANDIDATES = 12
_LARGEST_JUMP = 3
_MOST_WORDS_OF_A_LOST_TITLE = 40


def top_level_items(lines: list[Line]) -> list[Item]:
    """The points of the skeleton among the lines; none if the text is prose."""
    lines = _until_next_turn(lines)
    families = numbered_families(lines)
    numbered = sorted(numbered_lists(families, lines), key=_preference)[:_MOST_CANDIDATES]
    framed = sorted(framed_lists(lines, numbered), key=_preference)[:_MOST_CANDIDATES]
    candidates = numbered + framed
    if not candidates:
        return bare_items(lines)
    top = [one for one in candidates if not any(_is_inside(one, other, lines) for other in candidates)]
    best = _before_headings(min(top, key=_preference), top)
    if best.rank is Rank.NUMBERED:
        items = chosen_run(_numbered_level(best, families), lines)
        items = _with_opening_and_closing(_with_lost_first(items, lines), lines)
    else:
        items = chosen_run(_outermost(best.items), lines) if best.rank is Rank.BULLET else list(best.items)
    return [_with_next_line(item, lines, end) for item, end in zip(items, _ends(items, lines), strict=True)]


def _until_next_turn(lines: list[Line]) -> list[Line]:
    """The lines before a base model that has finished its list invents the next question."""
    listed = False
    for place, line in enumerate(lines):
        if listed and line.marker is None and line.frame != "bullet" and opens_turn(line.text):
            return lines[:place]
        listed = listed or line.marker is not None or line.frame == "bullet"
    return lines


def _preference(candidate: Candidate) -> tuple[Rank, bool, int]:
    return candidate.rank, len(candidate.items) < 2, candidate.line  # noqa: PLR2004


def _before_headings(best: Candidate, candidates: list[Candidate]) -> Candidate:
    """Bullets that are complete before the headings start are the skeleton; what follows writes it out."""
    if best.rank not in {Rank.HEADING, Rank.BOLD}:
        return best
    bullets = (one for one in candidates if one.rank is Rank.BULLET and len(one.items) > 1)
    return next((one for one in bullets if one.items[1].line < best.line), best)


def _is_inside(inner: Candidate, outer: Candidate, lines: Sequence[Line]) -> bool:
    """Whether one list is the sub-points of another: indented under it, or starting again in each of its points."""
    if inner is outer or inner.line <= outer.line:
        return False
    heads = [item.line for item in outer.items]
    above = [bisect_left(heads, item.line) for item in inner.items]
    if outer.rank in {Rank.BULLET, Rank.NUMBERED} and (len(heads) > 1 or outer.rank is Rank.NUMBERED):
        depths = (outer.items[place - 1].indent for place in above)
        if all(item.indent > depth for item, depth in zip(inner.items, depths, strict=True)):
            return True
    if inner.rank is not Rank.NUMBERED:
        return False
    first = min(item.value or 0 for item in inner.items)
    restarts = {place for place, item in zip(above, inner.items, strict=True) if item.value == first}
    return len(restarts) > 1 or (outer.rank is Rank.HEADING and _in_one_section(inner, heads, above, lines))


def _in_one_section(inner: Candidate, heads: list[int], above: list[int], lines: Sequence[Line]) -> bool:
    """Whether a numbered list is an enumeration within one of several sections, not the first or last."""
    if len(heads) < 3 or above[0] != above[-1] or not 1 < above[0] < len(heads):  # noqa: PLR2004
        return False
    between = lines[heads[above[0] - 1] + 1 : inner.line]
    return not any(line.frame in {"heading", "bold"} or is_about_skeleton(line.text) for line in between)


def _numbered_level(best: Candidate, families: dict[str, list[Item]]) -> list[Item]:
    """The items of a numbered list at its own level, with those another style of number continues it by."""
    base = min(item.indent for item in best.items)
    others = (item for family, items in families.items() if _continues(family) for item in items)
    items: list[Item] = []
    expected = min(item.value or 0 for item in best.items[:1])
    below: set[tuple[str, int]] = set()
    for item in sorted({*best.items, *others}, key=lambda item: item.line):
        value = item.value or 0
        level = (item.family, item.indent)
        is_own, is_outer = item.family == best.family, item.indent <= base
        is_next = value == expected and level not in below and (is_own or is_outer)
        if item.line >= best.line and (
            is_next or (is_own and is_outer and value <= expected + _LARGEST_JUMP)
        ):
            items.append(item)
            expected = value + 1
            below.clear()
        else:
            below.add(level)
    return items


def _continues(family: str) -> bool:
    """Whether a family counts in plain numbers, so that it may continue a list of another style."""
    family = family.rpartition("\t")[2]
    is_lettered = family[:1] in {"A", "a", "I", "i"} and not family[1:2].isalpha()
    return not is_lettered and not family.startswith("section ")


def _outermost(items: Sequence[Item]) -> list[Item]:
    """The bullets of a list that are not indented under others of the same kind."""
    inner = list(items)
    while True:
        base = min(item.indent for item in inner)
        start = next(place for place, item in enumerate(inner) if item.indent == base)
        outer = [*inner[:start], *(item for item in inner if item.indent == base)]
        deeper = [item for item in inner[start:] if item.indent > base]
        if len(outer) > 1 or not deeper or not outer[0].body.rstrip("*_ ").endswith((":", "：")):
            break
        inner = deeper  # "- Skeleton:" over the points
    if len(outer) == 1 and outer[0].line == 0 and len({item.indent for item in deeper}) == 1:
        return inner  # one bullet over equal ones, at the very start: somebody stripped an indented list
    return outer


def _with_lost_first(items: list[Item], lines: Sequence[Line]) -> list[Item]:
    """Put back the first point of a list that starts at 2: its `1.` was given to the model, not written by it."""
    if not items or items[0].value != 2:  # noqa: PLR2004
        return items
    led_in = _after_lead_in(items[0], lines)
    if led_in:
        return [led_in, *items]
    place = next(place for place, line in enumerate(lines) if line.frame != "blank")
    line = lines[place]
    is_title = len(line.text.split()) <= _MOST_WORDS_OF_A_LOST_TITLE and not is_courtesy(line.text)
    if place < items[0].line and line.frame in {"plain", "bold", "bullet"} and is_title:
        return [Item(line.text, 1, items[0].family, "", place, line.indent), *items]
    return items if len(items) > 1 else []


def _with_opening_and_closing(items: list[Item], lines: Sequence[Line]) -> list[Item]:
    """Add the headings without a number that open and close numbered ones: `## Introduction`, `## Conclusion`."""
    if not items or lines[items[0].line].frame not in {"heading", "bold"}:
        return items
    first = lines[items[0].line]
    around = [
        Item(line.text, None, "", "", place, line.indent)
        for place, line in enumerate(lines)
        if (line.frame, line.sort, line.marker) == (first.frame, first.sort, None)
        and is_opening_or_closing(line.text)
    ]
    return sorted([*items, *around], key=lambda item: item.line)


def _after_lead_in(second: Item, lines: Sequence[Line]) -> Item | None:
    """The first point where it stands behind other words: `Skeleton: 1. Energy`."""
    for place in range(second.line - 1, -1, -1):
        if lines[place].frame == "plain":
            body = behind_lead_in(lines[place].text)
            return Item(body, 1, second.family, "", place, second.indent) if body else None
    return None


def _ends(items: Sequence[Item], lines: Sequence[Line]) -> Iterator[int]:
    """For each item the line where the next one starts."""
    yield from (after.line for _, after in pairwise(items))
    if items:
        yield len(lines)


def _with_next_line(item: Item, lines: Sequence[Line], end: int) -> Item:
    """Complete an item from the lines below it: a title where its own line has none, or a description."""
    following = (line for line in lines[item.line + 1 : min(end, item.line + 3)] if line.frame != "blank")
    below = next(following, None)
    if below is None:
        return item
    if not item.body.strip(" *_:：#"):
        return replace(item, body=below.body)
    is_description = below.frame == "plain" and below.marker is None and lines[item.line + 1] is below
    return replace(item, description=below.text) if is_description else item
