"""Points that stand on one line: `1. Energy 2. Water`, `1) A; 2) B`, `①甲②乙`, `• A • B`."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from skeleton_of_thought.parsing.item import Item
from skeleton_of_thought.parsing.markers import Marker, find_marker
from skeleton_of_thought.parsing.numerals import CHINESE, ENCLOSED
from skeleton_of_thought.parsing.talk import is_courtesy

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from skeleton_of_thought.parsing.lines import Line

# Where a marker may start within a line: after space or punctuation, or glued to a word if it is unmistakable.
_BOUNDARY = re.compile(
    r"(?<=[\s;；,，。:：|/→])[*_`]{0,3}(?=[^\s*_`])|^[*_]{0,3}(?=\S)|(?<=[^\W\d_][.!?])(?=\d{1,2}[.)])"
    rf"|(?<=[^\W\d_])(?=\d{{1,2}}[、．）]|[(（]\d{{1,2}}[)）]|[{ENCLOSED}])"
)
_NUMBER = re.compile(rf"[\d{CHINESE}{ENCLOSED}]")
_GLYPHS = "•●▪◦・"
_SPACED = re.compile(r"\s[-*+–]\s")
_CONJUNCTION = re.compile(r"(?<=\S)[\s,;]\s?(?:and|or|und|et|y|e|и)\s*$")
_WEAK_ON_ONE_LINE = {"A", "a", "I", "i", "第"}
_FEWEST = 3
_MOST_WORDS = 6


class _Span(NamedTuple):
    """A marker within a text: where it starts, and where its body starts."""

    start: int
    end: int


def spread(items: list[Item], lines: Sequence[Line]) -> list[Item]:
    """The items with those added that stand on the line of another one, or in a line without own marker.

    Within a list of several lines a number in a title starts a point only where it fills a gap in the
    numbering, so "1. Clubs of the 2. Bundesliga" stays whole if a line of its own starts with "2.".
    """
    if not items:
        return next(filter(None, map(_from_line, lines)), []) or _after_lost_first(lines)
    if len(items) == 1:
        return _split(items[0])
    complete: list[Item] = []
    for item, after in pairwise(items):
        missing = (after.value or 0) - (item.value or 0) - 1
        parts = _split(item) if missing > 0 else [item]
        complete += parts if len(parts) == missing + 1 else [item]
    return complete + (_split(items[-1]) if len(complete) >= len(items) else [items[-1]])


def behind_lead_in(text: str) -> str | None:
    """What stands behind the only marker in a line that begins with other words: `Skeleton: 1. Energy`."""
    run = _run(text, 1, None)
    return text[run[0].end :] if len(run) == 1 and _leads_in(text[: run[0].start]) else None


def _leads_in(before: str) -> bool:
    before = before.rstrip(" *_")
    return not before or before[-1] in ":：.!?。！？-–—"


def _split(item: Item) -> list[Item]:
    """A single item as the several points its text holds."""
    if item.value is None and item.family:
        pieces = _split_bullet(item)
        if len(pieces) > 1:
            return pieces
    first = 1 if item.value is None else item.value
    family = item.family.rpartition("\t")[2] if item.value is not None else None
    run = (_run(item.body, first + 1, family) if family else []) or _run(item.body, first + 1, None)
    if not run:
        return [item]
    return [Item(item.body[: run[0].start], first, item.family), *_pieces(item.body, run, first + 1)]


def _split_bullet(item: Item) -> list[Item]:
    pieces = item.body.split(item.family) if item.family in _GLYPHS else _SPACED.split(item.body)
    is_list = item.family in _GLYPHS or all(len(piece.split()) <= _MOST_WORDS for piece in pieces)
    return [Item(piece) for piece in pieces] if is_list and len(pieces) >= _FEWEST else [item]


def _from_line(line: Line) -> list[Item]:
    """The points of a line that leads in with other words: `Skeleton: 1. A 2. B 3. C`."""
    text = line.text
    glyph = next((glyph for glyph in _GLYPHS if text.count(glyph) > 1), None)
    if glyph:
        return [Item(piece) for piece in text.split(glyph)[1:]]
    run = _run(text, 1, None) or _lettered_run(text)
    if not run or not _leads_in(text[: run[0].start]):
        return []
    if len(run) < _FEWEST and (len(run) == 1 or text.endswith(".")):
        return []
    return _pieces(text, run, 1)


def _after_lost_first(lines: Sequence[Line]) -> list[Item]:
    """The points of a single line whose `1.` was given to the model: `Dumplings 2. Noodles 3. Rice`."""
    filled = [line.text for line in lines if line.frame != "blank"]
    run = _run(filled[0], 2, None) if len(filled) == 1 else []
    if len(run) < _FEWEST - 1:
        return []
    first = filled[0][: run[0].start]
    is_title = (
        len(first.split()) <= _MOST_WORDS
        and first[:1] != first[:1].lower()
        and not is_courtesy(first.strip())
    )
    return [Item(first, 1), *_pieces(filled[0], run, 2)] if is_title else []


def _run(text: str, expected: int, family: str | None) -> list[_Span]:
    """The markers in a text that count up from `expected`, all of one family; strong ones if it is not given."""
    run: list[_Span] = []
    if family is None and _NUMBER.search(text) is None:
        return run
    for start, marker in _markers(text):
        for reading, value in marker.readings:
            if value == expected and (reading == family if family else marker.strong):
                run.append(_Span(start, marker.end))
                family, expected = reading, expected + 1
                break
    return run


def _lettered_run(text: str) -> list[_Span]:
    marker = find_marker(text)
    family = next((family for family, value in marker.readings if value == 1), None) if marker else None
    run = _run(text, 1, family) if family and family[:1] in _WEAK_ON_ONE_LINE else []
    return run if len(run) >= _FEWEST else []


def _markers(text: str) -> Iterator[tuple[int, Marker]]:
    for boundary in _BOUNDARY.finditer(text):
        marker = find_marker(text, boundary.end())
        if marker and marker.end > boundary.end():
            yield boundary.start(), marker


def _pieces(text: str, run: list[_Span], first: int) -> list[Item]:
    """The text between the markers of a run, without the conjunction before the last one."""
    ends = [span.start for span in run[1:]] + [len(text)]
    bodies = [text[span.end : end] for span, end in zip(run, ends, strict=True)]
    return [Item(_CONJUNCTION.sub("", body), value) for value, body in enumerate(bodies, first)]
