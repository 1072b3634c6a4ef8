"""Reading a provider's "not now" out of whatever exception a client raised."""

from __future__ import annotations

import email.utils
import math
import re
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_REFUSALS = {429, 529}
_AGAIN_IN = re.compile(
    r"\b(?:try again|retry)\s+(?:in|after)\s+((?:[\d.]+\s*(?:ms|h|m|s)\w*\s*)+)", re.IGNORECASE
)
_AMOUNT = re.compile(r"([\d.]+)\s*(ms|h|m|s)", re.IGNORECASE)
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def is_refusal(error: BaseException) -> bool:
    """Whether an exception, or one it was raised from, is a 429 (rate limit) or 529 (overloaded)."""
    return any(status_of(cause) in _REFUSALS for cause in causes(error))


def retry_after_of(error: BaseException) -> float | None:
    """The seconds a provider asks to wait, None if it does not say.

    Works on the exceptions of openai, anthropic, httpx and their kin without importing them: looks for
    `response.headers` (`retry-after-ms`, then `retry-after` as seconds or as a date), for an attribute
    `retry_after`, and last for "try again in 1.5s" in the message; on the exception, then on those it was
    raised from.
    """
    for cause in causes(error):
        seconds = _from_headers(cause)
        if seconds is None:
            seconds = _number(getattr(cause, "retry_after", None))
        if seconds is None and status_of(cause) in _REFUSALS:
            seconds = _from_message(str(cause))
        if seconds is not None:
            return seconds
    return None


def causes(error: BaseException) -> Iterator[BaseException]:
    """An exception and those it was raised from."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__


def status_of(error: BaseException) -> Any:
    """The HTTP status of a client's exception, None if it has none."""
    response = getattr(error, "response", None)
    return getattr(error, "status_code", None) or getattr(response, "status_code", None)


def _from_headers(error: BaseException) -> float | None:
    headers: Any = getattr(getattr(error, "response", None), "headers", None) or getattr(
        error, "headers", None
    )
    if headers is None or not hasattr(headers, "items"):
        return None
    found = {str(name).lower(): value for name, value in headers.items()}
    milliseconds = _number(found.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    value = found.get("retry-after")
    seconds = _number(value)
    if seconds is None and isinstance(value, str):
        date = email.utils.parsedate_tz(value)
        return None if date is None else max(0.0, email.utils.mktime_tz(date) - time.time())
    return seconds


def _from_message(message: str) -> float | None:
    found = _AGAIN_IN.search(message)
    if found is None:
        return None
    parts = [(_number(number), _SECONDS[unit.lower()]) for number, unit in _AMOUNT.findall(found[1])]
    return sum(number * unit for number, unit in parts if number is not None)


def _number(value: Any) -> float | None:
    """A finite number of at least zero, None for anything else."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) and number >= 0 else None
