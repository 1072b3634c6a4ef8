"""What of a run can be seen: the answer's text in reading order, and the events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skeleton_of_thought.answer_format import SEPARATOR
from skeleton_of_thought.events import AnswerText, Event
from skeleton_of_thought.reading_order import ReadingOrder

if TYPE_CHECKING:
    from collections.abc import Callable


class Display:
    """Collects what is shown, and tells whoever watches.

    Args:
        clock: Seconds, from any start.

    Attributes:
        first: When the first text was shown; None before.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._order = ReadingOrder(0)
        self._text: list[str] = []
        self._events: list[Event] = []
        self.first: float | None = None

    @property
    def text(self) -> str:
        """Everything shown so far."""
        return "".join(self._text)

    def tell(self, *events: Event) -> None:
        """Something has happened."""
        self._events += events

    def take_events(self) -> list[Event]:
        """What has happened since the last call."""
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

    def expect(self, points: int) -> None:
        """So many points will be written at the same time."""
        self._order = ReadingOrder(points)

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
