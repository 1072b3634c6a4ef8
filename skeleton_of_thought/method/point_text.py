"""The text of one point, cleaned while it is being written.

A model asked for point 3 often repeats "3. Title:" first and runs on into point 4 afterwards. Both are removed
here, piece by piece. A numbered line is another point's only if its title follows, since lists and code of its own are
the point's text. Where the model goes on with a list that the prompt began (`2. Title:`), a line with the next number
is the next point, unless the text has counted up to there itself. Text is let through as soon as it is certain that it
belongs to the point, so what was shown never has to be taken back, and the result is the same however the stream was
cut into pieces.
"""

from __future__ import annotations

import re
from copy import copy
from functools import lru_cache
from typing import TYPE_CHECKING

from skeleton_of_thought.parsing.code import CodeFences

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skeleton_of_thought.skeleton import Point

_SPACE = re.compile(r"\s+")
_DECORATION = re.compile(r"[\s#>*_\"“”„'(\[]{0,80}")
_AFTER_NUMBER = ".):．。、)）:："
_AFTER_TITLE = re.compile(r"[\s*_\"”'\])]{0,80}(?:[:：.–—\n]|(?<=[\s*_\"”'\])])-)[\s*_:：\-–—]{0,80}")
_AFTER_QUESTION = re.compile(r"[\s*_\"”'\])]{0,80}[?!？！:：.–—\n][\s*_\"”'\]):：\-–—]{0,80}")
_NOTHING_AFTER = re.compile(r"[ *_\"”'\])]{0,80}\Z")
_AFTER_BOLD_NUMBER = re.compile(r"[*_]{1,80}(?!\S)")
_NO_LETTERS = re.compile(r"[\W_]{0,80}")
_COLONS = re.compile(r"[\s:：]*")
_MOST_ECHOES = 4
_MOST_LETTERS = 300
"""Titles with more letters and digits are not looked for."""

_MOST_BETWEEN = 80
"""Further characters in which a title has to stand, besides four for each of its letters.

This and the bounds in the patterns keep what is looked at per line, and so what is held back, constant: a thousand
lines of dashes must not be looked through for each of them.
"""

_LONGEST_NUMBER = 8
"""Characters in which a number of a list stands, with what is around it."""

_SENTENCE_END = ".!?…\"')»”"
_THINK, _END_THINK = "<think>", "</think>"


