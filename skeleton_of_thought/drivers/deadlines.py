"""How long the points of a run, and all of it, may still take."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from skeleton_of_thought.errors import DeadlineError
from skeleton_of_thought.request import is_hedge, twin_of

if TYPE_CHECKING:
    from skeleton_of_thought.options import RunSettings


class Deadlines:
    """The deadlines of one run, which starts now; a driver asks how long to wait and who is late.

    Args:
        settings: What they are.
        spent: Seconds of the whole that a router took before.
    """

    def __init__(self, settings: RunSettings, *, spent: float = 0.0) -> None:
        self._settings = settings
        self._end = None if settings.timeout is None else time.monotonic() + settings.timeout - spent
        self._points: dict[str, float] = {}
        self._silent: dict[str, float] = {}

    def begin(self, request_id: str) -> None:
        """A request got its turn: the time of its point runs, retries included."""
        if not request_id.startswith("point:") or is_hedge(request_id):
            return
        if self._settings.point_timeout is not None:
            self._points.setdefault(request_id, time.monotonic() + self._settings.point_timeout)
        if self._settings.hedge_after is not None:
            self._silent[request_id] = time.monotonic() + self._settings.hedge_after

    def heard(self, request_id: str) -> None:
        """A request's answer has begun."""
        self._silent.pop(request_id, None)

    def end(self, request_id: str) -> None:
        """A point is complete, or has failed for good, whichever of its requests that was."""
        point = twin_of(request_id) if is_hedge(request_id) else request_id
        self._points.pop(point, None)
        self._silent.pop(point, None)

    @property
    def wait(self) -> float | None:
        """Seconds to the next deadline; None if there is none."""
        moments = [
            *self._points.values(),
            *self._silent.values(),
            *(() if self._end is None else (self._end,)),
        ]
        return max(0.0, min(moments) - time.monotonic()) if moments else None

    def late(self) -> list[tuple[str, DeadlineError]]:
        """The requests whose point is late; each is named once."""
        if not self._points:
            return []
        now = time.monotonic()
        found = [request_id for request_id, moment in self._points.items() if moment <= now]
        for request_id in found:
            del self._points[request_id]
        return [
            (
                request_id,
                DeadlineError(f"it took longer than point_timeout={self._settings.point_timeout:g} s"),
            )
            for request_id in found
        ]

    def slow(self) -> list[str]:
        """The requests that have shown nothing for `hedge_after` seconds; each is named once."""
        now = time.monotonic()
        found = [request_id for request_id, moment in self._silent.items() if moment <= now]
        for request_id in found:
            del self._silent[request_id]
        return found

    def over(self) -> DeadlineError | None:
        """The error of the whole run, once its time is over."""
        if self._end is None or time.monotonic() < self._end:
            return None
        return DeadlineError(f"the answer took longer than timeout={self._settings.timeout:g} s")
