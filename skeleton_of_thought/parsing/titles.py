"""A clean title, and the description next to it, out of the text of a point."""

from __future__ import annotations

import re
from html import unescape
from typing import TYPE_CHECKING

from skeleton_of_thought.parsing.markers import counts_only, find_marker
from skeleton_of_thought.parsing.thoughts import without_marks

if TYPE_CHECKING:
    from collections.abc import Container

_LINK = re.compile(r"!?\[([^\[\]]{1,300})\]\([^()\s]{0,500}\)")
_ENTITY = re.compile(r"&(?:amp|lt|gt|quot|apos|nbsp|#\d{1,5});")
_MARKED = re.compile(r"[\[<\\&]|^\w+ ?[:：]")
_LATEX = re.compile(r"\\(?:textbf|textit|emph|underline)\{([^{}]{1,300})\}")
_TAG = re.compile(
    r"</?(?:b|i|u|strong|em|mark|span|a|p|br|h[1-6])\b[^<>]{0,200}>"
    r"|</(?:li|think)>|<[ou]l>(?=\s?<li)|(?<=>)\s?<li>|<\|[\w/]{1,40}\|>"
)
_ESCAPE = re.compile(r"\\(?=[!#()*+\-.:\[\]_`{}~|>])")
_STRONG = re.compile(r"(?<!\w)__(?=\S)([^_]+)__(?!\w)")
_EMPHASIZED = re.compile(r"[*_`~]")
_EMPHASIS = re.compile(r"(?<![\w*])\*(?=\S)([^*]+)\*(?![\w*])|(?<![\w_])_(?=\S)([^_]+)_(?![\w_])")
_PLAIN = re.compile(r"[^\W_]++(?: [^\W_]++)*+")
_TASK = re.compile(r"\[[ xX✓]?\]\s")
_KEY = re.compile(
    r"(?:title|name|heading|topic|point|titel|título|titre|标题|タイトル)\s?[:：]\s*(?=\S)", re.IGNORECASE
)
_SEPARATOR = re.compile(r"\s?[:：](?=\s|$)|：|\s(?:[-–—=]|--|->|=>|→|\|)\s|—|――|\s?:(?=\*\*)")
_BOLD_TITLE = re.compile(r"(\*{2,3}|__)(?=[^\s*_])([^*_]+)\1")
_NUMBERED_LABEL = re.compile(r"[^\W\d][^\d]{0,28}[\s#](?:\d{1,3}|[A-H]|[IVX]{1,4})$")
_ABBREVIATION = re.compile(r"\(?(?:[^\W\d_]\.){2,}")

_LEADING_MARKS = frozenset("-–—*+>#.:;,|•●▪·→=~") | {"--", "==", "##", "###", "####", "#####", "######"}
_TRAILING_MARKS = _LEADING_MARKS | frozenset("/\\&([{") | {"->", "=>"}
_LEADING = ":;,)]}、，。．；：•●▪▸►"
_TRAILING = ":;,、，；：।؛،•|"
_STOPS = ".。．…。"
_PAIRS = dict(zip("\"'“‘«‹„「『《【[{<”＂", "\"'”’»›“」』》】]}>”＂", strict=True))
_MOST_WORDS = 8
_MOST_CHARACTERS = 70
_MOST_PASSES = 8


def _without_echo(body: str, values: Container[int | None]) -> str:
    """The text without markers of its own number, as after `1. 1. Dumplings` or `1. Point 1: Energy`."""
    for _ in range(_MOST_PASSES):
        body = body.lstrip()
        start = len(body) - len(body.lstrip("*_"))
        marker = find_marker(body, start)
        if (
            marker is None
            or not marker.strong
            or marker.readings[0][1] not in values
            or not body[marker.end :].strip()
        ):
            break
        body = body[:start] + body[marker.end :]
    return body


def title_and_description(body: str, numbers: Container[int | None] = ()) -> tuple[str, str]:
    """Tell the title of a point from what is said about it: `**Energy**: save power`, `Water - drink more`.

    Args:
        body: The text after the marker.
        numbers: The numbers of the point; a marker with one of them at the start is an echo.

    Returns:
        Title and description, both on one line and without markdown; the title is empty if the text has
        nothing that can be read.
    """
    if body[:1].isalpha() and _PLAIN.fullmatch(body):
        return body, ""
    title, description = body, ""
    for _ in range(_MOST_PASSES):
        head, tail = _cut(_plain_marks(_without_echo(title, numbers)))
        head = _clean(head)
        description = description or _clean(tail)
        if head == title:
            break
        title = head
    if (plain := without_marks(title)) != title:
        title = _clean(plain)
    return (title, description) if any(map(_is_readable, title)) else ("", "")


