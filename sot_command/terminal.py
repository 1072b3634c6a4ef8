"""What reaches the terminal: text, and no orders to it, whoever wrote them."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any, Final

from rich import console as rich_console
from rich.segment import Segment

if TYPE_CHECKING:
    from collections.abc import Iterable

_SEQUENCE: Final = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI: colours, the cursor, the screen
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x00-\x1f\x7f-\x9f]*(?:\x07|\x1b\\|\x9c)"  # OSC: titles, links
)
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202d\u202e]")
"""Every control character but a newline and a tab; and the two that turn a text's order around."""

_BIDI: Final = re.compile(r"[\u202a-\u202e\u2066-\u2069]")


def plain(text: str) -> str:
    r"""A text without escape sequences; what is left of one that comes in two pieces is harmless text.

    Example:
        >>> plain("\x1b[31mred\x1b[0m \x1b]0;title\x07and\r\n\ttab")
        'red and\n\ttab'
    """
    return _CONTROL.sub("", _SEQUENCE.sub("", text))


def plain_name(text: str) -> str:
    """A name on one line, whose parts stand in the order they are in: a file's, a title."""
    return _BIDI.sub("", plain(" ".join(text.split())))


def say(text: object = "", *, end: str = "\n", error: bool = False) -> None:
    """Print a text that somebody else may have written."""
    stream = sys.stderr if error else sys.stdout
    stream.write(plain(str(text)) + end)
    stream.flush()


class Console(rich_console.Console):
    """Rich's console, whose own sequences are the only ones that come through; it reads no `:name:` as an emoji."""

    def __init__(self, **options: Any) -> None:
        """Take Rich's options."""
        super().__init__(emoji=False, **options)

    def render(self, *args: Any, **kwargs: Any) -> Iterable[Segment]:
        """Render an object to segments."""
        for segment in super().render(*args, **kwargs):
            text = segment.text if segment.control else plain(segment.text)
            yield segment if text == segment.text else Segment(text, segment.style)
