"""What to do after a 429: pause, send fewer at once, and grow back while it goes well."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST_PAUSE = 60.0
"""Seconds nobody is stopped for longer, whatever one answer's header says: the next request asks again."""
_FIRST_PAUSE = 0.5
_ROUNDS_TO_RECOVER = 16
_MEMORY = 16
_LEAST_SHARE = 0.2
_LEAST_CUT = 2.0


class Congestion:
    """How many requests may run at once right now.

    A refusal pauses all and cuts the number: to half where requests are refused one after the other, by a tenth
    and at least two where it was one among many. (A provider that others overload refuses a few whatever we send,
    and halving for each would leave next to nothing; so the share of refusals decides, as in RFC 8257.) Refusals
    of requests sent before the last cut belong to the same storm, which never cuts more than half. Successes add
    a sixteenth of the former number per round of requests, at least one.

    Attributes:
        allowed: Requests that may run at once; infinite until a refusal if no maximum is given.
        paused_until: Nothing is sent before this moment.
    """

    def __init__(
        self, maximum: int | None, jitter: Callable[[], float], longest_pause: float = LONGEST_PAUSE
    ) -> None:
        self._longest_pause = longest_pause
        self._maximum = math.inf if maximum is None else maximum
        self._target = self._half = self._maximum
        self._jitter = jitter
        self._share = 1.0
        self._strikes = 0.0
        self._last_cut = self._cut_before = -math.inf
        self.allowed = self._maximum
        self.paused_until = -math.inf

    def refused(self, *, sent: float, running: int, retry_after: float | None, now: float) -> None:
        """The provider refused a request that was sent at a moment, with so many running."""
        new_storm = sent > self._last_cut
        self._share += (1 - self._share) / _MEMORY
        if new_storm:
            self._target = running if math.isinf(self.allowed) else self.allowed
            self._half = min(self._target, running) / 2
            self._cut_before, self._last_cut = self._last_cut, now
            self._strikes += self._share
        to_half = self._target - self._half
        cut = max(max(self._share, _LEAST_SHARE) * to_half, min(_LEAST_CUT, to_half))
        self.allowed = min(self.allowed, max(1.0, self._target - cut))
        if retry_after is not None:
            longest = min(self._longest_pause, retry_after * (1 + 0.1 * self._jitter()))
            self._pause(now + longest)
        elif new_storm:
            longest = min(self._longest_pause, _FIRST_PAUSE * 2 ** min(self._strikes - 1, 10))
            self._pause(now + longest * (0.5 + 0.5 * self._jitter()))

    def succeeded(self, *, sent: float) -> None:
        """A request that was sent at a moment got its answer."""
        self._share -= self._share / _MEMORY
        if sent > self._cut_before:
            self._strikes = 0.0
        if self.allowed < self._maximum:
            step = max(1.0, self._target / _ROUNDS_TO_RECOVER) / self.allowed
            self.allowed = min(self._maximum, self.allowed + step)

    def _pause(self, until: float) -> None:
        self.paused_until = max(self.paused_until, until)