class PointTextCleaner:
    """Cleans one point's text.

    Args:
        point: The point that was asked for.
        points: All points of the skeleton: a line that begins another one ends the text.
        strict: Whether other points are written in the same text: a line that begins with the number of one is
            that one's then, whatever follows.
        in_list: Whether the text goes on with a list that the prompt began: the next number is the next point's.

    Attributes:
        ended_by: The point the text has run into; whatever follows is not this one's. None if it has not.
        rest: What came from there on, in the piece in which the other point began.
    """

    def __init__(
        self, point: Point, points: Sequence[Point], *, strict: bool = False, in_list: bool = False
    ) -> None:
        self._index = point.index
        self._title = _title(point.title)
        self._numbers = {str(number) for number in range(1, len(points) + 2)}
        self._others = self._numbers - {str(point.index)} if strict else {str(point.index + 1)}
        self._titles = {
            str(other.index): _title(other.title) for other in points if other.index != point.index
        }
        self._pending = ""
        self._is_blank = False  # whether that is white space
        self._blank: list[str] = []  # more of it
        self._last = ""
        self._echoes = 0
        self._in_head = True
        self._in_thought = False
        self._code = CodeFences()
        self._strict = strict
        self._next = point.index + 1 if in_list else None
        self._own_number = _number_at_a_start(point.index)
        self._counts = False  # whether the text has a list of its own that has come to the point's number
        self._before = "\n"
        self.ended_by: int | None = None
        self.rest = ""

    def feed(self, delta: str) -> str:
        """Take the next piece of what the model wrote; returns the text that is certain now."""
        return self._advance(delta, final=False)

    def finish(self) -> str:
        """The model has stopped; returns the rest of the text."""
        return self._advance("\n", final=True)  # so that a last number or title ends as on a line of its own

    def _advance(self, delta: str, *, final: bool) -> str:
        if self.ended_by is not None:
            return ""
        if delta.isspace() and not final and self._is_blank:
            self._blank.append(delta)
            return ""
        self._pending = "".join((self._pending, *self._blank, delta))
        self._blank.clear()
        self._is_blank = False
        if self._in_head and not self._past_head(final=final):
            return ""
        certain = self._certain(final=final)
        text, self._pending = self._pending[:certain], self._pending[certain:]
        self._is_blank = self._pending.isspace()
        self._code.feed(text)
        self._last = text[-1:] or self._last
        if self._next is not None and not self._counts:
            self._counts = bool(self._own_number.search(self._before + text))
            self._before = (self._before + text)[-_LONGEST_NUMBER:]
        return text

    def _past_head(self, *, final: bool) -> bool:
        """Remove thoughts and the repeated number and title from the pending text; whether text of the point follows.

        What is certain to be no text is removed at once, so that it is not looked at again with every piece.
        """
        while self._echoes < _MOST_ECHOES:
            if not self._past_thought():
                return False
            text = self._pending = self._pending.lstrip()
            if text.startswith(_THINK):
                self._in_thought = True
                self._echoes += 1
                continue
            unfinished = bool(text) and _THINK.startswith(text) and not final
            consumed = None if unfinished else self._echo(text, final=final)
            if consumed is None or (not text and not final):
                return False
            self._echoes = self._echoes + 1 if consumed else _MOST_ECHOES
            if self._index == 1 and consumed and not any(map(str.isalpha, text[:consumed])):
                self._counts = True  # the first item of a list
            self._pending = text[consumed:]
        if not self._past_thought():
            return False
        text = self._pending
        place = _skip(_DECORATION, text, 0)
        other = self._numbered(text, place, self._others, final=final)
        if other is None:
            return False
        self._in_head = False
        if other:
            self.ended_by, self.rest = other, text
            return False
        self._pending = text[_skip(_COLONS, text, 0) :]
        return True

    def _past_thought(self) -> bool:
        """Drop the thought the pending text is in; whether it has ended."""
        if self._in_thought:
            _, ended, rest = self._pending.partition(_END_THINK)
            self._in_thought = not ended
            self._pending = rest if ended else self._pending[-len(_END_THINK) + 1 :]
        return not self._in_thought

    def _echo(self, text: str, *, final: bool) -> int | None:
        """Length of a repeated "3. Title:" at the start, 0 if there is none, None if that is not certain yet."""
        place = _skip(_DECORATION, text, 0)
        after_number = _after_number(text, place, self._numbers)
        if after_number is None:
            return 0 if final else None
        own_number = _after_number(text, place, {str(self._index)}) or 0
        own_number = _skip(_AFTER_BOLD_NUMBER, text, own_number) if own_number else 0
        start = _skip(_DECORATION, text, after_number) if after_number else place
        if start == len(text):
            return None if not final else start if own_number else 0
        after_title = _after_words(text, start, self._title.words)
        if after_title is None:
            return own_number if final else None
        separator = self._title.separator.match(text, after_title) if after_title else None
        if after_title == len(text) or (separator and separator.end() == len(text)):
            return len(text) if final else None
        if after_title and _NOTHING_AFTER.match(text, after_title):
            return len(text) if final else None
        return separator.end() if separator else after_number if after_title else own_number

    def _certain(self, *, final: bool) -> int:
        """How much of the pending text belongs to the point for sure."""
        code, counted = copy(self._code), 0
        for space in _SPACE.finditer(self._pending):
            begin, end = space.span()
            if end == len(self._pending):
                return begin
            if "\n" in space.group():
                code.feed(self._pending[counted:begin])
                counted = begin
            if code.fence:
                continue
            before = self._pending[begin - 1] if begin else self._last
            if not before:
                continue
            if "\n" in space.group() or "\r" in space.group():
                other = self._begins_other_point(end, final=final)
            elif before in _SENTENCE_END:
                other = self._runs_on_in_line(end, final=final)
            else:
                continue
            if other is None:
                return begin
            if other:
                self.ended_by, self.rest = other, self._pending[end:]
                return begin
        return len(self._pending)

    def _begins_other_point(self, start: int, *, final: bool) -> int | None:
        """Which point a line begins, by its number or by its title; 0 for none, None if not certain yet."""
        text = self._pending
        place = _skip(_DECORATION, text, start)
        if place == len(text):
            return None if not final else 0
        number = self._numbered(text, place, self._numbers, final=final)
        if number is None or number:
            return number
        uncertain = False
        for index, title in self._titles.items():
            after = _after_words(text, place, title.words)
            if after is None or (after and _NOTHING_AFTER.match(text, after)):
                uncertain = True
            elif after and title.separator.match(text, after):
                return int(index)
        return None if uncertain and not final else 0

    def _numbered(self, text: str, place: int, numbers: set[str], *, final: bool) -> int | None:
        """Which point a numbered line begins: one whose title follows; 0 for none, None if not certain yet."""
        after = _after_number(text, place, numbers)
        if after is None:
            return None if not final else 0
        if not after:
            return 0
        number = _number_in(text[place:after])
        goes_on = number == self._next and not self._in_head and not self._has_counted(place)
        if self._strict or goes_on or text[place].lower() == "p":
            return number
        title = self._titles.get(str(number))
        start = _skip(_DECORATION, text, after)
        if title is None or (start == len(text) and final):
            return 0
        found = _after_words(text, start, title.words)
        if found is None:  # the text ends within the title
            return None if not final else number
        return number if found else 0

    def _has_counted(self, place: int) -> bool:
        """Whether the text before a place has a list of its own that has come to the point's number."""
        if not self._counts:
            edge = self._before + self._pending[: min(place, _LONGEST_NUMBER)]
            found = self._own_number.search(edge) or self._own_number.search(self._pending, 0, place)
            self._counts = bool(found)
        return self._counts

    def _runs_on_in_line(self, start: int, *, final: bool) -> int | None:
        """The next point if it begins in the middle of a line, by its number and its whole title; else 0, or None."""
        following = self._index + 1
        title = self._titles.get(str(following))
        if title is None:
            return 0
        place = _skip(_DECORATION, self._pending, start)
        number = _after_number(self._pending, place, {str(following)})
        if number == 0:
            return 0
        after = number and _after_words(self._pending, _skip(_DECORATION, self._pending, number), title.words)
        if after is None or after == len(self._pending):
            return None if not final else following if after else 0
        return following if after else 0


