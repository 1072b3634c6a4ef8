"""A reply that broke off after its reader saw the beginning: it is gone on with, and the place is marked."""

from __future__ import annotations

from skeleton_of_thought.answer import SEPARATOR
from skeleton_of_thought.parsing.code import CodeFences

CUT = " […]"
"""What marks a text that was cut off in the middle of a sentence."""

_DATA_BEGINS = frozenset("{[<")

SENTENCE_ENDS = frozenset(".!?…\"')»”。！？|`")


class RestOfReply:
    """Takes the rest of a reply piece by piece, and gives what is shown behind the beginning.

    Args:
        between: What stands between them.
    """

    def __init__(self, between: str) -> None:
        self._between = between
        self._begun = False

    def feed(self, delta: str) -> str:
        """Take the next piece."""
        if self._begun:
            return delta
        delta = delta.lstrip()
        self._begun = bool(delta)
        return self._between + delta if delta else ""


def seam(shown: str) -> str | None:
    """What stands between the text that was read and the rest of it, which begins with a whole sentence.

    None for what cannot be joined: nothing but white space, data such as JSON, or a block of code, whose next line
    nobody could place.
    """
    fences = CodeFences()
    fences.feed(shown)
    if not shown.strip() or shown.lstrip()[0] in _DATA_BEGINS or fences.fence:
        return None
    if shown.endswith(SEPARATOR):
        return ""
    if shown.rstrip()[-1] in SENTENCE_ENDS:
        return "\n" if shown.endswith("\n") else SEPARATOR
    return CUT + SEPARATOR
