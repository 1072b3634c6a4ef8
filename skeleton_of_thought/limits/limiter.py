"""One limiter for everything a process sends: nested batches, questions, chains, threads and event loops."""

from __future__ import annotations

import asyncio
import math
import random
import threading
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Self

from skeleton_of_thought.errors import ConfigurationError, LongWaitError
from skeleton_of_thought.limits.admission import Admission, Ticket
from skeleton_of_thought.limits.congestion import LONGEST_PAUSE
from skeleton_of_thought.limits.gate import Gate
from skeleton_of_thought.limits.slot import Slot
from skeleton_of_thought.limits.store import SharedQuota
from skeleton_of_thought.provider_errors import describe, is_refusal, retry_after_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Hashable, Iterator

    from skeleton_of_thought.limits.patience import Patience


class Limiter:
    """Holds back requests until they fit the provider's limits.

    The same object serves any number of threads and event loops at once. Who does not fit waits in a queue,
    without polling, and is woken when a request ends or a window has moved on; waiting keys take turns. A 429
    pauses everybody (for the time the provider names, at most `longest_pause`, else with exponential, jittered
    backoff), says so in the log of `skeleton_of_thought.limits` where it takes seconds, and cuts the
    concurrency, by half in a storm and by a tenth if it was one among many; successes let it grow back.

    Existing libraries count well but do not queue fairly across threads and event loops, nor correct an
    estimate afterwards; so the queue and the windows are our own, and only counting across processes is left
    to `limits`.

    Args:
        max_concurrency: Requests on their way at once; None for no limit (until a 429).
        requests_per_minute: Requests in any window of a minute.
        tokens_per_minute: Tokens in any window of a minute, prompt and answer: estimated before, corrected by
            `Slot.settle`.
        count_cached: Whether tokens read from a prompt cache count, as with OpenAI; False for Anthropic.
        window: Length of the "minute" in seconds.
        longest_pause: Seconds nobody is stopped for longer by one refusal, whatever it says; then the next request
            tries again.
        store: URL of a store that `limits` knows (`redis://`, `valkey://`, `mongodb://`) to share requests
            and tokens per minute with other processes; needs the extra `limits`. Waiting for other processes
            is not fair.
        name: What the limiter is called in the store; limiters of one name share.

    Raises:
        ConfigurationError: A limit is below 1, or a store is given with nothing to share in it.
        MissingExtraError: A store is given and `limits` is not installed.

    Example:
        >>> from skeleton_of_thought.limits import Limiter
        >>> from skeleton_of_thought.usage import Usage
        >>> limiter = Limiter(max_concurrency=8, requests_per_minute=500, tokens_per_minute=200_000)
        >>> with limiter.slot(tokens=900, key="question 1") as slot:
        ...     slot.settle(Usage(input_tokens=700, output_tokens=85))  # what the provider reported
        >>> limiter.load < 0.01
        True
    """

    _shared: ClassVar[dict[str, tuple[Limiter, dict[str, Any]]]] = {}
    _shared_lock: ClassVar[threading.Lock] = threading.Lock()

    def __init__(
        self,
        *,
        max_concurrency: int | None = None,
        requests_per_minute: int | None = None,
        tokens_per_minute: int | None = None,
        count_cached: bool = True,
        window: float = 60.0,
        longest_pause: float = LONGEST_PAUSE,
        store: str | None = None,
        name: str = "default",
    ) -> None:
        limits = {
            "max_concurrency": max_concurrency,
            "requests_per_minute": requests_per_minute,
            "tokens_per_minute": tokens_per_minute,
        }
        for option, value in limits.items():
            if value is not None and value < 1:
                raise ConfigurationError(f"{option} is {value}; use a number of at least 1, or leave it out.")
        if not 0 < window < math.inf:
            raise ConfigurationError(
                f"window is {window}; use the seconds of the provider's window, usually 60."
            )
        if not 0 <= longest_pause < math.inf:
            raise ConfigurationError(
                f"longest_pause is {longest_pause}; use a finite number of seconds of at least 0."
            )
        if store is not None and requests_per_minute is None and tokens_per_minute is None:
            raise ConfigurationError(
                "A store shares requests_per_minute and tokens_per_minute; give one of them with it."
            )
        self.name = name
        self._count_cached = count_cached
        admission = Admission(
            max_concurrency=max_concurrency,
            requests=requests_per_minute,
            tokens=tokens_per_minute,
            seconds=window,
            jitter=random.random,
            longest_pause=longest_pause,
        )
        self._gate = Gate(admission)
        self._quota = (
            None
            if store is None
            else SharedQuota(
                store, name=name, requests=requests_per_minute, tokens=tokens_per_minute, seconds=window
            )
        )

    @classmethod
    def shared(cls, name: str, **options: Any) -> Limiter:
        """The limiter of this name for the whole process; made at first use.

        Args:
            name: Any name, such as the provider and the account.
            **options: Those of the constructor; may be left out once the limiter exists.

        Raises:
            ConfigurationError: It exists with other options.
        """
        with cls._shared_lock:
            if name not in cls._shared:
                cls._shared[name] = (cls(name=name, **options), options)
            limiter, given = cls._shared[name]
        if options and options != given:
            raise ConfigurationError(
                f"Limiter {name!r} exists with {given}, not with {options}; "
                "leave the options out or use another name."
            )
        return limiter

    @property
    def load(self) -> float:
        """Share of the scarcest limit that is used or waited for: 0 idle; 1 full, or paused after a 429."""
        return self._gate.load

    @property
    def running(self) -> int:
        """Requests on their way."""
        return self._gate.running

    @property
    def waiting(self) -> int:
        """Requests held back."""
        return self._gate.waiting

    def __copy__(self) -> Self:
        """The limiter itself: a copied chain has the same budget."""
        return self

    def __deepcopy__(self, memo: object) -> Self:
        """The limiter itself: a copied chain has the same budget."""
        return self

    def __repr__(self) -> str:
        return f"Limiter({self.name!r}, running={self.running}, waiting={self.waiting}, load={self.load:.2f})"

    def back_off(
        self, retry_after: float | None = None, *, sent: float, error: BaseException | None = None
    ) -> None:
        """The provider refused a request that was sent without a slot: everybody pauses.

        Args:
            retry_after: Seconds the provider asks to wait; None for backoff.
            sent: When it was sent, on `time.monotonic()`'s clock; refusals of one moment are one storm.
            error: What the provider said, for those who give up waiting.
        """
        self._gate.refused(Ticket(0, None, lambda: None, sent=sent), retry_after, error)

    @contextmanager
    def slot(
        self, *, tokens: int = 0, key: Hashable = None, patience: Patience | None = None
    ) -> Iterator[Slot]:
        """Wait for a turn and hold it; for threads.

        Args:
            tokens: What the request will probably use, prompt and answer together.
            key: Whose request it is, such as a question's id; keys take turns.
            patience: How long it may wait for a pause after a refusal to end; None for ever.

        Yields:
            The slot. A 429 or 529 that leaves the block as an exception counts as `Slot.rate_limited`.

        Raises:
            LongWaitError: The provider refuses requests for longer than that.
        """
        woken = threading.Event()
        ticket = Ticket(tokens, key, woken.set, patience=patience)
        with self._held(ticket) as slot:
            if not self._gate.ask(ticket) and ticket.error is None:
                woken.wait()
            _check(ticket)
            if self._quota is None:
                yield slot
                return
            share = self._quota.take(tokens)
            try:
                yield slot
            finally:
                self._quota.amend(share, slot.used)

    @asynccontextmanager
    async def aslot(
        self, *, tokens: int = 0, key: Hashable = None, patience: Patience | None = None
    ) -> AsyncIterator[Slot]:
        """The same for event loops, any number of them."""
        loop = asyncio.get_running_loop()
        woken = loop.create_future()
        ticket = Ticket(tokens, key, _waker(woken), patience=patience)
        with self._held(ticket) as slot:
            if not self._gate.ask(ticket) and ticket.error is None:
                await woken
            _check(ticket)
            if self._quota is None:
                yield slot
                return
            share = await self._quota.take_async(tokens)
            try:
                yield slot
            finally:
                loop.run_in_executor(None, self._quota.amend, share, slot.used)

    @contextmanager
    def _held(self, ticket: Ticket) -> Iterator[Slot]:
        """See to it that a ticket ends exactly once, however its block is left."""
        slot = Slot(self._gate, ticket, count_cached=self._count_cached)
        succeeded = False
        try:
            yield slot
            succeeded = not slot.refused
        except LongWaitError:  # nothing was sent
            slot.unused()
            raise
        except BaseException as error:
            if is_refusal(error):
                slot.rate_limited(retry_after_of(error), error)
            raise
        finally:
            self._gate.end(ticket, succeeded=succeeded)


def _check(ticket: Ticket) -> None:
    """Raise the error of a ticket that gave up waiting."""
    if ticket.error is not None:
        assert ticket.patience is not None
        raise LongWaitError(
            f"The provider refuses requests for longer than the {ticket.patience.longest:g} s an answer waits in "
            f"all (longest_wait): {describe(ticket.error)}"
        ) from ticket.error


def _waker(woken: asyncio.Future[None]) -> Callable[[], None]:
    """A function that wakes a coroutine from any thread.

    Raises (when called):
        RuntimeError: Its event loop is closed.
    """
    loop, home = woken.get_loop(), threading.get_ident()

    def resolve() -> None:
        if not woken.done():
            woken.set_result(None)

    def wake() -> None:
        if threading.get_ident() == home:
            resolve()
        else:
            loop.call_soon_threadsafe(resolve)

    return wake
