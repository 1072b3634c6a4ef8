"""What of a run can be seen: the answer's text in reading order, and the events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skeleton_of_thought.answer import SEPARATOR
from skeleton_of_thought.events import AnswerText, Event

if TYPE_CHECKING:
    from collections.abc import Callable


class AnswerStream:
    """Collects what is shown, and tells whoever watches.

    Args:
        clock: Seconds, from any start.

    Attributes:
        first: When the first text was shown; None before.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._order = ReadingOrder()
        self._text: list[str] = []
        self._events: list[Event] = []
        self.first: float | None = None

    @property
    def text(self) -> str:
        """Everything shown so far."""
        return "".join(self._text)

    def tell(self, *events: Event) -> None:
        """Add events for whoever watches the run."""
        self._events += events

    def take_events(self) -> list[Event]:
        """The events since the last call."""
        events, self._events = self._events, []
        return events

    def show(self, text: str) -> None:
        """Add text to the end of the answer."""
        if not text:
            return
        if self.first is None:
            text = text.removeprefix(SEPARATOR)
            self.first = self._clock()
        self._text.append(text)
        self.tell(AnswerText(text))

    def expect(self) -> None:
        """One point more will be written."""
        self._order.expect()

    def is_read(self, index: int) -> bool:
        """Whether it is this point's turn to be read."""
        return self._order.current == index

    def add(self, index: int, text: str) -> None:
        """A point grew by this text."""
        self.show(self._order.feed(index, text))

    def discard(self, index: int) -> None:
        """Forget the text of a point that nobody has read yet."""
        self._order.discard(index)

    def close(self, index: int) -> None:
        """A point is complete: the next one is read."""
        self.show(self._order.close(index))


class ReadingOrder:
    """Merges concurrent point streams into one stream in reading order.

    The text of the first point that is still open passes through at once; the text of later points waits
    until it is their turn. What comes out, joined, is the points' text in order, whatever order it came in.

    Args:
        count: How many streams there are at first; they are numbered from 1.

    Example:
        >>> order = ReadingOrder(2)
        >>> order.feed(2, "World"), order.feed(1, "Hello "), order.close(2), order.close(1)
        ('', 'Hello ', '', 'World')
    """

    def __init__(self, count: int = 0) -> None:
        self._waiting: list[list[str]] = [[] for _ in range(count)]
        self._closed = [False] * count
        self._current = 0

    def expect(self) -> None:
        """There is one stream more."""
        self._waiting.append([])
        self._closed.append(False)

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
