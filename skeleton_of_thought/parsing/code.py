"""Where a text that comes in pieces is code: between two lines that begin with the same fence."""

from __future__ import annotations

_FENCE_MARKS = ("```", "~~~")


class CodeFences:
    """Whether a text stands in a block of code; the text comes in pieces.

    Attributes:
        fence: What the block began with; None outside of one.
    """

    def __init__(self) -> None:
        self.fence: str | None = None
        self._mark: str | None = (
            ""  # as much of a fence as the open line has begun with; None once it is none
        )

    def feed(self, text: str) -> None:
        """Take the next piece."""
        first, *others = text.split("\n")
        self._read(first)
        for line in others:
            self._mark = ""
            self._read(line)

    def _read(self, piece: str) -> None:
        if self._mark is None:
            return
        piece = piece if self._mark else piece.lstrip(" \t>")
        mark = (self._mark + piece[:3])[:3]
        self._mark = mark if any(fence.startswith(mark) for fence in _FENCE_MARKS) else None
        if mark in _FENCE_MARKS:
            self._mark = None
            if self.fence in {None, mark}:
                self.fence = mark if self.fence is None else None
