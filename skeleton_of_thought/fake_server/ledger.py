"""Every request a server saw: the truth a bill is compared with."""

from __future__ import annotations

import threading
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from skeleton_of_thought.fake_server.answers import StageKind, stage_of
from skeleton_of_thought.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from skeleton_of_thought.fake_server.faults import FaultKind
    from skeleton_of_thought.fake_server.request import Api, ChatRequest

Outcome = Literal["running", "answered", "refused", "broken", "disconnected"]


@dataclass(slots=True)
class Entry:
    """One request, from arrival to end; filled in while it is answered.

    Attributes:
        number: Place in the order of arrival, from 0.
        api: Whose wire format.
        model: The model asked for.
        client: Address and port of the connection.
        stage: What the request was taken for.
        stream: Whether it was streamed.
        prompt_hash: Equal prompts have equal hashes.
        arrived: When the whole request was there, on `time.monotonic()`'s clock (one clock for all processes
            of a machine, on Linux).
        first_token: When the first token was ready; None if none was.
        ended: When the last byte went out, or the client had gone; None while it runs.
        outcome: `"answered"` (complete, as far as HTTP is concerned), `"refused"` (an error status),
            `"broken"` (a fault in mid-answer) or `"disconnected"` (the client left).
        status: HTTP status, 0 if none was sent.
        finish: Why the answer ended, in the provider's word.
        fault: The fault that was played.
        input_tokens: Prompt tokens, cached ones included; 0 if refused.
        output_tokens: Tokens written, thinking included, whether or not the client still read them.
        cache_read_tokens: Part of `input_tokens`.
        cache_write_tokens: Part of `input_tokens`, Anthropic only.
        reported: Whether the complete usage was sent to the client; what was written before a break never is.
        prompt: The prompt's text.
        text: The answer's text as far as written.
    """

    number: int
    api: Api
    model: str
    client: str
    stage: StageKind
    stream: bool
    prompt_hash: str
    arrived: float
    prompt: str
    first_token: float | None = None
    ended: float | None = None
    outcome: Outcome = "running"
    status: int = 0
    finish: str | None = None
    fault: FaultKind | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reported: bool = False
    text: str = ""

    @property
    def usage(self) -> Usage:
        """The tokens of this request."""
        return Usage(self.input_tokens, self.output_tokens, self.cache_read_tokens, self.cache_write_tokens)

    def to_json(self, *, texts: bool = False) -> dict[str, Any]:
        """The entry's values; prompt and answer only where `texts` are asked for."""
        hidden = () if texts else ("prompt", "text")
        return {name: value for name, value in asdict(self).items() if name not in hidden}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Entry:
        """The entry again, its texts empty where they were left out."""
        return cls(**{"prompt": "", **value})


class Ledger:
    """The entries of one server, in order of arrival; may be read from any thread while it runs.

    Example:
        >>> from skeleton_of_thought.fake_server import Ledger
        >>> Ledger().usage().total_tokens
        0
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: list[Entry] = []
        self._running = 0
        self._quiet = threading.Condition(self._lock)

    @classmethod
    def from_json(cls, values: Iterable[Mapping[str, Any]]) -> Ledger:
        """The ledger of a server in another process, from the `entries` of its `GET /ledger`."""
        ledger = cls()
        ledger._entries = [Entry.from_json(value) for value in values]
        return ledger

    @property
    def entries(self) -> tuple[Entry, ...]:
        """A snapshot; entries still running go on changing."""
        with self._lock:
            return tuple(self._entries)

    def open(self, request: ChatRequest) -> Entry:
        """Enter a request that has just arrived."""
        stage = stage_of(request).kind
        with self._lock:
            entry = Entry(
                number=len(self._entries),
                api=request.api,
                model=request.model,
                client=request.client,
                stage=stage,
                stream=request.stream,
                prompt_hash=request.prompt_hash,
                arrived=time.monotonic(),
                prompt=request.prompt,
            )
            self._entries.append(entry)
            self._running += 1
        return entry

    def close(self, entry: Entry, outcome: Outcome) -> None:
        """Note how a request ended."""
        with self._lock:
            entry.outcome = outcome
            entry.ended = time.monotonic()
            self._running -= 1
            self._quiet.notify_all()

    def clear(self) -> None:
        """Start over; requests still running are no longer listed."""
        with self._lock:
            self._entries.clear()

    def wait_until_idle(self, timeout: float = 5.0) -> bool:
        """Wait until no request is being answered; False if some still are after `timeout` seconds."""
        with self._quiet:
            return self._quiet.wait_for(lambda: self._running == 0, timeout)

    def usage(self, *, where: Callable[[Entry], bool] = lambda entry: entry.reported) -> Usage:
        """The tokens of all entries chosen, by default those whose usage the client was told."""
        total = Usage()
        for entry in self.entries:
            if where(entry):
                total += entry.usage
        return total

    def most_concurrent(self) -> int:
        """The largest number of requests that were being answered at the same moment."""
        now = time.monotonic()
        changes: list[tuple[float, int]] = []
        for entry in self.entries:
            if entry.outcome != "refused":
                changes += [(entry.arrived, 1), (now if entry.ended is None else entry.ended, -1)]
        running = most = 0
        for _, change in sorted(changes):
            running += change
            most = max(most, running)
        return most

    def most_within(self, seconds: float, *, tokens: bool = False, refused: bool = True) -> int:
        """The most requests, or tokens, that arrived in any window of so many seconds.

        Args:
            seconds: Length of the window.
            tokens: Count tokens instead of requests.
            refused: Count refused requests too: they are what a client tried.
        """
        chosen = [entry for entry in self.entries if refused or entry.outcome != "refused"]
        weights = [(entry.usage.total_tokens or 0) if tokens else 1 for entry in chosen]
        most = inside = first = 0
        for place, entry in enumerate(chosen):
            inside += weights[place]
            while chosen[first].arrived <= entry.arrived - seconds:
                inside -= weights[first]
                first += 1
            most = max(most, inside)
        return most
