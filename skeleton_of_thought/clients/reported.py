"""What a stream reports of its tokens, once."""

from __future__ import annotations

from skeleton_of_thought.usage import Usage


class Reported:
    """Turns the running totals of one stream into differences, which add up to the last total.

    OpenAI reports once, at the end; several servers that speak its language repeat the total in every chunk, and
    Anthropic's `message_delta` carries a running total, too.
    """

    def __init__(self) -> None:
        self._total = Usage()

    def grown_to(self, total: Usage) -> Usage:
        """What a new total adds to the ones before."""
        added, self._total = total - self._total, total
        return added

    def output_grown_to(self, tokens: int) -> Usage:
        """The same, of a total that speaks of the answer only."""
        before = self._total
        return self.grown_to(
            Usage(before.input_tokens, tokens, before.cache_read_tokens, before.cache_write_tokens)
        )
