"""What plain answers and Skeleton-of-Thought would take, from latency tables, by the paper's formula.

The tables say how long a model reads a prompt of k tokens and how long it writes one token with k before it, for a
batch of B rows. A request is then (paper, appendix on latency)

    T(l_in, l_out, B) = prefill_B[floor(l_in / 10) * 10 + 1] + sum of decode_B[k] for k = l_in .. l_in + l_out - 1

and Skeleton-of-Thought is T(skeleton, 1) + T(longest point request, longest point, number of points).
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from itertools import accumulate, count
from statistics import fmean, median
from typing import TYPE_CHECKING, Any, Final

from skeleton_of_thought.errors import ConfigurationError
from skeleton_of_thought.usage import all_told

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

GRID: Final = 10
"""Prompts are timed at 1, 11, 21, ... tokens."""


def grid_point(tokens: int) -> int:
    """The row of the prefill table for a prompt of so many tokens.

    Example:
        >>> [grid_point(tokens) for tokens in (1, 9, 10, 11, 128)]
        [1, 1, 11, 11, 121]
    """
    return tokens // GRID * GRID + 1


class LatencyTables:
    """Seconds of a model on a machine.

    Args:
        prefill: For each batch size, seconds to read prompts, by their tokens: 1, 11, 21, ...
        decode: For each batch size, seconds of one step, by the tokens before it: 1, 2, 3, ...
        about: Model, machine and time, for people.

    Raises:
        ConfigurationError: There is no batch size 1, or the two tables have different ones.

    Example:
        >>> tables = LatencyTables({1: {1: 0.5, 11: 0.75}}, {1: {10: 0.25, 11: 0.25, 12: 0.5}})
        >>> tables.request(10, 3)
        1.75
    """

    def __init__(
        self,
        prefill: Mapping[int, Mapping[int, float]],
        decode: Mapping[int, Mapping[int, float]],
        about: Mapping[str, Any] | None = None,
    ) -> None:
        if prefill.keys() != decode.keys() or 1 not in prefill:
            raise ConfigurationError(
                f"Latency tables need the same batch sizes for prefill and decode, 1 among them; these have "
                f"{sorted(prefill)} and {sorted(decode)}."
            )
        self.prefill = {batch: dict(sorted(rows.items())) for batch, rows in sorted(prefill.items())}
        self.decode = {batch: dict(sorted(rows.items())) for batch, rows in sorted(decode.items())}
        self.about = dict(about or {})
        self._sums = {batch: _sums(rows) for batch, rows in self.decode.items()}

    def request(self, tokens_in: int, tokens_out: int, batch: int = 1, *, cached: int = 0) -> float:
        """T(l_in, l_out, B): seconds of `batch` equal requests at the same time.

        Args:
            tokens_in: Tokens of the prompt.
            tokens_out: Tokens of the answer.
            batch: Rows decoded together. A size that is not in the tables lies on the line between its
                neighbours; one beyond the largest is taken as the largest.
            cached: Tokens of the prompt whose keys and values are in memory already; they are not read again. The
                paper has none.

        Raises:
            ConfigurationError: The tables end before this; the message says where.
        """
        low, high, share = self._neighbours(batch)
        found = self._at(low, tokens_in, tokens_out, cached)
        return (
            found if share == 0 else found + share * (self._at(high, tokens_in, tokens_out, cached) - found)
        )

    def step(self, context: int, batch: int) -> float:
        """Seconds of one step of so many rows after so many tokens."""
        low, high, share = self._neighbours(batch)
        found = self._steps(low, context, 1)
        return found if share == 0 else found + share * (self._steps(high, context, 1) - found)

    def _at(self, batch: int, tokens_in: int, tokens_out: int, cached: int) -> float:
        rows, row = self.prefill[batch], grid_point(tokens_in - cached)
        if row not in rows:
            raise ConfigurationError(
                f"The tables time prompts of {min(rows)} to {max(rows)} tokens, and this one has {tokens_in - cached}. "
                "Make larger ones: sot eval profile --longest N"
            )
        return rows[row] + self._steps(batch, tokens_in, tokens_out)

    def _steps(self, batch: int, start: int, count: int) -> float:
        """The sum of `count` rows of the decode table, from `start`."""
        first, sums = self._sums[batch]
        if count <= 0:
            return 0.0
        if start < first or start + count - first >= len(sums):
            raise ConfigurationError(
                f"The tables time steps after {first} to {first + len(sums) - 2} tokens, and this answer goes from "
                f"{start} to {start + count - 1}. Make larger ones: sot eval profile --longest N"
            )
        return sums[start + count - first] - sums[start - first]

    def _neighbours(self, batch: int) -> tuple[int, int, float]:
        """The sizes in the tables around a batch, and how far it is from the first to the second."""
        sizes = list(self.prefill)
        place = bisect_left(sizes, batch)
        if place == len(sizes) or sizes[place] == batch:
            size = sizes[min(place, len(sizes) - 1)]
            return size, size, 0.0
        low, high = sizes[max(0, place - 1)], sizes[place]
        return low, high, (batch - low) / (high - low) if high > low else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; batch sizes and tokens become text, as JSON's keys are."""
        return {
            "about": self.about,
            "prefill": {
                str(batch): {str(k): v for k, v in rows.items()} for batch, rows in self.prefill.items()
            },
            "decode": {
                str(batch): {str(k): v for k, v in rows.items()} for batch, rows in self.decode.items()
            },
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> LatencyTables:
        """What `to_dict` wrote.

        Raises:
            ConfigurationError: It is no such thing.
        """
        try:
            prefill, decode = (
                {
                    int(batch): {int(k): float(v) for k, v in rows.items()}
                    for batch, rows in content[name].items()
                }
                for name in ("prefill", "decode")
            )
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise ConfigurationError(
                f"These are no latency tables ({type(error).__name__}: {error}); they need prefill and decode, each "
                "{batch: {tokens: seconds}}. Make some: sot eval profile"
            ) from error
        return cls(prefill, decode, content.get("about"))


def _sums(rows: Mapping[int, float]) -> tuple[int, list[float]]:
    """The first row, and the sums of all rows before each one; rows must follow each other without a gap."""
    tokens = list(rows)
    first = tokens[0]
    if tokens != list(range(first, first + len(tokens))):
        gap = next(after for after, row in zip(count(first), tokens, strict=False) if row != after)
        raise ConfigurationError(
            f"A decode table goes from {first} to {tokens[-1]} tokens and has no row for {gap}; it needs one for every "
            "number between. Make the tables again: sot eval profile"
        )
    return first, [0.0, *accumulate(rows.values())]


@dataclass(frozen=True, slots=True)
class Lengths:
    """Tokens of a question's requests.

    Attributes:
        plain: Tokens of the plain request: prompt, of it in memory already, answer.
        skeleton: Likewise of the skeleton request.
        points: Likewise of every point.
    """

    plain: tuple[int, int, int]
    skeleton: tuple[int, int, int]
    points: tuple[tuple[int, int, int], ...]

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Lengths:
        """The tokens a row of a speed run reports.

        Raises:
            ConfigurationError: They are not known.
        """
        plain, sot = row["ways"]["direct"]["bill"]["stages"]["direct"], row["ways"]["sot"]["bill"]
        return cls(
            _tokens(plain), _tokens(sot["stages"]["skeleton"]), tuple(_tokens(line) for line in sot["points"])
        )


def _tokens(line: Mapping[str, int | None]) -> tuple[int, int, int]:
    counts = [line[name] for name in ("input_tokens", "cache_read_tokens", "output_tokens")]
    if not all_told(counts):
        raise ConfigurationError("The server did not tell its tokens; an estimate needs them.")
    prompt, cached, answer = counts
    return prompt, cached, answer


def estimate_plain(tables: LatencyTables, lengths: Lengths, *, use_memory: bool = False) -> float:
    """Seconds of the plain answer."""
    tokens_in, cached, tokens_out = lengths.plain
    return tables.request(tokens_in, tokens_out, cached=cached if use_memory else 0)


def estimate_sot(tables: LatencyTables, lengths: Lengths) -> float:
    """Seconds by the paper's formula: all points as long as the longest, nothing in memory."""
    tokens_in, _, tokens_out = lengths.skeleton
    longest_in = max(point[0] for point in lengths.points)
    longest_out = max(point[2] for point in lengths.points)
    return tables.request(tokens_in, tokens_out) + tables.request(
        longest_in, longest_out, len(lengths.points)
    )


def estimate_engine(tables: LatencyTables, lengths: Lengths) -> float:
    """Seconds for an engine that keeps prompts in memory and lets a finished point leave the batch.

    The paper's formula with two corrections, where this project's engine differs from the paper's: of a prompt only
    what is not in memory is read, and each step costs what a batch of the points still being written costs.
    """
    tokens_in, cached, tokens_out = lengths.skeleton
    seconds = tables.request(tokens_in, tokens_out, cached=cached)
    start = max(point[0] for point in lengths.points)
    fresh = max(point[0] - point[1] for point in lengths.points)
    seconds += tables.request(start, 0, len(lengths.points), cached=start - fresh)
    for written in range(max(point[2] for point in lengths.points)):
        seconds += tables.step(start + written, sum(point[2] > written for point in lengths.points))
    return seconds


@dataclass(frozen=True, slots=True)
class Estimate:
    """One question: predicted and measured seconds.

    Attributes:
        id: The question.
        plain: Predicted for the plain answer, with what is in memory.
        plain_measured: Measured.
        sot: Predicted for the engine, see `estimate_engine`.
        sot_paper: Predicted by the paper's formula as it stands.
        sot_measured: Measured.
    """

    id: str
    plain: float
    plain_measured: float
    sot: float
    sot_paper: float
    sot_measured: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Estimates against a speed run.

    Attributes:
        estimates: Of each question with points.
        beyond: Questions the tables are too small for.
    """

    estimates: tuple[Estimate, ...]
    beyond: int

    def error(self, predicted: str, measured: str) -> float | None:
        """Median of the distances, as a share of the measured seconds; None without estimates."""
        shares = [abs(getattr(e, predicted) / getattr(e, measured) - 1) for e in self.estimates]
        return median(shares) if shares else None

    def bias(self, predicted: str, measured: str) -> float | None:
        """All predicted seconds over all measured ones, less 1; None without estimates."""
        if not self.estimates:
            return None
        return (
            fmean(getattr(e, predicted) for e in self.estimates)
            / fmean(getattr(e, measured) for e in self.estimates)
            - 1
        )


def compare_estimates(rows: Iterable[Mapping[str, Any]], tables: LatencyTables) -> Comparison:
    """Estimate every question of a speed run that has points, from its measured token counts."""
    found: list[Estimate] = []
    beyond = 0
    for row in rows:
        if row["faults"] or not row["ways"]["sot"]["points"]:
            continue
        try:
            lengths = Lengths.of(row)
            estimate = Estimate(
                row["id"],
                estimate_plain(tables, lengths, use_memory=True),
                row["ways"]["direct"]["seconds"]["total"],
                estimate_engine(tables, lengths),
                estimate_sot(tables, lengths),
                row["ways"]["sot"]["seconds"]["total"],
            )
        except ConfigurationError:
            beyond += 1
        else:
            found.append(estimate)
    return Comparison(tuple(found), beyond)


def interpolate(measured: Sequence[tuple[int, float]], wanted: Iterable[int]) -> dict[int, float]:
    """A whole table from a few measurements: straight lines between them, and level beyond the ends.

    Example:
        >>> interpolate([(1, 1.0), (3, 2.0)], range(1, 5))
        {1: 1.0, 2: 1.5, 3: 2.0, 4: 2.0}
    """
    places = [place for place, _ in measured]
    table: dict[int, float] = {}
    for place in wanted:
        above = bisect_left(places, place)
        if above == len(places):
            table[place] = measured[-1][1]
        elif above == 0 or places[above] == place:
            table[place] = measured[above][1]
        else:
            (x0, y0), (x1, y1) = measured[above - 1], measured[above]
            table[place] = y0 + (y1 - y0) * (place - x0) / (x1 - x0)
    return table
