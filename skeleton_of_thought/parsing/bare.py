"""A list without any marker: nothing but short lines."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from skeleton_of_thought.parsing.item import Item
from skeleton_of_thought.parsing.talk import is_courtesy, opens_turn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skeleton_of_thought.parsing.lines import Line

_FEWEST = 3
_MOST = 20
_MOST_WORDS = 8
_MOST_CHARACTERS = 60
_WIDE_CHARACTERS_PER_WORD = 1.5
_NO_TITLE = re.compile(r"[^\w\s]*\d|.*[.!;,。！;=(){}\\]$|.*[=<>{}]")
_LOWER = re.compile(r"[^\w\s]*[a-z]")
_QUOTED = re.compile(r"([\"'“])[^\"“”]+[\"'”],?")
_LABELLED = re.compile(r"[A-Z][^\W\d][^:.!?]{0,40}: \S")


def bare_items(lines: Sequence[Line]) -> list[Item]:
    """The lines as points if, after at most one lead-in that ends in a colon, all of them look like titles.

    Prose must never become points, so everything else gives none.
    """
    filled = [(place, line) for place, line in enumerate(lines) if line.frame != "blank"]
    led_in = len(filled) > 0 and is_courtesy(filled[0][1].text)
    del filled[:led_in]
    if not _FEWEST <= len(filled) <= _MOST or any(opens_turn(line.text) for _, line in filled):
        return []
    heads = {line.text.partition(":")[0] for _, line in filled}
    if len(heads) < len(filled):
        return []
    labelled = all(_LABELLED.match(line.text) for _, line in filled)
    if not labelled and not all(_is_title(line, led_in=led_in) for _, line in filled):
        return []
    return [Item(line.text, None, "", "", place, line.indent) for place, line in filled]


def _is_title(line: Line, *, led_in: bool) -> bool:
    """Whether a line looks like a title: short, not a sentence; in small letters only after a lead-in."""
    if line.frame not in {"plain", "bold"}:
        return False
    if _QUOTED.fullmatch(line.text):
        return True
    if _NO_TITLE.match(line.text) or (_LOWER.match(line.text) and not led_in):
        return False
    wide = sum(character >= "\u2e80" for character in line.text)
    words = len(line.text.split()) + wide / _WIDE_CHARACTERS_PER_WORD
    return len(line.text) <= _MOST_CHARACTERS and words <= _MOST_WORDS
