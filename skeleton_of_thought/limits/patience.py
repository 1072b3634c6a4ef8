"""How long one answer waits, in all, for providers that refuse requests."""

from __future__ import annotations

import math
import threading


class Patience:
    """The seconds one answer spends in pauses after refusals (429, 529); requests that wait side by side wait once.

    Args:
        longest: Seconds in all.
    """

    def __init__(self, longest: float = 60.0) -> None:
        self.longest = longest
        self._left = longest
        self._covered = -math.inf  # what is waited until this moment is counted
        self._lock = threading.Lock()

    def allows(self, until: float, now: float) -> bool:
        """Whether to wait from now until a moment, which is then counted; both on one clock."""
        with self._lock:
            more = until - max(now, self._covered)
            if more > self._left:
                return False
            if more > 0:
                self._left -= more
                self._covered = until
            return True
