"""Streams that run at the same time, read one after the other."""

from __future__ import annotations


class ReadingOrder:
    """Merges concurrent point streams into one stream in reading order.

    The text of the first point that is still open passes through at once; the text of later points waits
    until it is their turn. What comes out, joined, is the points' text in order, whatever order it came in.

    Args:
        count: How many streams there are; they are numbered from 1.

    Example:
        >>> order = ReadingOrder(2)
        >>> order.feed(2, "World"), order.feed(1, "Hello "), order.close(2), order.close(1)
        ('', 'Hello ', '', 'World')
    """

    def __init__(self, count: int) -> None:
        self._waiting: list[list[str]] = [[] for _ in range(count)]
        self._closed = [False] * count
        self._current = 0

    @property
    def current(self) -> int:
        """The stream that is read now, from 1; one past the last when all are read."""
        return self._current + 1

    def feed(self, index: int, text: str) -> str:
        """Add text to a stream; returns what can be read now."""
        if index == self.current:
            return text
        self._waiting[index - 1].append(text)
        return ""

    def discard(self, index: int) -> None:
        """Forget the text of a stream that nobody has read yet."""
        self._waiting[index - 1].clear()

    def close(self, index: int) -> str:
        """End a stream; returns what can be read now."""
        self._closed[index - 1] = True
        readable: list[str] = []
        while self._current < len(self._closed) and self._closed[self._current]:
            self._current += 1
            if self._current < len(self._closed):
                readable += self._waiting[self._current]
                self._waiting[self._current].clear()
        return "".join(readable)
