"""Where a run's time goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skeleton_of_thought.answer import Seconds

if TYPE_CHECKING:
    from collections.abc import Callable


class Stopwatch:
    """Takes the times of one run.

    Args:
        clock: Seconds, from any start; only differences count.
        waited: Seconds the router took before the run began.

    Attributes:
        origin: When the user began to wait.
        last: When the latest request ended.
        points_started: When the first points went out.
    """

    def __init__(self, clock: Callable[[], float], waited: float) -> None:
        self.now = clock
        self._waited = waited
        self._skeleton = 0.0
        self._points_sent = False
        self.start()

    def start(self) -> None:
        """The run begins."""
        self._started = self.last = self.points_started = self._points_ended = self.now()
        self.origin = self._started - self._waited

    def request_ended(self) -> None:
        """A request has ended."""
        self.last = self.now()

    def skeleton_ended(self) -> None:
        """The skeleton's request was the latest to end."""
        self._skeleton = self.last - self._started

    def point_sent(self) -> None:
        """A point goes out; the first starts their time."""
        if not self._points_sent:
            self._points_sent = True
            self.points_started = self._points_ended = self.now()

    def point_ended(self) -> None:
        """The latest request to end was a point's."""
        self._points_ended = self.last

    def seconds(self, route: float, first: float | None) -> Seconds:
        """The times so far.

        Args:
            route: What the router took.
            first: When the first text was shown; None if none was.
        """
        return Seconds(
            route=route,
            skeleton=self._skeleton,
            points=self._points_ended - self.points_started,
            total=self.last - self.origin,
            first_token=(self.last if first is None else first) - self.origin,
        )
