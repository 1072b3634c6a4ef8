"""One request on its way to an answer: the reply, cut to what request and fault allow, and its pace."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Literal

from skeleton_of_thought.fake_server.answers import FakeReply, ToolCall
from skeleton_of_thought.fake_server.request import split

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncIterator, Callable

    from skeleton_of_thought.fake_server.faults import Fault
    from skeleton_of_thought.fake_server.ledger import Entry
    from skeleton_of_thought.fake_server.prompt_cache import Lookup
    from skeleton_of_thought.fake_server.request import ChatRequest

Finish = Literal["stop", "stop_sequence", "length", "refusal", "content_filter", "tool_calls"]
_REFUSAL = "I'm sorry, but I can't help with that."


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast the server writes.

    Attributes:
        first_token: Seconds from a request's arrival to its first token.
        per_token: Seconds from each token to the next. The times are kept from the first token on, so that a
            busy machine delivers late tokens together and the whole answer still ends on time.
        spread: How much both times differ from request to request: the standard deviation of their logarithm,
            around the times above as medians. With 0.3 one request in six is a third slower or more.
    """

    first_token: float = 0.0
    per_token: float = 0.0
    spread: float = 0.0

    def of_one(self, draw: random.Random) -> Pace:
        """The times of one request."""
        return Pace(
            self.first_token * draw.lognormvariate(0, self.spread),
            self.per_token * draw.lognormvariate(0, self.spread),
        )


@dataclass(frozen=True, slots=True)
class PlannedAnswer:
    """An answer about to be sent.

    Attributes:
        request: What was asked.
        entry: Its line in the ledger.
        lookup: What the prompt cache does for it.
        thinking: Tokens of thought before the answer.
        tokens: Tokens of the answer, or of the arguments of its tool calls, one call after the other.
        finish: Why it ends.
        stop_sequence: The stop text that ended it.
        fault: What goes wrong on the way.
        pace: How fast it goes.
        waited: Seconds from its arrival until it had a slot.
        calls: The tools it calls instead of saying something.
    """

    request: ChatRequest
    entry: Entry
    lookup: Lookup
    thinking: tuple[str, ...]
    tokens: tuple[str, ...]
    finish: Finish
    stop_sequence: str | None
    fault: Fault | None
    pace: Pace
    waited: float = 0.0
    calls: tuple[ToolCall, ...] = ()

    def call_of(self, place: int) -> int:
        """Which tool call a token belongs to."""
        ends = accumulate(len(split(call.arguments)) for call in self.calls)
        return next(index for index, end in enumerate(ends) if place < end)

    def arguments(self, index: int) -> str:
        """The JSON of a tool call's arguments, as far as the length limit lets it come."""
        return "".join(token for place, token in enumerate(self.tokens) if self.call_of(place) == index)

    @property
    def length(self) -> int:
        """Tokens to write, thinking included: what is billed as output."""
        return len(self.thinking) + len(self.tokens)

    @property
    def breaks_at(self) -> int | None:
        """After how many tokens a fault acts in mid-answer; None if none does."""
        if self.fault is None or self.fault.kind not in {"stall", "reset", "stream_error", "invalid_json"}:
            return None
        return min(self.fault.after_tokens, self.length)

    @property
    def starts(self) -> float:
        """When the first token is due, on `time.monotonic()`'s clock."""
        slow = self.fault.seconds if self.fault is not None and self.fault.kind == "slow_first_token" else 0.0
        return self.entry.arrived + self.waited + self.pace.first_token + slow

    def due_by(self, moment: float) -> int:
        """How many tokens are written by a moment."""
        if moment < self.starts:
            return 0
        if not self.pace.per_token:
            return self.length
        return min(self.length, int((moment - self.starts) / self.pace.per_token) + 1)

    async def ticks(self) -> AsyncIterator[int]:
        """Wait for the tokens; each value is how many are ready by then.

        Streamed answers tick with every token (or several, when late), others with the first and the last; an
        empty answer ticks once, at zero.
        """
        await _until(self.starts)
        ready = min(1, self.length)
        while True:
            ready = max(ready, self.due_by(time.monotonic()))
            yield ready
            if ready >= self.length:
                return
            ready = ready + 1 if self.request.stream else self.length
            await _until(self.starts + (ready - 1) * self.pace.per_token)


def plan(
    request: ChatRequest,
    *,
    entry: Entry,
    lookup: Lookup,
    answer: Callable[[ChatRequest], FakeReply | str],
    fault: Fault | None,
    pace: Pace,
) -> PlannedAnswer:
    """Write the answer to a request, and cut it where `stop`, `max_tokens` or the fault ends it."""
    reply = answer(request)
    if isinstance(reply, str):
        reply = FakeReply(reply)
    text, stop_sequence = _until_stop(reply.text, request.stop)
    thinking, tokens = split(reply.thinking), split(text)
    finish: Finish = "stop" if stop_sequence is None else "stop_sequence"
    calls = reply.tool_calls
    if calls:
        tokens = [token for call in calls for token in split(call.arguments)]
        finish, stop_sequence = "tool_calls", None
    kind = fault.kind if fault else None
    if kind == "empty":
        thinking, tokens, calls = [], [], ()
    elif kind == "refusal":
        calls, thinking, tokens, finish = (
            (),
            [],
            split(_REFUSAL) if request.api == "openai" else [],
            "refusal",
        )
    elif kind in {"truncated", "content_filter"} and fault:
        tokens, finish = tokens[: fault.after_tokens], "length" if kind == "truncated" else "content_filter"
    limit = request.max_tokens
    if limit is not None and len(thinking) + len(tokens) > limit:
        tokens, thinking = tokens[: max(0, limit - len(thinking))], thinking[:limit]
        finish, stop_sequence = "length", None
    return PlannedAnswer(
        request=request,
        entry=entry,
        lookup=lookup,
        thinking=tuple(thinking),
        tokens=tuple(tokens),
        finish=finish,
        stop_sequence=stop_sequence,
        fault=fault,
        pace=pace,
        calls=calls,
    )


def _until_stop(text: str, stops: tuple[str, ...]) -> tuple[str, str | None]:
    places = [(text.index(stop), stop) for stop in stops if stop and stop in text]
    if not places:
        return text, None
    place, stop = min(places)
    return text[:place], stop


async def _until(moment: float) -> None:
    wait = moment - time.monotonic()
    if wait > 0:
        await asyncio.sleep(wait)
