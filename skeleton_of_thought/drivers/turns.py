"""When a run's requests may be sent: each waits for its turn, and gives it back when it is answered."""

from __future__ import annotations

from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from skeleton_of_thought.limits import Limiter, Patience, is_refusal, retry_after_of
from skeleton_of_thought.usage import CHARACTERS_PER_TOKEN, NO_USAGE, Usage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from skeleton_of_thought.limits import Slot
    from skeleton_of_thought.request import Request

ANSWER_TOKENS = 300
"""What an answer without a length limit is expected to take, until its usage is known."""


def estimate(request: Request) -> int:
    """Tokens a request will probably use: a quarter of its characters, and the longest answer it allows."""
    characters = sum(len(message.text) for message in request.messages)
    return characters // CHARACTERS_PER_TOKEN + (request.max_tokens or ANSWER_TOKENS)


class Turn:
    """The right to send one request, under every limit that applies to it."""

    def __init__(self, slots: Sequence[Slot]) -> None:
        self._slots = slots
        self._usage = Usage()

    def add(self, usage: Usage) -> None:
        """The provider reported these tokens more; a request without a report keeps its estimate."""
        if usage == NO_USAGE:
            return
        self._usage += usage
        if self._usage.total_tokens:
            for slot in self._slots:
                slot.settle(self._usage)

    def unused(self) -> None:
        """Nobody wants the answer any more, and nothing was sent."""
        for slot in self._slots:
            slot.unused()


class Turns:
    """The turns of one run.

    Args:
        limiters: What every request has to pass; None is none. Without one, a limiter of the run's own, which limits
            nothing until a provider refuses a request (429 or 529); then it waits as long as the provider
            says, else with growing pauses, and lets fewer requests through at once.
        longest_wait: Seconds the run waits in all for a provider that refuses requests; then a turn raises
            `LongWaitError`.
    """

    def __init__(self, *limiters: Limiter | None, longest_wait: float = 60.0) -> None:
        self._patience = Patience(longest_wait)
        self._limiters = tuple(each for each in limiters if each is not None) or (Limiter(),)

    @contextmanager
    def turn(self, request: Request) -> Iterator[Turn]:
        """Wait for a turn and hold it; for threads. A refusal that leaves the block makes all others wait."""
        tokens = estimate(request)
        with ExitStack() as stack:
            limiters = self._limiters_of(request)
            yield Turn(
                [
                    stack.enter_context(each.slot(tokens=tokens, key=self, patience=self._patience))
                    for each in limiters
                ]
            )

    @asynccontextmanager
    async def aturn(self, request: Request) -> AsyncIterator[Turn]:
        """The same for event loops."""
        tokens = estimate(request)
        async with AsyncExitStack() as stack:
            yield Turn(
                [
                    await stack.enter_async_context(
                        each.aslot(tokens=tokens, key=self, patience=self._patience)
                    )
                    for each in self._limiters_of(request)
                ]
            )

    def _limiters_of(self, request: Request) -> tuple[Limiter, ...]:
        """A router is no request to the model; one that sends some waits by itself."""
        return () if request.stage == "route" else self._limiters

    def notice(self, outcomes: Sequence[object], *, sent: float) -> None:
        """Learn of refusals among requests that were sent together, without turns.

        Args:
            outcomes: What came back; everything but a refusal is ignored.
            sent: When they were sent, on `time.monotonic()`'s clock.
        """
        for outcome in outcomes:
            if isinstance(outcome, BaseException) and is_refusal(outcome):
                for limiter in self._limiters:
                    limiter.back_off(retry_after_of(outcome), sent=sent, error=outcome)
