"""What the holder of a turn tells the limiter."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from skeleton_of_thought.limits.admission import Ticket
    from skeleton_of_thought.limits.gate import Gate
    from skeleton_of_thought.usage import Usage


class Slot:
    """A turn: the right to send one request.

    Attributes:
        used: Tokens counted for it: the estimate, then what was settled.
        refused: Whether the provider refused the request.
    """

    def __init__(self, gate: Gate, ticket: Ticket, *, count_cached: bool) -> None:
        self._gate = gate
        self._ticket = ticket
        self._count_cached = count_cached
        self.used = ticket.tokens
        self.refused = False

    def settle(self, usage: Usage) -> None:
        """Replace the estimate by the usage the provider reported; where it did not, the estimate stays."""
        if usage.total_tokens is not None:
            cached = 0 if self._count_cached else usage.cache_read_tokens or 0
            self._count(usage.total_tokens - cached)

    def rate_limited(self, retry_after: float | None = None, error: BaseException | None = None) -> None:
        """The provider refused the request: everybody pauses, and its tokens do not count.

        Args:
            retry_after: Seconds the provider asks to wait (`retry_after_of` reads them); None for backoff.
            error: What the provider said, for those who give up waiting.
        """
        if self.refused:
            return
        self.refused = True
        self._count(0)
        self._gate.refused(self._ticket, retry_after, error)

    def unused(self) -> None:
        """No request was sent: neither it nor its tokens count."""
        self.used = 0
        self._gate.unused(self._ticket)

    def _count(self, tokens: int) -> None:
        self.used = tokens
        self._gate.settle(self._ticket, tokens)
