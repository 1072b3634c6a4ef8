"""A tolerant JSON reader: single quotes, trailing commas, comments, bare keys, a missing end.

No recursion and one pass, so that it survives anything a model writes. Strings are kept, numbers and literals
become None: a title is a string.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field

_TOKEN = re.compile(
    r"\s*+(?://[^\n]*+|(?P<mark>[\[\]{},:])"
    r"|\"(?P<double>(?:[^\"\\\n]|\\.)*+)\"?"
    r"|'(?P<single>(?:[^'\\\n]|\\.|'(?![ \t]{0,4}(?:[,:\]}\n]|$)))*+)'?"
    r"|“(?P<curly>[^”\n]*+)”?"
    r"|(?P<literal>[^\s\[\]{},:\"'“`/]++))"
)
_LITERAL = re.compile(r"-?\d[\d.eE+-]*|true|false|null|True|False|None")


@dataclass(slots=True)
class Object:
    """A JSON object as its pairs in order; models repeat keys."""

    pairs: list[tuple[str, Value]] = field(default_factory=list)
    key: str | None = None


Value = str | None | list["Value"] | Object


class _NoJsonError(ValueError):
    """What was opened by a bracket is not JSON after all."""


def read_json(text: str, start: int) -> tuple[Value, int]:
    """Read the array or object that starts at `start`.

    Returns:
        The value and the place after it. None for what is no JSON (`[Note] …`), so far as that can be told.
    """
    opened: list[list[Value] | Object] = []
    token: str | None = None  # the last string or bare word, which is a key if a colon follows
    place = start
    while match := _TOKEN.match(text, place):
        place = match.end()
        mark = match["mark"]
        try:
            if mark in {"[", "{"}:
                opened.append(_open(mark, opened))
            elif mark in {"]", "}"}:
                closed = opened.pop()
                if not opened:
                    return closed, place
            elif mark == ":":
                _name(opened[-1], token)
            token = _put_token(opened[-1], match) if mark is None else None
        except _NoJsonError:
            return None, place
    return (opened[0] if opened else None), place


def _open(mark: str, opened: list[list[Value] | Object]) -> list[Value] | Object:
    inner: list[Value] | Object = [] if mark == "[" else Object()
    if opened and not _put(opened[-1], inner):
        raise _NoJsonError
    return inner


def _name(container: list[Value] | Object, key: str | None) -> None:
    if key is None or not isinstance(container, Object):
        raise _NoJsonError
    container.key = key


def _put(container: list[Value] | Object, value: Value) -> bool:
    """Add a value; False if it stands where an object expects a key."""
    if isinstance(container, list):
        container.append(value)
        return True
    if container.key is None:
        return False
    container.pairs.append((container.key, value))
    container.key = None
    return True


def _put_token(container: list[Value] | Object, match: re.Match[str]) -> str | None:
    """Add a string or literal; returns it if it stands where an object expects a key."""
    literal = match["literal"]
    if literal is None:
        string = _string(match)
        return None if string is None or _put(container, string) else string
    if _LITERAL.fullmatch(literal):
        return None if _put(container, None) else literal
    if isinstance(container, list) or container.key is not None:
        raise _NoJsonError
    return literal


def _string(match: re.Match[str]) -> str | None:
    """The string a token stands for; None for a comment."""
    if match["double"] is None:
        return match["single"] if match["single"] is not None else match["curly"]
    try:
        return str(json.loads(f'"{match["double"]}"', strict=False))
    except ValueError:
        return match["double"]
