"""A provider's rate limits: what fits into the last minute, and what its headers say about it."""

from __future__ import annotations

import math
import time
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from skeleton_of_thought.fake_server.errors import ErrorResponse, RejectedError

if TYPE_CHECKING:
    from skeleton_of_thought.fake_server.request import Api


@dataclass(frozen=True, slots=True)
class Quota:
    """What an account may do; None is no limit.

    Attributes:
        requests_per_minute: Accepted requests in any window.
        tokens_per_minute: Tokens of accepted requests in any window, prompt and answer together.
        count_cached: Whether prompt tokens read from a cache count, as with OpenAI; with Anthropic they do
            not.
        max_concurrent: Requests being answered at once; one more is refused with 429.
        requests_per_connection: The server closes a kept-alive connection after so many requests.
        window: Seconds of the "minute"; shorter in tests.
    """

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    count_cached: bool = True
    max_concurrent: int | None = None
    requests_per_connection: int | None = None
    window: float = 60.0


class Meter:
    """Counts one server's accepted requests against its quota, in a sliding window."""

    def __init__(self) -> None:
        self._accepted: deque[tuple[float, int]] = deque()  # (when, tokens), oldest first
        self._tokens = 0
        self.running = 0

    def admit(self, quota: Quota, tokens: int) -> None:
        """Count a request with its tokens, those of the answer it will get included.

        Raises:
            RejectedError: With status 429 and Retry-After: it does not fit.
        """
        now = time.monotonic()
        self._forget(now - quota.window)
        if quota.max_concurrent is not None and self.running >= quota.max_concurrent:
            raise _refused("Number of concurrent connections has exceeded your rate limit.", wait=None)
        wait = max(self._wait_for_request(quota, now), self._wait_for_tokens(quota, tokens, now))
        if wait > 0:
            raise _refused("Rate limit reached. Please try again later.", wait=wait)
        self._accepted.append((now, tokens))
        self._tokens += tokens

    def headers(self, quota: Quota, api: Api) -> dict[str, str]:
        """The rate limit headers of a response."""
        now = time.monotonic()
        self._forget(now - quota.window)
        free_in = max(0.0, self._accepted[0][0] + quota.window - now) if self._accepted else 0.0
        shown: dict[str, str] = {}
        for name, limit, used in (
            ("requests", quota.requests_per_minute, len(self._accepted)),
            ("tokens", quota.tokens_per_minute, self._tokens),
        ):
            if limit is None:
                continue
            left = max(0, limit - used)
            if api == "openai":
                values = {"limit": str(limit), "remaining": str(left), "reset": f"{free_in:.3f}s"}
                shown |= {f"x-ratelimit-{key}-{name}": value for key, value in values.items()}
            else:
                reset = (datetime.now(UTC) + timedelta(seconds=free_in)).strftime("%Y-%m-%dT%H:%M:%SZ")
                values = {"limit": str(limit), "remaining": str(left), "reset": reset}
                shown |= {f"anthropic-ratelimit-{name}-{key}": value for key, value in values.items()}
        return shown

    def clear(self) -> None:
        """Forget what was accepted."""
        self._accepted.clear()
        self._tokens = 0

    def _forget(self, before: float) -> None:
        while self._accepted and self._accepted[0][0] <= before:
            self._tokens -= self._accepted.popleft()[1]

    def _wait_for_request(self, quota: Quota, now: float) -> float:
        limit = quota.requests_per_minute
        if limit is None or len(self._accepted) < limit:
            return 0.0
        return self._accepted[len(self._accepted) - limit][0] + quota.window - now

    def _wait_for_tokens(self, quota: Quota, tokens: int, now: float) -> float:
        limit = quota.tokens_per_minute
        if limit is None or self._tokens + tokens <= limit:
            return 0.0
        excess = self._tokens + tokens - limit
        for when, spent in self._accepted:
            excess -= spent
            if excess <= 0:
                return when + quota.window - now
        return quota.window  # larger than the whole quota: never fits


def _refused(message: str, *, wait: float | None) -> RejectedError:
    headers = (
        {}
        if wait is None
        else {"retry-after": str(max(1, math.ceil(wait))), "retry-after-ms": f"{wait * 1000:.0f}"}
    )
    return RejectedError(ErrorResponse(429, message, code="rate_limit_exceeded", headers=headers))
