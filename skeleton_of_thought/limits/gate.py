"""The admission queue behind a lock, with a timer: what makes it safe from any thread and any event loop."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from skeleton_of_thought.limits.admission import Admission, Ticket

_SHORTEST_TIMER = 0.001
_LONGEST_TIMER = 3600.0
"""Longer ones are set again; a timer takes no number of seconds."""
_WORTH_A_WORD = 1.0
_WORTH_A_WARNING = 5.0

_LOG = logging.getLogger("skeleton_of_thought.limits")


class Gate:
    """Takes every step of the admission under one lock, and wakes whom it lets through."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._lock = threading.RLock()
        self._steps: deque[Callable[[float], None]] = deque()
        self._busy = False
        self._timer: threading.Timer | None = None
        self._timer_at = 0.0
        self._told = 0.0

    @property
    def load(self) -> float:
        """Share of the scarcest limit that is used or waited for."""
        with self._lock:
            return self._admission.load(time.monotonic())

    @property
    def running(self) -> int:
        """Requests on their way."""
        return self._admission.running

    @property
    def waiting(self) -> int:
        """Requests held back."""
        return self._admission.waiting

    def ask(self, ticket: Ticket) -> bool:
        """Queue a ticket; True if it was let through at once, else it will be woken."""
        self._do(lambda now: self._admission.ask(ticket, now))
        return ticket.state == "granted"

    def end(self, ticket: Ticket, *, succeeded: bool) -> None:
        """A ticket's request is over, or nobody waits for it any more."""
        self._do(lambda _: self._admission.end(ticket, succeeded=succeeded))

    def settle(self, ticket: Ticket, tokens: int) -> None:
        """Replace a ticket's estimate."""
        self._do(lambda now: self._admission.settle(ticket, tokens, now))

    def unused(self, ticket: Ticket) -> None:
        """A ticket's request was not sent."""
        self._do(lambda now: self._admission.unused(ticket, now))

    def refused(self, ticket: Ticket, retry_after: float | None, error: BaseException | None = None) -> None:
        """The provider refused a ticket's request; a pause worth a word is logged."""

        def step(now: float) -> None:
            for given_up in self._admission.refused(ticket, retry_after=retry_after, now=now, error=error):
                _wake(given_up)
            self._tell(now, retry_after)

        self._do(step)

    def _tell(self, now: float, retry_after: float | None) -> None:
        until = self._admission.paused_until
        if until < self._told + _WORTH_A_WORD or until < now + _WORTH_A_WORD:
            return
        self._told = until
        level = logging.WARNING if until >= now + _WORTH_A_WARNING else logging.INFO
        asked = "" if retry_after is None else f" (it asks for {retry_after:.4g} s)"
        _LOG.log(
            level,
            "The provider refuses requests; nothing is sent for %.0f s%s.",
            max(0.0, until - now),
            asked,
            extra={"pause": max(0.0, until - now)},
        )

    def _do(self, step: Callable[[float], None]) -> None:
        """Take a step under the lock, then let through who fits.

        The garbage collector may close a forgotten generator, and with it a slot, in the middle of a step and
        in the same thread; such a step is left to the call it interrupts.
        """
        self._steps.append(step)
        with self._lock:
            while self._steps and not self._busy:
                self._busy = True
                try:
                    self._take_steps()
                finally:
                    self._busy = False

    def _take_steps(self) -> None:
        now = time.monotonic()
        while self._steps:
            self._steps.popleft()(now)
        while (ticket := self._admission.grant(now)) is not None:
            try:
                ticket.wake()
            except RuntimeError:  # its event loop is closed: nobody waits there any more
                self._admission.end(ticket, succeeded=False)
        self._arm(self._admission.wait(now), now)

    def _arm(self, wait: float | None, now: float) -> None:
        """Come back when time alone lets the next ticket through."""
        if self._timer is not None and (wait is None or self._timer_at > now + wait):
            self._timer.cancel()
            self._timer = None
        if wait is not None and self._timer is None:
            wait = min(max(wait, _SHORTEST_TIMER), _LONGEST_TIMER)
            self._timer_at = now + wait
            self._timer = threading.Timer(wait, self._do, [self._disarm])
            self._timer.daemon = True
            self._timer.start()

    def _disarm(self, now: float) -> None:
        if self._timer_at <= now:
            self._timer = None


def _wake(ticket: Ticket) -> None:
    """Wake who waits for a ticket that has ended."""
    with contextlib.suppress(RuntimeError):  # its event loop is closed: nobody waits there any more
        ticket.wake()
