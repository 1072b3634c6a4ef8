"""What an error of a model call says: whether it may pass, and what the model was asked that it does not take."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal

from skeleton_of_thought.errors import ConfigurationError, ContextOverflowError
from skeleton_of_thought.limits.refusals import causes, status_of

if TYPE_CHECKING:
    from skeleton_of_thought.request import Request

Feature = Literal["partial answer", "stop", "max_tokens"]
"""A part of a request that some models refuse, and that an answer can do without."""

_CLIENT_ERRORS = range(400, 500)
_PASSING = {408, 409, 425, 429}
"""Client errors after which the same request may succeed."""

_USED_UP = {"insufficient_quota", "billing_hard_limit_reached"}
"""OpenAI's codes for a 429 that no waiting ends."""

_INVALID = {400, 422}
_NAMES: dict[Feature, re.Pattern[str]] = {
    "partial answer": re.compile(
        r"prefill|must end with a user message|last message[^.]*(?:role|assistant|user)", re.IGNORECASE
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
    if isinstance(error, (ConfigurationError, ContextOverflowError)):
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
    if request.stage != "direct" and request.messages[-1].role == "assistant":
        features.append("partial answer")
    if request.stop:
        features.append("stop")
    if request.max_tokens is not None:
        features.append("max_tokens")
    return features
