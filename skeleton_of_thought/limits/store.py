"""Requests and tokens per minute, counted together with other processes in a store they all reach."""

from __future__ import annotations

import asyncio
import math
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skeleton_of_thought.errors import require

if TYPE_CHECKING:
    from limits.storage import Storage

_PARTS = 12


@dataclass(frozen=True, slots=True)
class Share:
    """What was taken: so many tokens in one part of the window."""

    part: int
    tokens: int


class SharedQuota:
    """A sliding window in a store of the library `limits`.

    The window is counted in twelfths, the running one and the twelve before it, so that no window of
    `seconds` ever holds more than the limit and at most a twelfth goes unused. (The library's own strategies
    store one entry per token, or approximate, or cannot take an estimate back.)
    """

    def __init__(
        self, url: str, *, name: str, requests: int | None, tokens: int | None, seconds: float
    ) -> None:
        storages = require("limits.storage", extra="limits", needed_for="Sharing limits between processes")
        self._storage: Storage = storages.storage_from_string(url)
        self._name = name
        self._limits = {"requests": requests, "tokens": tokens}
        self._width = seconds / _PARTS
        self._expiry = math.ceil(seconds + 2 * self._width)

    def take(self, tokens: int) -> Share:
        """Wait until a request with so many tokens fits, and take it."""
        while isinstance(result := self._attempt(tokens), float):
            time.sleep(result)
        return result

    async def take_async(self, tokens: int) -> Share:
        """The same without blocking the event loop."""
        while True:
            attempt = asyncio.ensure_future(asyncio.to_thread(self._attempt, tokens))
            try:
                result = await asyncio.shield(attempt)
            except asyncio.CancelledError:
                attempt.add_done_callback(self._give_back)
                raise
            if isinstance(result, Share):
                return result
            await asyncio.sleep(result)

    def amend(self, share: Share, tokens: int) -> None:
        """Correct the tokens of a share to what was really used."""
        if self._limits["tokens"] is not None and tokens != share.tokens:
            self._add("tokens", share.part, tokens - share.tokens)

    def _attempt(self, tokens: int) -> Share | float:
        """Take, or say how many seconds to wait before trying again."""
        now = time.time()
        part = int(now // self._width)
        taken: list[tuple[str, int]] = []
        for kind, amount in (("requests", 1), ("tokens", tokens)):
            limit = self._limits[kind]
            if limit is None:
                continue
            amount_counted = min(amount, limit)
            taken.append((kind, amount))
            before = self._add(kind, part, amount) - amount
            before += sum(self._storage.get(self._key(kind, part - back)) for back in range(1, _PARTS + 1))
            if before + amount_counted > limit:
                for undone, undone_amount in taken:
                    self._add(undone, part, -undone_amount)
                return (part + 1) * self._width - now + random.uniform(0, 0.1) * self._width
        return Share(part, tokens)

    def _give_back(self, attempt: asyncio.Future[Share | float]) -> None:
        share = None if attempt.cancelled() or attempt.exception() else attempt.result()
        if isinstance(share, Share):
            self.amend(share, 0)
            if self._limits["requests"] is not None:
                self._add("requests", share.part, -1)

    def _add(self, kind: str, part: int, amount: int) -> int:
        return self._storage.incr(self._key(kind, part), self._expiry, amount)

    def _key(self, kind: str, part: int) -> str:
        return f"skeleton-of-thought/{self._name}/{kind}/{part}"
