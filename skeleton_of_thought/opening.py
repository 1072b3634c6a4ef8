"""Reads a reply to the opening request: the plain answer, or an opening, a mark, and a plan of parts.

    answer  = plain | opening "OUTLINE" ( title+ note+ | part+ )
    title   = n ". " title
    note    = n " | " what it says " | " length and form [" | after " n{", " n}]
    part    = n ". " title " | " what it says " | " length and form [" | after " n{", " n}]

Titles first is what our prompts ask for: the writer of the first part then knows what the others are for, however early
it starts. What comes before the mark is let through while it is written; only a line that may still become the mark is
held back, and blank lines before it. Models bend the grammar: the mark is bold, a heading, followed by a colon or said
in the user's language, parts are bullets or have no fields. All of that is read; a mark in a code fence, in thoughts,
or before any text is none, and a plan that holds the texts themselves is the answer.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from skeleton_of_thought.parsing.code import CodeFences
from skeleton_of_thought.skeleton import Point, parse_skeleton

if TYPE_CHECKING:
    from collections.abc import Sequence

MARK = "OUTLINE"
_WORDS = frozenset(
    word
    for words in (
        "outline, gliederung, übersicht, aufbau, plan, sommaire, aperçu, esquema, esbozo, esboço, roteiro, schema",
        "scaletta, overzicht, indeling, konspekt, zarys, osnova, vázlat, disposition, disposisjon, jäsennys, taslak",
        "anahat, ana hat, kerangka, план, структура, конспект, מתווה, مخطط, रूपरेखा, 大纲, 大綱, 提纲, 提綱, 纲要",
        "アウトライン, 概要, 構成, 개요, 목차, dàn ý, đề cương, โครงร่าง",
    )
    for word in words.split(", ")
)
"""The mark as models translate it, in lower case."""

_ORDINARY = _WORDS & {
    "plan",
    "sommaire",
    "aperçu",
    "schema",
    "план",
    "структура",
    "übersicht",
    "aufbau",
    "概要",
}
"""Words that head a section of many a plain answer: the mark in capitals only."""

_DECORATION = " \t\r*_#>`~=-–—[]()【】「」:：.|"
_LONGEST_MARK = max(map(len, _WORDS)) + 12
_THOUGHTS = (("<think>", "</think>"), ("<thinking>", "</thinking>"), ("[THINK]", "[/THINK]"))
_MARKER = re.compile(r"\s*(?:[#>*_\s]*)(?:\(?\d{1,2}\s*[.):、．]|[-*•–]|[a-zA-Z][.)])?[\s*_]*")
_AFTER = re.compile(r"\W*+(?:after|nach)(?: sections?)?\b[\W\d]*+(?:(?:and|und)\b[\W\d]*+)*+", re.IGNORECASE)
_NUMBER = re.compile(r"^[\s#>*_(]*(\d{1,2})\s*[.):、．]")
_PLANNED = re.compile(r"^[\s#>*_(]*\d{1,2}\s*[.):、．|]")
_WIDEST_NOTE = 45
"""Words of a planned part, on average, from which a plan holds the texts themselves."""
_MOST_DIGITS = 3
_WIDEST_TITLE = 14
"""Words of a line, its number included, that may be a title."""
_MOST_TITLES = 40


@dataclass(frozen=True, slots=True)
class Plan:
    """What a reply turned out to be.

    Attributes:
        opening: What stood before the mark; the whole reply if it is plain.
        points: The planned parts, in order; empty for a plain answer.
        rest: Text behind the mark that belongs to the answer after all, since it holds the texts themselves.
        managed: Whether the model kept to the protocol. If not, it is better asked in the classic way.
    """

    opening: str
    points: tuple[Point, ...] = ()
    rest: str = ""
    managed: bool = True


class OpeningReader:
    r"""Takes a reply piece by piece.

    Args:
        question: What the user asked: one that speaks of an outline gets its mark in capitals only.

    Attributes:
        marked: Whether the mark has come, and a plan follows.

    Example:
        >>> reader = OpeningReader("How do I sleep better?")
        >>> reader.feed("Mostly by habit.\n\nOUT"), reader.feed("LINE\n1. Dark room | why | 2 sentences\n2. No")
        ('Mostly by habit.', '')
        >>> [point.title for point in reader.points]
        ['Dark room']
    """

    def __init__(self, question: str = "") -> None:
        words = question.casefold()
        self._taken = {word for word in _WORDS if word in words}
        self._line = ""  # the line that is being written, as far as nothing of it was shown
        self._line_shown = False  # whether some of this line was shown already
        self._blank: list[str] = []  # white space that is not shown before what follows it
        self._shown: list[str] = []
        self._code = CodeFences()
        self._thought_end: str | None = None
        self._seen = ""  # the end of what was read, for marks of thoughts that arrive in pieces
        self._behind: list[str] = []
        self._open_line: list[str] = []
        self._fields: list[Point] = []
        self._titles: list[str] = []
        self._notes: dict[int, Point] = {}
        self.marked = False

    @property
    def titles(self) -> tuple[str, ...]:
        """The titles of all parts, where they came before the first note; they are known before any part is."""
        return tuple(self._titles) if self._notes else ()

    @property
    def points(self) -> tuple[Point, ...]:
        """The parts whose lines are complete and follow the grammar; others are read at the end."""
        return tuple(self._fields)

    @property
    def opening(self) -> str:
        """What was let through so far."""
        return "".join(self._shown)

    def feed(self, delta: str) -> str:
        """Take the next piece; returns what of the reply is certain to be shown."""
        out: list[str] = []
        lines = delta.split("\n")
        for place, line in enumerate(lines):
            if self.marked:
                self._plan("\n".join(lines[place:]))
                break
            self._line += line
            if place < len(lines) - 1:
                out.append(self._end_line())
            elif not self._may_be_mark(self._line):
                out.append(self._show_line())
        text = "".join(out)
        self._shown.append(text)
        return text

    def finish(self, *, truncated: bool = False) -> tuple[str, Plan]:
        """The reply has ended; returns what is still to be shown, and what it was.

        Args:
            truncated: Whether the length limit ended it; a part whose line was cut off is then left out.
        """
        if not self.marked and self._line and self._is_mark(self._line):
            self._line = ""  # a mark and nothing behind it
            return "", Plan(self.opening, managed=False)
        if not self.marked:
            rest = "".join((*self._blank, self._line))
            self._shown.append(rest)
            return rest, Plan(self.opening, managed=not _echoes(self.opening))
        behind = "".join(self._behind)
        points = self._planned(behind, truncated=truncated)
        if len(points) > 1 and not _holds_texts(behind, points):
            return "", Plan(self.opening, points)
        texts = behind.strip("\n") if len(points) != 1 or _holds_texts(behind, points) else ""
        rest = f"\n\n{texts}" if texts else ""
        return rest, Plan(self.opening + rest, rest=rest, managed=False)

    # Before the mark.

    def _end_line(self) -> str:
        """A line is complete: the mark, or text."""
        if self._is_mark(self._line):
            self.marked = True
            inline = _behind_mark(self._line)
            self._line = ""
            self._blank.clear()
            if inline:
                self._plan(inline + "\n")
            return ""
        shown = self._show_line()
        self._blank.append("\n")
        self._code.feed("\n")
        self._line_shown = False
        return shown

    def _show_line(self) -> str:
        """What may be shown of the line, with the white space before it."""
        line, self._line = self._line, ""
        self._code.feed(line)
        text = line.rstrip(" \t")
        if not text.strip():
            self._blank.append(line)
            return ""
        self._note_thoughts(line)
        shown = "".join((*self._blank, text))
        self._blank, self._line_shown = [line[len(text) :]], True
        return shown

    def _note_thoughts(self, text: str) -> None:
        self._seen = (self._seen + text)[-200:] if len(text) < 200 else text[-4000:]  # noqa: PLR2004 - longer than any mark
        if self._thought_end is None:
            for begin, end in _THOUGHTS:
                if begin in self._seen and end not in self._seen.rpartition(begin)[2]:
                    self._thought_end = end
                    return
        elif self._thought_end in self._seen:
            self._thought_end = None

    def _may_be_mark(self, line: str) -> bool:
        """Whether the line that is being written may still become the mark."""
        if self._line_shown or self._code.fence or self._thought_end or not self._shown_any():
            return False
        bare = line.strip(_DECORATION).casefold()
        if not bare:
            return len(line) <= _LONGEST_MARK
        return len(line) <= _LONGEST_MARK and any(
            word.startswith(bare) for word in _WORDS if word not in self._taken or bare in MARK.casefold()
        )

    def _is_mark(self, line: str) -> bool:
        if self._line_shown or self._code.fence or self._thought_end or not self._shown_any():
            return False
        bare = line.strip(_DECORATION)
        if bare == MARK or _behind_mark(line):
            return True
        folded = bare.casefold()
        if folded in _ORDINARY and not bare.isupper():
            return False
        return folded in _WORDS and folded not in self._taken

    def _shown_any(self) -> bool:
        """Whether there is an opening: a mark before any text is none."""
        return bool(self._seen.strip())

    # Behind the mark.

    def _plan(self, delta: str) -> None:
        self._behind.append(delta)
        first, *others = delta.split("\n")
        self._open_line.append(first)
        for line in others:
            self._take_line("".join(self._open_line))
            self._open_line = [line]

    def _take_line(self, line: str) -> None:
        """A line of the plan is complete: a title, a note for one, or both."""
        if not self._fields and not self._notes and "|" not in line and (title := _title_alone(line)):
            self._titles += [title] if len(self._titles) < _MOST_TITLES else []
        elif len(self._titles) > 1:
            self._take_note(line)
        elif point := _fields(line, len(self._fields) + 1):
            self._fields.append(point)

    def _take_note(self, line: str) -> None:
        """A line for the writer of a part whose title is known; parts are complete in their order."""
        index, fields = _note(line, self._titles, len(self._notes) + 1)
        if fields and index not in self._notes and index <= len(self._titles):
            self._notes[index] = _point(index, self._titles[index - 1], fields)
        while (place := len(self._fields) + 1) in self._notes:
            self._fields.append(self._notes[place])

    def _planned(self, behind: str, *, truncated: bool) -> tuple[Point, ...]:
        open_line = "".join(self._open_line)
        if open_line and not truncated:
            self._take_line(open_line)
        if self._notes:
            return tuple(self._notes.get(n) or Point(n, title) for n, title in enumerate(self._titles, 1))
        if self._fields:
            return tuple(self._fields)
        points = parse_skeleton(behind).points
        if truncated and len(points) > 2 and open_line.strip():  # noqa: PLR2004 - two are kept anyway
            points = points[:-1]
        return _distinct(points)


def _behind_mark(line: str) -> str:
    """What stands behind a mark in capitals on its own line, if a list begins there."""
    head, mark, tail = line.partition(MARK)
    tail = tail.lstrip(_DECORATION)
    return tail if mark and not head.strip(_DECORATION) and _NUMBER.match(tail) else ""


def _fields(line: str, index: int) -> Point | None:
    """A part as the grammar has it: a title, what it says, its form, what it follows; None for any other line.

    Parts are counted as they come: a model that counts wrongly means the order.
    """
    parts = [part.strip() for part in line.strip().strip("|").split("|")]
    if len(parts) > 1 and parts[0].strip("*_.): ").isdecimal():
        parts = [f"{parts[0]}. {parts[1]}", *parts[2:]]  # a row of a table
    if len(parts) < 2 or len(line.split()) > 2 * _WIDEST_NOTE:  # noqa: PLR2004 - a title and one field more
        return None
    title = _bare(parts[0])
    return _point(index, title, parts[1:]) if title else None


def _point(index: int, title: str, fields: Sequence[str]) -> Point:
    """A part, with what stands behind its title: what it says, its form, and what it follows."""
    after: tuple[int, ...] = ()
    if found := next((match for field in fields[1:] if (match := _AFTER.fullmatch(field))), None):
        after = tuple(dict.fromkeys(int(number) for number in re.findall(r"\d{1,4}", found[0])))
        fields = [field for field in fields if not _AFTER.fullmatch(field)]
    return Point(index, title, fields[0] if fields else "", " ".join(fields[1:]), after)


def _bare(text: str) -> str:
    """A title without number, bullet and decoration; empty if nothing is left, or if it is the word for one."""
    title = text[_MARKER.match(text).end() :].strip(' *_`"“”:：')  # type: ignore[union-attr]
    return title if any(map(str.isalnum, title)) and title.casefold() not in {"title", "titel"} else ""


def _title_alone(line: str) -> str:
    """The title on a numbered line that holds nothing else; empty for any other line."""
    return _bare(line) if _NUMBER.match(line) and len(line.split()) <= _WIDEST_TITLE else ""


def _note(line: str, titles: Sequence[str], index: int) -> tuple[int, list[str]]:
    """Whose note a line is, and its fields; without a number it is that of the next part, without fields none."""
    first, *fields = (part.strip() for part in line.strip().strip("|").split("|"))
    if not fields or len(line.split()) > 2 * _WIDEST_NOTE:
        return index, []
    number = first.strip("*_.):( ")
    if number.isdecimal() and len(number) <= _MOST_DIGITS:
        return int(number), fields
    if found := _NUMBER.match(first):
        index = int(found[1])
    said = _bare(first)
    if said.casefold() not in {title.casefold() for title in titles}:
        fields = [said, *fields]
    return index, fields


def _distinct(points: Sequence[Point]) -> tuple[Point, ...]:
    """Titles that several points share keep what follows them: "Pro: short commute", "Pro: quiet"."""
    heard = Counter(point.title.casefold() for point in points)
    return tuple(
        replace(point, title=f"{point.title}: {point.description}", description="")
        if heard[point.title.casefold()] > 1 and point.description
        else point
        for point in points
    )


def _holds_texts(behind: str, points: Sequence[Point]) -> bool:
    """Whether what should be a plan is the answer itself: so many words to a part are no note."""
    return len(behind.split()) > _WIDEST_NOTE * max(1, len(points)) or "```" in behind


def _echoes(reply: str) -> bool:
    """Whether a reply repeats the instruction, or plans without the mark: lines of the grammar in plain text."""
    lines = [line for line in reply.split("\n") if not line.lstrip().startswith("|") and _PLANNED.match(line)]
    return sum(line.count("|") >= 2 for line in lines) > 1  # noqa: PLR2004 - two fields behind a title
