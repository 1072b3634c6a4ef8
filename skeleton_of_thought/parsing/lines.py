"""The answer as lines: how far each is indented, how it is framed, whether it carries a number."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from skeleton_of_thought.parsing.markers import Marker, find_marker

if TYPE_CHECKING:
    from collections.abc import Iterator

Frame = Literal["blank", "plain", "bullet", "heading", "bold", "row"]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the answer.

    Attributes:
        frame: What stands before the text: nothing, a bullet, `##`, bold over the whole title, a table row.
        sort: Which bullet, which heading level; lines of one list share it.
        text: The line without indentation, bullet and heading marks.
        indent: Columns, a tab counting four.
        marker: The number `body` is marked with, if any.
        body: The text after the marker; `text` where there is none.
    """

    frame: Frame
    text: str = ""
    sort: str = ""
    indent: int = 0
    marker: Marker | None = None
    body: str = ""


_BLANK = Line("blank")
_INDENT = re.compile(r"(?:\s*+>){0,8}+[\s│]*+")
_RULE = re.compile(r"[-=_*~—─━\s]{3,}+$|[|+:\-\s]{3,}+$")
_UNDERLINE = re.compile(r"(?:={3,}+|-{3,}+)[ \t]{0,8}")
_TABLE_RULE = re.compile(r"\|?(?:\s*+:?-{2,}+:?\s*+\|)++(?:\s*+:?-{2,}+:?)?\s*+$")
_FENCE = re.compile(r"(?:>\s?)?(?:`{3,}|~{3,})\s?(\w*)[^`]{0,40}$")
_CODE = {
    "bash",
    "c",
    "cpp",
    "css",
    "go",
    "html",
    "java",
    "javascript",
    "js",
    "php",
    "py",
    "python",
    "ruby",
    "rust",
}
_CODE |= {"sh", "sql", "ts", "typescript"}
_HEADING = re.compile(r"(#{1,6}|={2,5})(?:[ \t]++|(?=[*_])|(?<=##)(?=\d))")
_GLYPHS = "•●○◦‣⁃∙·・▪▫■□◆◇►▶➤➔⇒✓✔✅☑☐★☆✦➡❖⦿👉🔹🔸🔷🔶⭐🌟💡📌🔥✨🚀📍"
_BULLET = re.compile(
    r"(?:(?P<spaced>[-*+~»→–—―‐]|--|->|=>|o(?=\s{2,}))\s++|(?P<latex>\\item\b|#\.)\s*+"
    r"|(?P<dash>[-–—‐])(?=[^\W\d]|[*_]{2}\w|\d{1,2}[.)]\s)"
    rf"|(?P<glyph>[{_GLYPHS}]|——|[├└]─{{1,3}})\ufe0f?\s*+)(?:\[[ xX✓]?\]\s++)?"
)
_SORTS = dict.fromkeys("☐☑✓✔✅", "☐") | dict.fromkeys("├└", "├")  # bullets that mix within one list
_PICTURE = re.compile(r"[\u2600-\u27bf\U0001f300-\U0001faff]\ufe0f?\s{0,2}(?=\d)")
_EMPHASIS = re.compile(r"\*{1,3}|_{1,3}|<(?:b|strong)>")
_BOLD = re.compile(
    r"【[^【】]{1,60}】$|(\*\*|__)(?=\S)([^*_\n]+)\1\s?[:：]?$|(\*\*|__)(?=\S)[^*_\n]{1,80}(?:[:：]\3|\3\s?[:：=–—]|\3\s-)\s"
)


def read_lines(text: str) -> list[Line]:
    """Every line of the text, read for its marker; code fences vanish, and program code within them."""
    lines: list[Line] = []
    in_table = False
    for raw in _without_code(text.splitlines()):
        if raw is None:
            continue
        if lines and lines[-1].frame == "plain" and lines[-1].marker is None and _UNDERLINE.fullmatch(raw):
            lines[-1] = replace(lines[-1], frame="heading", sort=raw[0])
            continue
        if _TABLE_RULE.match(raw.strip()) and "|" in raw:
            in_table = True
            lines.append(_BLANK)
        else:
            in_table = in_table and raw.lstrip().startswith("|")
            lines.append(_read_line(raw, in_table=in_table))
    return lines


