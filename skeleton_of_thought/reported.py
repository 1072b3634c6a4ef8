"""What a stream reports of its tokens, once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skeleton_of_thought.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

ONLY_TOTALS = frozenset({"openai", "anthropic"})
"""Providers, as LangChain calls them, whose protocols report nothing but totals."""

_WRITTEN = ("cache_creation", "ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens")


class Reported:
    """Turns the running totals of one stream into differences, which add up to the last total.

    OpenAI reports once, at the end; several servers that speak its language repeat the total in every chunk, and
    Anthropic's `message_delta` carries a running total, too.
    """

    def __init__(self) -> None:
        self._total = Usage()

    def grown_to(self, total: Usage) -> Usage:
        """What a new total adds to the ones before; a count it calls 0 or null is one it does not tell."""
        grown = Usage(*(new or old for new, old in zip(total.counts, self._total.counts, strict=True)))
        added, self._total = grown - self._total, grown
        return added

    def piece(self, told: Usage, *, only_totals: bool) -> Usage:
        """What a piece adds where nobody says whether its counts are its own or the total so far.

        LangChain's pieces are made to be added up, and only one of them names the prompt. So a piece that names the
        same prompt again, and no smaller an answer, can only be the total, passed on as the provider sent it.

        Args:
            told: What the piece reports.
            only_totals: Whether the provider's own protocol knows nothing but totals; then counts of the answer are
                totals, too, where they stand alone.
        """
        prompt, answer = told.input_tokens or 0, told.output_tokens or 0
        same = prompt == self._total.input_tokens if prompt else only_totals
        if same and answer >= (self._total.output_tokens or 0):
            return self.grown_to(told)
        self._total = told if prompt else self._total + told  # another prompt is another request's
        return told


class ReportedPieces:
    """The same for the pieces of one stream of a LangChain model, which say themselves whose they are."""

    def __init__(self) -> None:
        self._reported = Reported()
        self._only_totals = False

    def added(self, piece: Any) -> Usage:
        """The tokens a piece adds; nothing if it reports none, as LangChain's cache may."""
        provider = (getattr(piece, "response_metadata", None) or {}).get("model_provider")
        self._only_totals = self._only_totals or provider in ONLY_TOTALS
        told = getattr(piece, "usage_metadata", None) or {}
        if "input_tokens" not in told:
            return Usage()
        return self._reported.piece(from_usage_metadata(told), only_totals=self._only_totals)


def from_usage_metadata(told: Mapping[str, Any]) -> Usage:
    """The tokens in what LangChain calls `usage_metadata`; what is written to a cache may be named by its lifetime."""
    details = told.get("input_token_details") or {}
    return Usage(
        told.get("input_tokens") or 0,
        told.get("output_tokens") or 0,
        details.get("cache_read") or 0,
        sum(details.get(name) or 0 for name in _WRITTEN),
    )