def _plain_marks(text: str) -> str:
    """One line, with links as their text and without tags and escapes."""
    text = " ".join(text.split())
    if _MARKED.search(text) is None:
        return text
    text = _ENTITY.sub(lambda entity: unescape(entity[0]), text)
    text = _ESCAPE.sub("", _TAG.sub("", _LINK.sub(r"\1", _LATEX.sub(r"\1", text))))
    return _KEY.sub("", text, count=1) if _KEY.match(text) else text


def _cut(text: str) -> tuple[str, str]:
    bold = _BOLD_TITLE.match(text)
    if bold:
        head, tail = bold[2].strip(), text[bold.end() :].strip()
        if tail and (tail[0] in ":：-–—=→|" or head[-1] in ":：?!.？！。"):
            return head, tail.lstrip(":：-–—=→>| ")
        if tail[:1].isupper() and len(tail.split()) > _MOST_WORDS:
            return head, tail
    for separator in _SEPARATOR.finditer(text[: 2 * _MOST_CHARACTERS]):
        head, tail = text[: separator.start()], text[separator.end() :]
        if counts_only(head.strip(" *_")) and tail.strip(" *_"):
            return tail.lstrip(" *_"), ""
        if _separates(head, separator[0], tail):
            return head, tail
    return text, ""


def _separates(head: str, separator: str, tail: str) -> bool:
    is_short = len(head) <= _MOST_CHARACTERS and len(head.split()) <= _MOST_WORDS
    is_title = (sum(map(str.isalpha, head)) > 1 or not head.isascii()) and head.count("(") == head.count(")")
    is_range = head[-1:].isdigit() and tail[:1].isdigit()
    is_label = ":" in separator and _NUMBERED_LABEL.match(head.strip(" *_")) is not None
    return is_short and is_title and not is_range and not is_label and tail.strip(" *_") != ""


def _clean(text: str) -> str:
    """Strip marks, quotes and closing punctuation until none is left."""
    if not text or _PLAIN.fullmatch(text):
        return text
    for _ in range(_MOST_PASSES):
        stripped = _without_quotes(_without_ends(_without_emphasis(text)))
        if stripped == text:
            break
        text = stripped
    return text


def _without_emphasis(text: str) -> str:
    if _EMPHASIZED.search(text) is None:
        return text
    text = text.replace("**", "").replace("`", "").replace("~~", "")
    text = _EMPHASIS.sub(lambda mark: mark[1] or mark[2], _STRONG.sub(r"\1", text))
    return text.lstrip("*_ ")


def _without_ends(text: str) -> str:
    """Drop list marks at either end and closing punctuation, but keep `C++`, `.NET`, `U.S.`, `What now?`."""
    words = _TASK.sub("", text, count=1).split() if _TASK.match(text) else text.split()
    first, last = 0, len(words)
    while first < last and words[first] in _LEADING_MARKS:
        first += 1
    while first < last and words[last - 1] in _TRAILING_MARKS:
        last -= 1
    text = " ".join(words[first:last]).lstrip(_LEADING).rstrip(_TRAILING)
    if text.endswith(tuple(_STOPS)) and not _ABBREVIATION.fullmatch(text.rpartition(" ")[2]):
        text = text.rstrip(_STOPS)
    return text.strip()


def _without_quotes(text: str) -> str:
    if (
        len(text) > 1
        and _PAIRS.get(text[0]) == text[-1]
        and text[0] not in text[1:-1]
        and text[-1] not in text[1:-1]
    ):
        return text[1:-1].strip()
    if text.count('"') == 1:
        return text.strip('"').strip()
    return text


def _is_readable(character: str) -> bool:
    """Letters and digits of any script, and pictures; not punctuation."""
    return character.isalnum() or ord(character) >= 0x1F000 or 0x2600 <= ord(character) < 0x2800  # noqa: PLR2004