class ListedLines:
    """Which lines of a text are points of a list by themselves; program code has none.

    Read once for a text, so that asking about many places stays linear.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._starts: list[int] = []
        self._listed: list[bool] = []
        place = 0
        whole = text.splitlines(keepends=True)
        for raw, line in zip(whole, _without_code(text.splitlines()), strict=True):
            self._starts.append(place)
            self._listed.append(line is not None and _is_listed(line))
            place += len(raw)
        self._first = self._listed.index(True) if True in self._listed else len(whole)
        self._last = max((place for place, listed in enumerate(self._listed) if listed), default=-1)

    def surround(self, start: int, end: int) -> bool:
        """Whether what stands from `start` to `end` belongs to a point: in its line, or between two points."""
        line = bisect_right(self._starts, start - 1) - 1 if start else -1
        if line >= 0 and self._listed[line]:
            return True
        last = bisect_right(self._starts, end) - 1
        if self._first > line:
            return False
        if self._last > last or (self._last == last and self._starts[last] == end):
            return True
        below = self._starts[last + 1] if last + 1 < len(self._starts) else len(self._text)
        return _is_listed(self._text[end:below])


def _is_listed(line: str) -> bool:
    marker = _read_line(line, in_table=False).marker
    return marker is not None and marker.strong


def _without_code(lines: list[str]) -> Iterator[str | None]:
    """The lines with None for program code and nothing for fences."""
    code = False
    fenced = False
    for line in lines:
        fence = _FENCE.match(line.strip())
        if fence:
            fenced = not fenced
            code = fenced and fence[1].lower() in _CODE
            yield ""
        else:
            yield None if code else line


def _read_line(raw: str, *, in_table: bool) -> Line:
    lead = _INDENT.match(raw)
    assert lead is not None  # every part of the pattern is optional
    text = raw[lead.end() :].rstrip()
    if not text or _RULE.match(text):
        return _BLANK
    indent = len(lead[0].rpartition(">")[2].expandtabs(4).replace("\u3000", "  "))
    if text.startswith("|"):
        return _table_row(text, indent, in_table=in_table)
    heading = _HEADING.match(text)
    if heading:
        return _line("heading", text[heading.end() :], heading[1], indent)
    bullet = _BULLET.match(text)
    if bullet and bullet.end() < len(text):
        sort = bullet[bullet.lastgroup or 0]
        return _line("bullet", text[bullet.end() :], _SORTS.get(sort[0], sort), indent)
    return _line("bold" if _BOLD.match(text) else "plain", text, "", indent)


def _line(frame: Frame, text: str, sort: str, indent: int) -> Line:
    """Look for a number at the start of the text, inside an opening emphasis too: `**1. Energy**`."""
    opening = _EMPHASIS.match(text)
    start = opening.end() if opening else 0
    marker = find_marker(text, start) or _behind_picture(text)
    if marker is None:
        return Line(frame, text, sort, indent, None, text)
    body = text[marker.end :].lstrip()
    if opening and body.startswith(opening[0]):
        body = body[len(opening[0]) :]
    elif opening and opening[0] not in text[start : marker.end]:
        body = opening[0] + body
    return Line(frame, text, sort, indent, marker, body)


def _behind_picture(text: str) -> Marker | None:
    """The marker after a decorative picture: `📅 1. Plan`."""
    picture = _PICTURE.match(text)
    return find_marker(text, picture.end()) if picture else None


def _table_row(text: str, indent: int, *, in_table: bool) -> Line:
    """A row as its title cell, bold so that the next cell becomes the description."""
    cells = [cell.strip(" *_") for cell in text.strip("|").split("|")]
    marker = find_marker(cells[0])
    if marker and not cells[0][marker.end :] and len(cells) > 1:
        return Line("row", text, "", indent, replace(marker, strong=True), _cells(cells[1:]))
    if marker:
        return Line("row", text, "", indent, marker, _cells([cells[0][marker.end :], *cells[1:]]))
    cell = _cells(cells)
    return Line("row" if in_table else "plain", cell if in_table else text, "", indent, None, cell)


def _cells(cells: list[str]) -> str:
    title, *rest = [cell for cell in cells if cell] or [""]
    return f"**{title}**: {rest[0]}" if rest else title
