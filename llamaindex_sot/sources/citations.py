"""Citations such as [2], kept where the chunk was given and removed where it was not, while the text streams."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

CITATION = re.compile(r"([ \t]*)\[(\d[\d,; –-]{0,30})\]")
_UNFINISHED = re.compile(r"[ \t]*(?:\[(?:\d[\d,; –-]{0,30})?)?\Z")
_PART = re.compile(r"\d+(?:\s*[–-]\s*\d+)?")
_CODE = "`"
_WIDEST_RANGE = 100


class CitationFilter:
    """Removes citations of chunks that were not given, piece by piece.

    `[1, 9]` becomes `[1]` if only 9 was not given; a citation that vanishes takes the space before it along.
    Brackets in code stay as they are. Text is let through as soon as it is certain, so what was shown never
    has to be taken back, and the result does not depend on how the stream was cut.

    Args:
        given: The numbers that may be cited.

    Attributes:
        removed: How many citations were removed.

    Example:
        >>> citations = CitationFilter({1, 2})
        >>> citations.feed("Mulch keeps water [1, 7] in") + citations.finish()
        'Mulch keeps water [1] in'
        >>> citations.removed
        1
    """

    def __init__(self, given: Collection[int]) -> None:
        self._given = given
        self._pending = ""
        self._in_code = False
        self.removed = 0

    def feed(self, delta: str) -> str:
        """Take the next piece; returns the text that is certain now."""
        text = self._pending + delta
        unfinished = _UNFINISHED.search(text)
        certain = unfinished.start() if unfinished else len(text)
        self._pending = text[certain:]
        return self._checked(text[:certain])

    def finish(self) -> str:
        """The text has ended; returns the rest."""
        text, self._pending = self._pending, ""
        return self._checked(text)

    def _checked(self, text: str) -> str:
        parts = text.split(_CODE)
        for index, part in enumerate(parts):
            if index:
                self._in_code = not self._in_code
            if not self._in_code:
                parts[index] = CITATION.sub(self._check, part)
        return _CODE.join(parts)

    def _check(self, citation: re.Match[str]) -> str:
        numbers = [number for part in _PART.findall(citation[2]) for number in _numbers(part)]
        kept = [number for number in numbers if number in self._given]
        self.removed += len(numbers) - len(kept)
        if len(kept) == len(numbers):
            return citation[0]
        return f"{citation[1]}[{', '.join(map(str, kept))}]" if kept else ""


def cited_in(text: str) -> list[int]:
    """The numbers a text cites, in order of first appearance."""
    found = (_numbers(part) for citation in CITATION.finditer(text) for part in _PART.findall(citation[2]))
    return list(dict.fromkeys(number for numbers in found for number in numbers))


def _numbers(part: str) -> range:
    """The numbers of `3` or `3-5`; of a range that makes no sense only the first."""
    first, *last = (int(number) for number in re.findall(r"\d+", part))
    end = last[0] if last and first <= last[0] <= first + _WIDEST_RANGE else first
    return range(first, end + 1)
