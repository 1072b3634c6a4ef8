"""A model's errors, as a run judges and records them."""

from __future__ import annotations

_PASSING_STATUSES = {408, 409, 425, 429}
"""Request errors that are about the moment, not about the request."""

_SERVER_ERRORS = 500


def may_pass(error: BaseException) -> bool:
    """Whether the same request may work the next time.

    LangChain's errors say so themselves (`is_retryable`), those of the SDKs by their status; any other is worth
    another attempt.
    """
    verdict = getattr(error, "is_retryable", None)
    if isinstance(verdict, bool):
        return verdict
    status = getattr(error, "status_code", None)
    return not isinstance(status, int) or status in _PASSING_STATUSES or status >= _SERVER_ERRORS


def describe(error: BaseException) -> str:
    """An error on one line of bounded length."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]
