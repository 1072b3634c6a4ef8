"""Errors in OpenAI's shape, with the status a client expects."""

from __future__ import annotations

from typing import Any

from skeleton_of_thought.errors import (
    ConfigurationError,
    ContextOverflowError,
    DeadlineError,
    EngineClosedError,
    QueueFullError,
)
from skeleton_of_thought.provider_errors import causes, retry_after_of, status_of

_TYPES = {
    401: "authentication_error",
    404: "not_found_error",
    429: "rate_limit_error",
    503: "overloaded_error",
}
_PASSED_ON = {400, 404, 409, 413, 415, 422, 429, 529}
"""Answers of the upstream that are about the caller's request; others, its key above all, are the server's affair."""


class Problem(Exception):  # noqa: N818 - it is the answer to a request, thrown to where answers are written
    """Why a request is not answered.

    Attributes:
        status: HTTP status.
        message: For the person in front of the client.
        param: The field it is about.
        code: OpenAI's code for it, where there is one.
        retry_after: Seconds after which the same request may succeed.
    """

    def __init__(
        self,
        status: int,
        message: str,
        param: str | None = None,
        code: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.param = param
        self.code = code
        self.retry_after = retry_after

    def to_dict(self) -> dict[str, Any]:
        """The body of the response."""
        server = self.status >= 500  # noqa: PLR2004
        kind = _TYPES.get(self.status, "server_error" if server else "invalid_request_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}


def problem_of(error: BaseException) -> Problem:  # noqa: PLR0911 - one kind of error after the other
    """What an exception of a run means for the caller."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, ContextOverflowError):
        return Problem(400, str(error), "messages", "context_length_exceeded")
    if isinstance(error, ConfigurationError):
        return Problem(400, str(error))
    if isinstance(error, DeadlineError):
        return Problem(504, str(error), code="timeout")
    if isinstance(error, (QueueFullError, EngineClosedError)):
        return Problem(503, str(error), retry_after=1.0)
    for cause in causes(error):
        status = status_of(cause)
        if isinstance(status, int):
            told = _told(cause)
            if status in _PASSED_ON:
                return Problem(
                    status, told["message"], told.get("param"), told.get("code"), retry_after_of(error)
                )
            return Problem(502, f"The upstream answered {status}.", code="upstream_error")
    return Problem(502, f"The upstream failed: {type(error).__name__}.", code="upstream_error")


def _told(error: BaseException) -> dict[str, Any]:
    """The upstream's own words, of which only strings are believed."""
    body: Any = getattr(error, "body", None)
    inner = body.get("error", body) if isinstance(body, dict) else {}
    told = (
        {name: value for name, value in inner.items() if isinstance(value, str)}
        if isinstance(inner, dict)
        else {}
    )
    return {"message": " ".join(str(error).split())[:1000], **told}
