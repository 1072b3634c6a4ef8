"""What of a model's output is its answer: no thoughts, control tokens, invisible characters or HTML."""

from __future__ import annotations

import re

from skeleton_of_thought.parsing.thoughts import without_thoughts

_WRAPPER = re.compile(r"</?(?:answer|skeleton|outline|output|response|solution)>", re.IGNORECASE)
# An element starts a line or follows another one; a title may speak of the <li> element.
_HTML_LIST = re.compile(
    r"(?:^[ \t]{0,20}|(?<=>)\s{0,20})<(?P<item>li|(?:point|item|step)[_-]?\d{0,3})\b[^<>]{0,200}>"
    r"|<(?P<opens>[ou]l)\b[^<>]{0,200}>(?=\s{0,20}<li)|</(?P<closes>[ou]l)>|</(?:li|(?:point|item|step)[_-]?\d{0,3})>",
    re.IGNORECASE | re.MULTILINE,
)
_DEEPEST = 8
_HTML_HEADING = re.compile(r"<h([1-6])\b[^<>]{0,200}>", re.IGNORECASE)
_HTML_FIELD = re.compile(
    r"(?<=>)\s{0,20}<(?:title|name|heading|description|desc|text)>|</(?:description|desc|text)>",
    re.IGNORECASE,
)
_HTML_TITLE_END = re.compile(r"</(?:title|name|heading|dt)>", re.IGNORECASE)
_HTML_BREAK = re.compile(r"<br ?/?>|</?(?:p|div|h[1-6])>", re.IGNORECASE)
# Zero-width and direction marks, soft hyphens, control characters; joiners stay, scripts need them.
_INVISIBLE = re.compile(
    "[\\x00-\\x08\\x0e-\\x1b\\x7f\\xad\\u200b\\u200e\\u200f\\u202a-\\u202e\\u2060-\\u2069\\ufeff]"
)


def visible_text(text: str) -> str:
    """The answer within a model's output, as plain lines."""
    text = _INVISIBLE.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    text = _within_wrapper(without_thoughts(text))
    if (
        "\n" not in text
        and text.strip()[:1] not in {"[", "{"}
        and re.search(r"\\n\s?(?:[-*•]|\d{1,2}[.)])", text)
    ):
        text = text.replace("\\n", "\n")  # the model wrote the escape sequence instead of a new line
    return _html_as_lines(text)


def _within_wrapper(text: str) -> str:
    """The inside of the last `<answer>…</answer>` or its like that holds text."""
    parts = _WRAPPER.split(text)
    if len(parts) == 1:
        return text
    tags = [tag.startswith("</") for tag in _WRAPPER.findall(text)]
    inside = [part for part, closes in zip(parts[1:], tags, strict=True) if not closes and part.strip()]
    return inside[-1] if inside else "\n".join(parts)


def _html_as_lines(text: str) -> str:
    """HTML and XML lists and headings in markdown, nesting as indentation."""
    if "<" not in text:
        return text
    text = _HTML_TITLE_END.sub(": ", _HTML_FIELD.sub(" ", text))
    depth = 0
    pieces: list[str] = []
    start = 0
    for tag in _HTML_LIST.finditer(text):
        pieces.append(text[start : tag.start()])
        start = tag.end()
        depth += bool(tag["opens"]) - bool(tag["closes"])
        depth = min(max(depth, 0), _DEEPEST)
        pieces.append("\n" + "    " * depth + "- " if tag["item"] else "\n")
    text = "".join(pieces) + text[start:]
    text = _HTML_HEADING.sub(lambda tag: "\n" + "#" * int(tag[1]) + " ", text)
    return _HTML_BREAK.sub("\n", text)
