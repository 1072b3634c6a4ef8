"""What an error of a model call says: whether it may pass, and what the model was asked that it does not take."""

from __future__ import annotations

import email.utils
import logging
import math
import re
import time
from typing import TYPE_CHECKING, Any, Literal

from skeleton_of_thought.errors import ConfigurationError, ContextOverflowError, LongWaitError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from skeleton_of_thought.request import Request


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
        return _seconds_until(value)
    return seconds


def _seconds_until(date: str) -> float | None:
    """The seconds until an HTTP date; None if no calendar has it."""
    try:
        parsed = email.utils.parsedate_tz(date)
        return None if parsed is None else max(0.0, email.utils.mktime_tz(parsed) - time.time())
    except (ArithmeticError, IndexError, TypeError, ValueError):
        return None


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
    except (OverflowError, TypeError, ValueError):
        return None
    return number if math.isfinite(number) and number >= 0 else None


Feature = Literal["partial answer", "stop", "max_tokens", "opening protocol"]
"""A part of a request that some models refuse, and that an answer can do without."""

_CLIENT_ERRORS = range(400, 500)
_PASSING = {408, 409, 425, 429}
"""Client errors after which the same request may succeed."""

_USED_UP = {"insufficient_quota", "billing_hard_limit_reached"}
"""OpenAI's codes for a 429 that no waiting ends."""

_INVALID = {400, 422}
_NAMES: dict[str, re.Pattern[str]] = {
    "partial answer": re.compile(
        r"prefill|must end with a user message|last message[^.]*(?:role|assistant|user)"
        r"|continue_final_message|add_generation_prompt",
        re.IGNORECASE,
    ),
    "stop": re.compile(r"\bstop(?:_sequences?)?\b", re.IGNORECASE),
    "max_tokens": re.compile(r"\bmax_(?:completion_|output_)?tokens\b", re.IGNORECASE),
}
_NOT_TAKEN = re.compile(
    r"not (?:\w+ )?(?:support|permit|allow|accept)|unsupported|unknown|unrecogni[sz]ed|unexpected|extra inputs"
    r"|must end with|prefill",
    re.IGNORECASE,
)


def may_pass(error: BaseException) -> bool:
    """Whether sending the same request again may succeed.

    LangChain's model errors say so themselves (`is_retryable`); of others, a client error (HTTP 4xx) does not
    pass, except a timeout, a conflict and a rate limit. A used-up quota never passes, and what has no status,
    such as a broken connection, may.
    """
    if isinstance(error, (ConfigurationError, ContextOverflowError, LongWaitError)):
        return False
    for cause in causes(error):
        if getattr(cause, "code", None) in _USED_UP:
            return False
    for cause in causes(error):
        verdict = getattr(cause, "is_retryable", None)
        if isinstance(verdict, bool):
            return verdict
        status = status_of(cause)
        if isinstance(status, int):
            return status not in _CLIENT_ERRORS or status in _PASSING
    return True


def refused_feature(error: BaseException, request: Request) -> Feature | None:
    """The part of a request the provider says the model does not take; None if the error is about something else."""
    for cause in causes(error):
        if status_of(cause) in _INVALID:
            parameter: Any = getattr(cause, "param", None)
            message = str(cause)
            for feature in _features(request):
                named = isinstance(parameter, str) and _NAMES[feature].search(parameter)
                if named or (_NAMES[feature].search(message) and _NOT_TAKEN.search(message)):
                    return feature
    return None


def describe(error: BaseException) -> str:
    """An error on one line of bounded length."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def _features(request: Request) -> list[Feature]:
    """What a request carries of what can be left out."""
    features: list[Feature] = []
    if request.partial_answer:
        features.append("partial answer")
    if request.stop:
        features.append("stop")
    if request.max_tokens is not None:
        features.append("max_tokens")
    return features


_LOG = logging.getLogger(__name__)

_NO_SLIP = 2
"""Replies that begin anew, from which on the server is believed to close the turn."""


class Quirks:
    """What one model does not take; every run that asks the model shares the object.

    Which models continue a partial answer, take stop sequences or a length limit changes with every release,
    and no API tells. So a run sends what helps, and what the provider refuses (HTTP 400) is left out from
    then on: the refused request is sent again without it, and costs neither the answer nor a retry. A server
    that closes the turn of a partial answer refuses nothing: it is known by replies that begin anew.

    Args:
        model: What the model is called in the log.

    Attributes:
        begins_in_thought: Whether its texts begin inside a thought that its prompt has opened.
    """

    def __init__(self, model: str = "the model") -> None:
        self._model = model
        self._refused: set[Feature] = set()
        self._gives_reasons = False
        self._went_on = self._began_anew = 0
        self.begins_in_thought = False

    def refuses(self, feature: Feature) -> bool:
        """Whether the model is known not to take something."""
        return feature in self._refused

    def breaks_off(self, finish_reason: str | None) -> bool:
        """Whether an answer without a reason for its end is half of one: the model is known to give reasons."""
        self._gives_reasons = self._gives_reasons or finish_reason is not None
        return finish_reason is None and self._gives_reasons

    def replied(self, *, goes_on: bool | None) -> None:
        """A reply to a partial answer is there: it goes on with it, begins anew, or None where nobody can tell.

        Partial answers are left out once most replies begin anew; a single one may be a slip of the model.
        """
        self._went_on += goes_on is True
        self._began_anew += goes_on is False
        if self._began_anew >= _NO_SLIP and self._began_anew > self._went_on:
            self.refuse("partial answer")

    def learn(self, error: BaseException, request: Request) -> bool:
        """Read a failure; True if the request can be sent again without what the model does not take."""
        feature = refused_feature(error, request)
        if feature is None:
            return False
        self.refuse(feature)
        return True

    def refuse(self, feature: Feature) -> None:
        """Remember that the model does not take something, or does not manage it."""
        if feature not in self._refused:
            _LOG.info("%s does not take %s; leaving it out from now on.", self._model, feature)
        self._refused.add(feature)


_KNOWN: dict[str, Quirks] = {}


def quirks_of(model: str) -> Quirks:
    """What is known of a model in this process, by any name that identifies it."""
    return _KNOWN.setdefault(model, Quirks(model))
