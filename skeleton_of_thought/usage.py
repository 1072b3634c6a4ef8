"""Token counts as providers report them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeGuard

CHARACTERS_PER_TOKEN = 4
"""What is taken for a token's length where nobody has counted."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one request or of several added together; a count is None if a provider did not tell its part of it.

    Attributes:
        input_tokens: Tokens of the prompt, those read from a cache included.
        output_tokens: Tokens the model wrote.
        cache_read_tokens: Part of `input_tokens` that a prompt cache served.
        cache_write_tokens: Part of `input_tokens` written to a prompt cache (billed higher by some providers).

    Example:
        >>> Usage(10, 5) + Usage(20, None)
        Usage(input_tokens=30, output_tokens=None, cache_read_tokens=0, cache_write_tokens=0)
    """

    input_tokens: int | None = 0
    output_tokens: int | None = 0
    cache_read_tokens: int | None = 0
    cache_write_tokens: int | None = 0

    @property
    def total_tokens(self) -> int | None:
        """Input and output together."""
        return _sum(self.input_tokens, self.output_tokens)

    @property
    def known(self) -> bool:
        """Whether every count is known."""
        return None not in self.counts

    @property
    def counts(self) -> tuple[int | None, ...]:
        """The four counts, in their order."""
        return self.input_tokens, self.output_tokens, self.cache_read_tokens, self.cache_write_tokens

    def __add__(self, other: Usage) -> Usage:
        if other == NO_USAGE:  # what nearly every piece of a stream says
            return self
        return Usage(*map(_sum, self.counts, other.counts))

    def __sub__(self, other: Usage) -> Usage:
        negative = (None if count is None else -count for count in other.counts)
        return Usage(*map(_sum, self.counts, negative))

    def of_answered(self, *, wrote: bool = True) -> Usage:
        """What these counts say of an answered request: no prompt has no tokens, and no text, so a 0 is none told.

        Args:
            wrote: Whether the model wrote anything.
        """
        if not self.input_tokens and not self.output_tokens:
            return UNKNOWN
        return Usage(
            self.input_tokens or None,
            self.output_tokens or (None if wrote else self.output_tokens),
            self.cache_read_tokens,
            self.cache_write_tokens,
        )


def counted(count: object) -> int:
    """A count as a server sent it; 0, which tells nothing, for what is no number of tokens."""
    if isinstance(count, bool) or not isinstance(count, int | float):
        return 0
    return int(count) if 0 < count < _MOST else 0


_MOST = 10**12
"""More tokens than any request has; also below infinity and whatever is not a number."""

NO_USAGE = Usage()
"""Nothing used, and all of it told."""

UNKNOWN = Usage(None, None, None, None)
"""What a request used whose provider did not tell."""


def told_tokens(prompt: int | None, answer: int | None, *, form: str = ",") -> str:
    """Tokens in and out for a reader, in a number's format; what is not known is called so."""
    if prompt is None and answer is None:
        return "tokens unknown"
    read, written = ("unknown" if count is None else f"{count:{form}}" for count in (prompt, answer))
    return f"{read} tokens in, {written} out"


def all_told(counts: list[int | None]) -> TypeGuard[list[int]]:
    """Whether none of these counts is unknown."""
    return None not in counts


def _sum(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one + other
