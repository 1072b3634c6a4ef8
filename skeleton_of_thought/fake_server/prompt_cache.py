"""Prompt caches: what a provider remembers of the prompts it has begun to answer.

An entry can be read from the moment the request that writes it begins to answer, not before: requests sent
together all miss. Both providers cache nothing below 1,024 tokens.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skeleton_of_thought.fake_server.request import split

if TYPE_CHECKING:
    from collections.abc import Iterator

    from skeleton_of_thought.fake_server.request import ChatRequest

MINIMUM = 1024
STEP = 128
LOOKBACK = 20
_OPENAI_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Lookup:
    """What the cache does for one request.

    Attributes:
        read: Tokens of the prompt found in the cache.
        written: Tokens of the prompt that this request puts there and that are billed for it (Anthropic
            only).
        entries: The keys to store once the answer begins, with the seconds each lives.
    """

    read: int = 0
    written: int = 0
    entries: tuple[tuple[str, float], ...] = ()


class PromptCache:
    """The cache of one server; used from its event loop only."""

    def __init__(self) -> None:
        self._expiry: dict[str, float] = {}

    def look_up(self, request: ChatRequest) -> Lookup:
        """What of the request's prompt is known, and what it would add."""
        if request.input_tokens < MINIMUM:
            return Lookup()
        return self._automatic(request) if request.api == "openai" else self._explicit(request)

    def store(self, lookup: Lookup) -> None:
        """Make a request's entries readable: call it when the first token goes out."""
        now = time.monotonic()
        for key, seconds in lookup.entries:
            self._expiry[key] = now + seconds

    def clear(self) -> None:
        """Forget everything."""
        self._expiry.clear()

    def _known(self, key: str) -> bool:
        return self._expiry.get(key, 0.0) > time.monotonic()

    def _automatic(self, request: ChatRequest) -> Lookup:
        """OpenAI: every prompt, in steps of 128 tokens from 1,024 on.

        Requests with different `prompt_cache_key` never share an entry: the worst case of being sent to
        different machines.
        """
        read, entries = 0, []
        for length, key in _prefixes(request):
            if self._known(key):
                read = length
            entries.append((key, _OPENAI_SECONDS))
        return Lookup(read=read, entries=tuple(entries))

    def _explicit(self, request: ChatRequest) -> Lookup:
        """Anthropic: up to the last breakpoint; a hit may end at most 20 blocks before a breakpoint."""
        digest = hashlib.sha256(request.model.encode())
        ends: list[tuple[int, str]] = []  # (tokens, key) of the prompt up to the end of each block
        total = 0
        for block in request.blocks:
            digest.update(f"\x00{block.role}\x01{block.text}".encode())
            total += block.tokens
            ends.append((total, digest.hexdigest()))
        marked = [
            place
            for place, block in enumerate(request.blocks)
            if block.cached_for and ends[place][0] >= MINIMUM
        ]
        if not marked:
            return Lookup()
        read = max(
            (
                tokens
                for place in marked
                for tokens, key in ends[max(0, place - LOOKBACK) : place + 1]
                if self._known(key)
            ),
            default=0,
        )
        entries = tuple((ends[place][1], request.blocks[place].cached_for or 0.0) for place in marked)
        return Lookup(read=read, written=ends[marked[-1]][0] - read, entries=entries)


def _prefixes(request: ChatRequest) -> Iterator[tuple[int, str]]:
    """Length and key of every prefix of the prompt that OpenAI would cache."""
    digest = hashlib.sha256(f"{request.model}\x00{request.body.get('prompt_cache_key')}".encode())
    tokens: list[str] = []
    for block in request.blocks:
        text = split(block.text)
        frame = max(0, block.tokens - len(text))
        tokens += [f"<{block.role}>"] * frame + text
    for length in range(STEP, len(tokens) + 1, STEP):
        digest.update("\x00".join(tokens[length - STEP : length]).encode())
        if length >= MINIMUM:
            yield length, digest.hexdigest()
