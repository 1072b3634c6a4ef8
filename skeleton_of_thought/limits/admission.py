"""Who goes next: the limiter's decisions, without threads, event loops or a clock of its own."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from skeleton_of_thought.limits.congestion import LONGEST_PAUSE, Congestion
from skeleton_of_thought.limits.window import Charge, SlidingWindow

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from skeleton_of_thought.limits.patience import Patience

_SAFETY = 1.02
"""Windows are kept a fiftieth longer than the provider's (1.2 s in a minute): a request on a busy machine or over
a new connection arrives later than one sent after it, and the provider counts arrivals."""


@dataclass(slots=True, eq=False)
class Ticket:
    """A place in the queue, then a request on its way.

    Attributes:
        tokens: What the request is expected to use.
        key: Who asks; the keys take turns.
        wake: Called once when the ticket is granted.
        state: `"new"`, `"waiting"`, `"granted"` or `"ended"`.
        sent: When it was granted.
        charges: What it took from the windows for requests and tokens.
        patience: How long it waits for a pause to end; None for ever.
        error: The provider's refusal, if the pause is longer than that; then the ticket is ended.
    """

    tokens: int
    key: Hashable
    wake: Callable[[], None]
    state: Literal["new", "waiting", "granted", "ended"] = "new"
    sent: float = 0.0
    charges: list[tuple[SlidingWindow, Charge]] = field(default_factory=list)
    patience: Patience | None = None
    error: BaseException | None = None


class Admission:
    """The queue and the limits; every method is told the time.

    The keys take turns, each with its oldest ticket: between two turns of a key that waits, every other key
    has at most one. The ticket whose turn it is is never overtaken, so that a large request cannot starve
    behind small ones.
    """

    def __init__(
        self,
        *,
        max_concurrency: int | None,
        requests: int | None,
        tokens: int | None,
        seconds: float,
        jitter: Callable[[], float],
        longest_pause: float = LONGEST_PAUSE,
    ) -> None:
        self._queues: OrderedDict[Hashable, OrderedDict[Ticket, None]] = OrderedDict()
        self._congestion = Congestion(max_concurrency, jitter, longest_pause)
        self._requests = None if requests is None else SlidingWindow(requests, seconds * _SAFETY)
        self._tokens = None if tokens is None else SlidingWindow(tokens, seconds * _SAFETY)
        self.running = 0
        self.waiting = 0
        self.waiting_tokens = 0
        self._refusal: BaseException | None = None

    def ask(self, ticket: Ticket, now: float) -> None:
        """Queue a ticket, or end it if nobody waits for so long."""
        if self._gives_up(ticket, now):
            ticket.state, ticket.error = "ended", self._refusal
            return
        ticket.state = "waiting"
        self._queues.setdefault(ticket.key, OrderedDict())[ticket] = None
        self.waiting += 1
        self.waiting_tokens += ticket.tokens

    def grant(self, now: float) -> Ticket | None:
        """Let the next ticket through, if there is one and it fits."""
        if self.wait(now) != 0.0:
            return None
        key, queue = next(iter(self._queues.items()))
        ticket = next(iter(queue))
        self._leave(ticket)
        if key in self._queues:
            self._queues.move_to_end(key)
        ticket.state, ticket.sent = "granted", now
        self.running += 1
        for window, amount in ((self._requests, 1), (self._tokens, ticket.tokens)):
            if window is not None:
                ticket.charges.append((window, window.take(amount, now)))
        return ticket

    def wait(self, now: float) -> float | None:
        """Seconds until the next ticket may go; None if nobody waits, or only a request's end can help."""
        if not self._queues or self.running + 1 > self._congestion.allowed:
            return None
        ticket = next(iter(next(iter(self._queues.values()))))
        waits = [self._congestion.paused_until - now]
        if self._requests is not None:
            waits.append(self._requests.wait(1, now))
        if self._tokens is not None:
            waits.append(self._tokens.wait(ticket.tokens, now))
        return max(0.0, *waits)

    def end(self, ticket: Ticket, *, succeeded: bool) -> None:
        """A request is over, or nobody waits for the ticket any more."""
        if ticket.state == "waiting":
            self._leave(ticket)
        elif ticket.state == "granted":
            self.running -= 1
            if succeeded:
                self._congestion.succeeded(sent=ticket.sent)
        ticket.state = "ended"

    def settle(self, ticket: Ticket, tokens: int, now: float) -> None:
        """Replace the estimate by what was used."""
        for window, charge in ticket.charges:
            if window is self._tokens:
                window.amend(charge, tokens, now)

    def unused(self, ticket: Ticket, now: float) -> None:
        """No request was sent."""
        for window, charge in ticket.charges:
            window.amend(charge, 0, now)

    def refused(
        self, ticket: Ticket, *, retry_after: float | None, now: float, error: BaseException | None = None
    ) -> list[Ticket]:
        """The provider refused a granted ticket's request with 429; returns the tickets that give up waiting."""
        self._congestion.refused(sent=ticket.sent, running=self.running, retry_after=retry_after, now=now)
        self._refusal = error or self._refusal
        given_up = [each for queue in self._queues.values() for each in queue if self._gives_up(each, now)]
        for each in given_up:
            self._leave(each)
            each.state, each.error = "ended", self._refusal
        return given_up

    @property
    def paused_until(self) -> float:
        """Nothing is sent before this moment."""
        return self._congestion.paused_until

    def _gives_up(self, ticket: Ticket, now: float) -> bool:
        until = self._congestion.paused_until
        if ticket.patience is None or self._refusal is None or until <= now:
            return False
        return not ticket.patience.allows(until, now)

    def load(self, now: float) -> float:
        """Share of the scarcest limit that is used or waited for, 0 to 1."""
        if now < self._congestion.paused_until:
            return 1.0
        shares = [(self.running + self.waiting) / self._congestion.allowed]
        for window, waiting in ((self._requests, self.waiting), (self._tokens, self.waiting_tokens)):
            if window is not None:
                shares.append((window.used_at(now) + waiting) / window.limit)
        return min(1.0, max(shares))

    def _leave(self, ticket: Ticket) -> None:
        queue = self._queues[ticket.key]
        del queue[ticket]
        if not queue:
            del self._queues[ticket.key]
        self.waiting -= 1
        self.waiting_tokens -= ticket.tokens
