"""Citations such as [2], kept where the chunk was given and removed where it was not, while the text streams."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

_TOKEN = re.compile(
    r"[^\[`~]+|`+|~+|\[(?P<inside>\d[\d,; –-]{0,30})\](?=(?P<after>\(|\[\D|:|,\s{0,3}\[)?)|\[",
)
_UNDECIDED = re.compile(r"[ \t]?\[(?:\d[\d,; –-]{0,30}(?:\](?:\[|,\s{0,3})?)?)?\Z|[ \t]\Z")
_LONGEST_UNDECIDED = 40
_INSIDE = re.compile(r"[1-9]\d{0,2}(?:\s*[,;–-]\s*[1-9]\d{0,2})*")
_PART = re.compile(r"(\d+)(?:\s*[–-]\s*(\d+))?")
_IDENTIFIER = re.compile(
    r"[^\W\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]"
)
"""A letter, digit or underscore; not one of a script without spaces (Thai, Khmer, Chinese ...), where a citation
stands right behind a word."""
_OPERATORS = frozenset("=<>≤≥∈∉+/^$×·|&\\")
_FENCE = 3  # backticks or tildes
_FEW = 6
"""How far beyond the last chunk a number still looks like a citation of a chunk that does not exist."""


@dataclass(frozen=True, slots=True)
class _Citation:
    """A bracket that cites, as it stands in the text."""

    text: str
    numbers: tuple[int, ...]


class CitationFilter:
    """Removes citations of chunks that were not given, piece by piece.

    `[1, 4]` becomes `[1]` if only 4 was not given; a citation that vanishes takes the space before it along.
    Only what can be a citation is touched. Brackets stay as they are in code and in the text of a link; behind an
    identifier (`items[10]`) or an operator (`x = [1, 4]`); in a list of lists (`[[1, 4], [2, 5]]`); with a 0 or a
    year in them, with numbers far beyond the last chunk, with an interval that goes beyond it (`[1-9]`); and where a
    source or the question has the same brackets.

    Text is let through as soon as it is certain, so what was shown never has to be taken back, and the result does
    not depend on how the stream was cut. The work grows with the length of the text, whatever is in it.

    Args:
        given: The numbers that may be cited.
        count: How many chunks there are; None for the largest number given.
        quoted: Brackets that sources or the question contain; see `brackets_in`.

    Attributes:
        removed: How many citations were removed.

    Example:
        >>> citations = CitationFilter({1, 2})
        >>> citations.feed("Mulch keeps water [1, 4] in the [0, 1] m on top") + citations.finish()
        'Mulch keeps water [1] in the [0, 1] m on top'
        >>> citations.removed
        1
    """

    def __init__(
        self, given: Collection[int], *, count: int | None = None, quoted: Collection[str] = ()
    ) -> None:
        self._given = given
        self._quoted = quoted
        self._reading = _CitationReader(max(given, default=0) if count is None else count)
        self.removed = 0

    def feed(self, delta: str) -> str:
        """Take the next piece; returns the text that is certain now."""
        return self._checked(self._reading.feed(delta))

    def finish(self) -> str:
        """The text has ended; returns the rest."""
        return self._checked(self._reading.finish())

    def _checked(self, pieces: Iterable[str | _Citation]) -> str:
        shown: list[str] = []
        for piece in pieces:
            if isinstance(piece, str):
                shown.append(piece)
            elif _normal(piece.text) in self._quoted:
                shown.append(piece.text)
            else:
                self._show(piece, shown)
        return "".join(shown)

    def _show(self, citation: _Citation, shown: list[str]) -> None:
        """Show a citation as far as its chunks were given."""
        kept = [number for number in citation.numbers if number in self._given]
        self.removed += len(citation.numbers) - len(kept)
        if len(kept) == len(citation.numbers):
            shown.append(citation.text)
        elif kept:
            shown.append(f"[{', '.join(map(str, kept))}]")
        elif shown and shown[-1].endswith((" ", "\t")):
            shown[-1] = shown[-1][:-1]


def cited_in(text: str, count: int) -> list[int]:
    """The numbers a text cites, in order of first appearance, where there are `count` chunks."""
    found = (piece.numbers for piece in _pieces(text, count) if isinstance(piece, _Citation))
    return [number for number in dict.fromkeys(n for numbers in found for n in numbers) if number <= count]


def without_citations(text: str, count: int) -> str:
    """The text without what can be a citation where there are `count` chunks."""
    return "".join(piece for piece in _pieces(text, count) if isinstance(piece, str))


def brackets_in(texts: Iterable[str]) -> frozenset[str]:
    """The brackets with numbers in them that texts contain: what an answer may repeat without citing."""
    return frozenset(
        _normal(token[0]) for text in texts for token in _TOKEN.finditer(text) if token["inside"] is not None
    )


def _normal(bracket: str) -> str:
    return "".join(bracket.split())


def _pieces(text: str, count: int) -> Iterator[str | _Citation]:
    reading = _CitationReader(count)
    yield from reading.feed(text)
    yield from reading.finish()


class _CitationReader:
    """Splits a text that streams into citations and what stands between them.

    Args:
        count: How many chunks there are.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._pending = ""
        self._last = "\n"  # the last character
        self._solid = ""  # the last one of this line that is no blank
        self._behind_citation = False
        self._in_list = False  # of lists of numbers: [[1, 2], [3, 4]]
        self._run = ""  # backticks or tildes that may go on
        self._code = ""  # those that opened the code we are in

    def feed(self, delta: str) -> Iterator[str | _Citation]:
        """Take the next piece of the text; yields what is certain now."""
        text = self._pending + delta
        tail = max(0, len(text) - _LONGEST_UNDECIDED)
        undecided = _UNDECIDED.search(text, tail)
        end = undecided.start() if undecided else len(text)
        self._pending = text[end:]
        return self._split(text, end)

    def finish(self) -> Iterator[str | _Citation]:
        """The text has ended; yields the rest."""
        text, self._pending = self._pending, ""
        return self._split(text, len(text))

    def _split(self, text: str, end: int) -> Iterator[str | _Citation]:
        place = 0
        while place < end:
            token = _TOKEN.match(text, place)
            assert token is not None
            piece = token[0][: end - place]
            place += len(piece)
            if self._run and piece[0] != self._run[0]:
                self._end_run()
            if piece[0] in "`~":
                self._run = (self._run + piece)[:_LONGEST_UNDECIDED]
            numbers = self._numbers(token) if token["inside"] else ()
            self._take(piece)
            if token["inside"] is None and piece.strip(" \t\n,;"):
                self._in_list = False
            self._behind_citation = bool(numbers)
            yield _Citation(piece, numbers) if numbers else piece

    def _take(self, piece: str) -> None:
        """Take note of a token that is behind us."""
        self._behind_citation = False
        line = piece.rpartition("\n")[2]
        if len(line) < len(piece):
            self._solid = ""
            if len(self._code) < _FENCE and ("\n\n" in piece or (self._last == piece[0] == "\n")):
                self._code = (
                    ""  # code within a line ends with its paragraph: a lone backtick opens none for good
                )
        self._solid = line.rstrip()[-1:] or self._solid
        self._last = piece[-1]

    def _end_run(self) -> None:
        """Backticks have ended: they open code, close it, or are part of it."""
        run, self._run = self._run, ""
        if not self._code and (run[0] == "`" or len(run) >= _FENCE):
            self._code = run
        elif run == self._code or (len(self._code) >= _FENCE and run.startswith(self._code)):
            self._code = ""

    def _numbers(self, bracket: re.Match[str]) -> tuple[int, ...]:
        """The chunks a bracket cites; none if it can be no citation."""
        touching = self._last == ")" or _IDENTIFIER.match(self._last)
        if (
            self._code
            or touching
            or self._solid in _OPERATORS
            or (self._last == "]" and not self._behind_citation)
        ):
            return ()
        after = bracket["after"] or ""
        self._in_list = self._in_list or (self._last == "[" and after.startswith(","))
        link = after[:1] in {"(", "["} or (after == ":" and not self._solid)
        if self._in_list or link:  # the text of a link, or its address at the beginning of a line
            return ()
        if not _INSIDE.fullmatch(bracket["inside"]):
            return ()
        numbers: list[int] = []
        for part in _PART.finditer(bracket["inside"]):
            first, last = int(part[1]), int(part[2] or part[1])
            if part[2] and not first < last <= self._count:
                return ()
            numbers += range(first, last + 1)
        if max(numbers) > self._count + _FEW or (len(numbers) > 1 and min(numbers) > self._count):
            return ()
        return tuple(numbers)
