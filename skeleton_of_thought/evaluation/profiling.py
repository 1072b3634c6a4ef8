"""Latency tables of a local model: how long it reads prompts and writes tokens, for several batch sizes."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from skeleton_of_thought.decoding import GenerationRequest
from skeleton_of_thought.errors import ConfigurationError
from skeleton_of_thought.evaluation.estimating import GRID, LatencyTables, interpolate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from skeleton_of_thought.decoding import Engine

STEPS: Final = 24
"""Tokens written to time one."""

_OWN: Final = 16
"""Last tokens in which the prompts of a batch differ, as those of points do."""
_PREFILL_AT: Final = (1, 41, 81, 161, 321, 501, 691, 1021, 2041)
_DECODE_AT: Final = (1, 64, 192, 384, 640, 960, 1500, 2040)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileOptions:
    """How much is timed.

    Attributes:
        batches: Batch sizes; 1 must be among them.
        longest: Tokens of prompt and answer together the tables reach to.
        repeats: How often each is timed; the median counts.

    Raises:
        ConfigurationError: A value is out of range.
    """

    batches: tuple[int, ...] = (1, 2, 4, 6, 8, 10)
    longest: int = 1024
    repeats: int = 3

    def __post_init__(self) -> None:
        if 1 not in self.batches or min(self.batches) < 1:
            raise ConfigurationError(
                f"batches is {self.batches}; the sizes must be at least 1, and 1 among them."
            )
        if self.longest < 2 * STEPS:
            raise ConfigurationError(f"longest is {self.longest}; it must be at least {2 * STEPS} tokens.")
        if self.repeats < 1:
            raise ConfigurationError(f"repeats is {self.repeats}; it must be at least 1.")


def profile(
    engine: Engine,
    options: ProfileOptions = ProfileOptions(),
    *,
    about: dict[str, Any] | None = None,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> LatencyTables:
    """Time an engine, and fill the paper's tables: prompts at 1, 11, 21, ... tokens, steps after every number.

    A few lengths are timed, on random tokens; straight lines fill the rest. The prompts of a batch are all
    different for the prefill table, as in the paper, and alike but for their ends for the decode table, as those
    of points are.

    Args:
        engine: The model. Nothing else should run on it, or on the machine.
        options: How much is timed.
        about: Kept with the tables, for people.
        progress: Told how many of how many measurements are done.

    Raises:
        ConfigurationError: The model's context is shorter than `longest`.
    """
    context = engine.context_window
    if context is not None and options.longest > context:
        raise ConfigurationError(
            f"longest is {options.longest}, and the model's context holds {context} tokens; use at most that."
        )
    prompts = _Prompts(engine)
    reads = _places(_PREFILL_AT, options.longest - 2)
    steps = _places(_DECODE_AT, options.longest - STEPS)
    total = len(options.batches) * (len(reads) + len(steps))
    done = 0
    _seconds(engine, prompts.different(64, 2), STEPS)  # the first of everything is slower
    prefill: dict[int, dict[int, float]] = {}
    decode: dict[int, dict[int, float]] = {}
    grid = range(1, options.longest + 1, GRID)
    for batch in options.batches:
        read: list[tuple[int, float]] = []
        for tokens in reads:
            times = [_seconds(engine, prompts.different(tokens, batch), 1) for _ in range(options.repeats)]
            read.append((tokens, median(times)))
            progress(done := done + 1, total)
        prefill[batch] = interpolate(read, grid)
        written: list[tuple[int, float]] = []
        for tokens in steps:
            times = []
            for _ in range(options.repeats):
                rows = prompts.alike(tokens, batch)
                _seconds(engine, rows, 1)  # now all prompts are in memory
                times.append((_seconds(engine, rows, 1 + STEPS) - _seconds(engine, rows, 1)) / STEPS)
            written.append((tokens + STEPS // 2, max(0.0, median(times))))
            progress(done := done + 1, total)
        decode[batch] = interpolate(written, range(1, options.longest + 1))
    return LatencyTables(prefill, decode, about)


def _places(wanted: Sequence[int], most: int) -> list[int]:
    """The lengths to time, and the longest one."""
    return [*(tokens for tokens in wanted if tokens < most), most]


class _Prompts:
    """Random tokens, no prompt twice, so that nothing of one is in memory already."""

    def __init__(self, engine: Engine) -> None:
        special = set(engine.tokenizer.all_special_ids)
        self._tokens = [token for token in range(len(engine.tokenizer)) if token not in special]
        self._draw = random.Random(0)

    def different(self, tokens: int, batch: int) -> list[list[int]]:
        return [self._some(tokens) for _ in range(batch)]

    def alike(self, tokens: int, batch: int) -> list[list[int]]:
        own = min(tokens, _OWN)
        shared = self._some(tokens - own)
        return [shared + self._some(own) for _ in range(batch)]

    def _some(self, count: int) -> list[int]:
        return self._draw.choices(self._tokens, k=count)


def _seconds(engine: Engine, prompts: list[list[int]], tokens: int) -> float:
    """How long a batch takes until its last row is done."""
    requests = [
        GenerationRequest(input_ids=prompt, max_tokens=tokens, ignore_eos=True, temperature=0)
        for prompt in prompts
    ]
    started = time.perf_counter()
    for generation in engine.submit_many(requests):
        generation.result()
    return time.perf_counter() - started
