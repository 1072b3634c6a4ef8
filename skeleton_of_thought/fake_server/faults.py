"""Failures on demand: which request fails, and how."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, get_args

from skeleton_of_thought.errors import ConfigurationError
from skeleton_of_thought.fake_server.answers import StageKind, stage_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from skeleton_of_thought.fake_server.request import ChatRequest

FaultKind = Literal[
    "content_filter",
    "empty",
    "invalid_json",
    "overloaded",
    "prefill_rejected",
    "rate_limit",
    "refusal",
    "reset",
    "server_error",
    "slow_first_token",
    "stall",
    "stream_error",
    "truncated",
    "unauthorized",
    "unknown_model",
]


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to fail, and for whom.

    Attributes:
        kind: `"rate_limit"` (429), `"server_error"` (500), `"overloaded"` (529), `"unauthorized"` (401),
            `"unknown_model"` (404), `"prefill_rejected"` (400 for a partial assistant answer);
            `"slow_first_token"` (waits `seconds`);
            after `after_tokens` tokens: `"stall"` (silent for `seconds`), `"reset"` (the connection breaks),
            `"stream_error"` (an error event; 500 without streaming), `"invalid_json"`, `"truncated"` (as if
            `max_tokens` were reached), `"content_filter"`; and `"refusal"`, `"empty"`.
        rate: Share of the matching requests that fail. Drawn from `seed`, the prompt and how often this
            prompt came already, so that the order in which concurrent requests arrive changes nothing.
        times: Fail at most so often; None for ever.
        seed: Another seed, other requests.
        stage: Only requests of this stage: `"skeleton"`, `"point"`, `"router"` or `"direct"`.
        model: Only this model.
        contains: Only prompts with this text.
        when: Only requests this says True for; not available over HTTP.
        retry_after: Seconds in the Retry-After header of a 429 or 529; None sends none.
        after_tokens: Tokens that still arrive before a fault in mid-answer.
        seconds: How long `"slow_first_token"` and `"stall"` wait.
    """

    kind: FaultKind
    rate: float = 1.0
    times: int | None = None
    seed: int = 0
    stage: StageKind | None = None
    model: str | None = None
    contains: str | None = None
    when: Callable[[ChatRequest], bool] | None = None
    retry_after: float | None = None
    after_tokens: int = 3
    seconds: float = 3600.0

    def __post_init__(self) -> None:
        if self.kind not in get_args(FaultKind):
            raise ConfigurationError(
                f"Unknown fault {self.kind!r}; use one of {', '.join(get_args(FaultKind))}."
            )
        if not 0 <= self.rate <= 1:
            raise ConfigurationError(f"rate is {self.rate}; it is a share of the requests, 0 to 1.")

    def matches(self, request: ChatRequest) -> bool:
        """Whether the fault concerns a request at all."""
        return (
            (self.kind != "prefill_rejected" or bool(request.prefill))
            and self.model in {None, request.model}
            and (self.contains is None or self.contains in request.prompt)
            and (self.stage is None or self.stage == stage_of(request).kind)
            and (self.when is None or self.when(request))
        )

    def to_json(self) -> dict[str, Any]:
        """The fault as `GET /faults` shows it."""
        shown = asdict(self)
        shown["when"] = None if self.when is None else "a function"
        return shown


class Faults:
    """The faults of a server; may be changed from any thread while it runs.

    Example:
        >>> from skeleton_of_thought.fake_server import Faults
        >>> faults = Faults()
        >>> faults.add("rate_limit", rate=0.2, stage="point", retry_after=1).rate
        0.2
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._used: list[int] = []
        self._seen: Counter[tuple[str, str, bool]] = Counter()

    def add(self, kind: FaultKind, **options: Any) -> Fault:
        """Switch on a fault; the options are those of `Fault`.

        Of several that match a request, the first one drawn acts.
        """
        fault = Fault(kind, **options)
        with self._lock:
            self._faults.append(fault)
            self._used.append(0)
        return fault

    def clear(self) -> None:
        """Switch everything off, and forget which prompts were seen."""
        with self._lock:
            self._faults.clear()
            self._used.clear()
            self._seen.clear()

    @property
    def active(self) -> tuple[Fault, ...]:
        """The faults switched on, in the order they are tried."""
        with self._lock:
            return tuple(self._faults)

    def draw(self, request: ChatRequest) -> Fault | None:
        """The fault for this request, None to answer it."""
        with self._lock:
            repetition = (request.prompt_hash, request.model, request.stream)
            attempt = self._seen[repetition]
            self._seen[repetition] += 1
            for place, fault in enumerate(self._faults):
                spent = fault.times is not None and self._used[place] >= fault.times
                if spent or not fault.matches(request):
                    continue
                if _uniform(fault.seed, fault.kind, place, request.prompt_hash, attempt) < fault.rate:
                    self._used[place] += 1
                    return fault
        return None


def fault_from_json(value: Mapping[str, Any]) -> dict[str, Any]:
    """The keyword arguments for `Faults.add` out of a JSON object.

    Raises:
        ConfigurationError: The object has a field that `Fault` has not, or none called kind.
    """
    known = {field.name for field in fields(Fault)} - {"when"}
    unknown = set(value) - known
    if unknown or "kind" not in value:
        raise ConfigurationError(
            f"A fault has the fields {', '.join(sorted(known))}, and kind is needed; got {sorted(value)}."
        )
    return dict(value)


def _uniform(*parts: object) -> float:
    """A number in [0, 1) that depends on nothing but the parts."""
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return int.from_bytes(digest[:7], "big") / (1 << 56)
