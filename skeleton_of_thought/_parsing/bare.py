"""A list without any marker: nothing but short lines."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from skeleton_of_thought._parsing.item import Item
from skeleton_of_thought._parsing.talk import is_courtesy, opens_turn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skeleton_of_thought._parsing.lines import Line

_FEWEST = 3
_MOST = 20
_MOST_WORDS = 8
_MOST_CHARACTERS = 60
_NO_TITLE = re.compile(r"[^\w\s]*[a-z\d]|.*[.!;,。！;=(){}\\]$|.*[=<>{}]")
_QUOTED = re.compile(r"([\"'“])[^\"“”]+[\"'”],?")


def bare_items(lines: Sequence[Line]) -> list[Item]:
    """The lines as points if, after at most one lead-in that ends in a colon, all of them look like titles.

    Prose must never become points, so everything else gives none.
    """
    filled = [(place, line) for place, line in enumerate(lines) if line.frame != "blank"]
    if filled and is_courtesy(filled[0][1].text):
        del filled[0]
    if not _FEWEST <= len(filled) <= _MOST:
        return []
    if not all(_is_title(line) for _, line in filled) or len({line.text for _, line in filled}) < len(filled):
        return []
    return [Item(line.text, None, "", "", place, line.indent) for place, line in filled]


def _is_title(line: Line) -> bool:
    text = line.text
    is_short = len(text) <= _MOST_CHARACTERS and len(text.split()) <= _MOST_WORDS
    is_title = _NO_TITLE.match(text) is None or _QUOTED.fullmatch(text) is not None
    return is_short and is_title and line.frame in {"plain", "bold"} and not opens_turn(text)