class _Title:
    """A title as it is looked for in a text.

    Attributes:
        words: Its letters and digits, in lower case.
        separator: What stands between it and the text; a question or an exclamation needs nothing more.
    """

    def __init__(self, title: str) -> None:
        self.words = "".join(filter(str.isalnum, title.lower()))
        self.separator = _AFTER_QUESTION if title.endswith(("?", "!", "？", "！")) else _AFTER_TITLE


_title = lru_cache(maxsize=1024)(_Title)
"""Every point of a skeleton looks for the titles of all others."""


@lru_cache(maxsize=256)
def _number_at_a_start(number: int) -> re.Pattern[str]:
    """The number where an item of a list may begin."""
    return re.compile(rf"[\s(*_]{number}[{re.escape(_AFTER_NUMBER)}]")


def _skip(pattern: re.Pattern[str], text: str, start: int) -> int:
    found = pattern.match(text, start)
    return found.end() if found else start


def _after_number(text: str, start: int, numbers: set[str]) -> int | None:
    """The place behind `Point 3.` or `3)`; 0 if no such number stands there, None if the text ends too early."""
    place = start
    word = text[place : place + 6].lower()
    if word and "point "[: len(word)] == word:
        place += 6
        if place >= len(text):
            return None
    digits = place
    while digits < len(text) and text[digits].isdecimal() and digits - place <= 3:  # noqa: PLR2004 - as in 999
        digits += 1
    number = text[place:digits]
    if digits + 1 >= len(text) and (not number or any(n.startswith(number) for n in numbers)):
        rest_may_follow = digits == len(text) or text[digits] in _AFTER_NUMBER
        return None if rest_may_follow and (number or digits == len(text)) else 0
    if number not in numbers or text[digits] not in _AFTER_NUMBER or text[digits + 1].isdecimal():
        return 0
    return digits + 1


def _number_in(text: str) -> int:
    return int("".join(filter(str.isdecimal, text)))


def _after_words(text: str, start: int, words: str) -> int | None:
    """The place behind the words (given as in `_Title`); 0 if others stand there, None if the text ends too early."""
    if not words or len(words) > _MOST_LETTERS:
        return 0
    start = _skip(_NO_LETTERS, text, start)
    if start < len(text) and not text[start].isalnum():
        return 0
    matched = 0
    end = start + 4 * len(words) + _MOST_BETWEEN
    for place in range(start, min(end, len(text))):
        for character in text[place].lower():
            if not character.isalnum():
                continue
            if matched == len(words) or character != words[matched]:
                return 0
            matched += 1
        if matched == len(words):
            return place + 1 if not text[place + 1 : place + 2].isalnum() else 0
    return None if len(text) < end else 0
