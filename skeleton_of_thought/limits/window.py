"""A sliding window: how much was used in the last so many seconds, exactly."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class Charge:
    """An amount taken from a window at a moment.

    Attributes:
        moment: When, in seconds on the caller's clock.
        amount: How much; changed by `SlidingWindow.amend`.
    """

    moment: float
    amount: int


class SlidingWindow:
    """The amounts taken in the last `seconds`, each remembered with its moment.

    Libraries that keep such a log store one entry per unit, thousands for the tokens of one request, and
    cannot correct an amount afterwards; hence these lines.
    """

    def __init__(self, limit: int, seconds: float) -> None:
        self.limit = limit
        self.seconds = seconds
        self._used = 0
        self._charges: deque[Charge] = deque()

    def wait(self, amount: int, now: float) -> float:
        """Seconds until an amount fits, 0 if it does now.

        An amount above the whole limit counts as the limit: it waits for an empty window, not for ever.
        """
        self._forget(now)
        excess = self._used + min(amount, self.limit) - self.limit
        if excess <= 0:
            return 0.0
        for charge in self._charges:
            excess -= charge.amount
            if excess <= 0:
                return charge.moment + self.seconds - now
        return self.seconds

    def used_at(self, now: float) -> int:
        """What was used in the window that ends now."""
        self._forget(now)
        return self._used

    def take(self, amount: int, now: float) -> Charge:
        """Take an amount, whether or not it fits."""
        charge = Charge(now, amount)
        self._charges.append(charge)
        self._used += amount
        return charge

    def amend(self, charge: Charge, amount: int, now: float) -> None:
        """Correct a charge to what was really used; one that has left the window stays forgotten."""
        self._forget(now)
        if charge.moment + self.seconds > now:
            self._used += amount - charge.amount
            charge.amount = amount

    def _forget(self, now: float) -> None:
        while self._charges and self._charges[0].moment + self.seconds <= now:
            self._used -= self._charges.popleft().amount
