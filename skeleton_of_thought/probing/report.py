"""What a probe found, and what Skeleton-of-Thought would gain there."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from skeleton_of_thought.routing.gain import CHARACTERS_A_WORD, PlainLength, Saving
from skeleton_of_thought.usage import CHARACTERS_PER_TOKEN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from skeleton_of_thought.routing.decision import Question

Works = Literal["yes", "no", "refused", "unknown", "not tried"]
"""Whether something works; `"no"` is without a word, `"refused"` is with an error, `"unknown"` could not be told."""

_IN_TURN = 0.7  # of the others must have been answered before the last one begins
_TOGETHER = 0.4  # of the time they would take one after another: in less, they were not answered so
_FIRST_OF_SEVERAL = 0.6  # of the time of all, within which the first of several one after another has begun


@dataclass(frozen=True, slots=True)
class Batch:
    """Some requests sent at the same time.

    Attributes:
        requests: How many.
        seconds: Until the last was answered.
        first_token: Seconds until the first token of the first.
        last_first_token: Seconds until every one had its first token.
        tokens: Tokens of all answers.
        longest: Tokens of the longest.
        ended_before_last: Requests that were answered when the last one got its first token.
    """

    requests: int
    seconds: float
    first_token: float
    last_first_token: float
    tokens: int
    longest: int
    ended_before_last: int = 0

    @property
    def step(self) -> float:
        """Seconds for each token of the longest, once every one has its first."""
        return (self.seconds - self.last_first_token) / max(self.longest, 1)

    @property
    def tokens_per_second(self) -> float:
        """Tokens a second of all together, once the first is there."""
        return self.tokens / max(self.seconds - self.first_token, 1e-9)


@dataclass(frozen=True, slots=True, kw_only=True)
class Typical:
    """The lengths a gain is predicted for, in tokens.

    Attributes:
        points: Points of the answer.
        point: Of the longest point.
        average: Of a point on average; None for as many as the longest.
        skeleton: Of the skeleton.
        plain: Of the plain answer; None for as many as all points together.
    """

    points: int = 6
    point: int = 60
    average: float | None = None
    skeleton: int = 40
    plain: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What is known of a server and its model.

    Attributes:
        model: The model, as the user named it.
        reachable: Whether it answered at all.
        problem: Why not, or why the probe ended early.
        engine: The engine's name in the table of engines, where the server says it.
        plain: A plain question alone.
        skeleton: A skeleton request alone.
        batches: Point requests at the same time: one, four, eight.
        shared_prefix: Whether what two requests in a row have in common is read once.
        shared_at_once: The same for requests at the same time.
        partial_answers: Whether a partial answer of the assistant is continued.
        continue_fields: The fields of the request without which it is not; None where none are needed, or none help.
        stops: Whether stop sequences end an answer.
        schemas: Whether an answer follows a JSON schema.
        cancellation: Whether an answer nobody reads any more stops being written.
    """

    model: str
    reachable: bool = True
    problem: str | None = None
    engine: str | None = None
    plain: Batch | None = None
    skeleton: Batch | None = None
    batches: tuple[Batch, ...] = ()
    shared_prefix: Works = "not tried"
    shared_at_once: Works = "not tried"
    partial_answers: Works = "not tried"
    continue_fields: Mapping[str, Any] | None = None
    stops: Works = "not tried"
    schemas: Works = "not tried"
    cancellation: Works = "not tried"
    typical: Typical = field(default_factory=Typical)

    @property
    def in_turn(self) -> bool | None:
        """Whether requests at the same time are answered one after another; None if that was not measured."""
        if len(self.batches) < 2:  # noqa: PLR2004 - one alone and several
            return None
        most = self.batches[-1]
        # Of answers that come in one piece the first token is the last: only the time tells.
        soon = most.seconds < _TOGETHER * most.requests * self.batches[0].seconds
        if soon or most.first_token > _FIRST_OF_SEVERAL * most.seconds:
            return False
        return most.ended_before_last > _IN_TURN * (most.requests - 1)

    def seconds_of_points(self, points: int, longest: float, average: float | None = None) -> float:
        """T(points): so many points at the same time, on the lines between what was measured.

        Args:
            points: How many.
            longest: Tokens of the longest.
            average: Tokens of a point on average; None for as many as the longest. The batch grows smaller as the
                shorter ones end, and one after another they cost what all of them have.
        """
        average = longest if average is None else average
        if self.in_turn:
            one, most = self.batches[0], self.batches[-1]
            reading = max(0.0, most.seconds - one.step * most.tokens) / most.requests
            return points * (reading + one.step * average)
        running = max(1.0, points * average / max(longest, 1))
        reading = self._at(points, [batch.last_first_token for batch in self.batches])
        return reading + self._at(running, [batch.step for batch in self.batches]) * longest

    def _at(self, requests: float, measured: Sequence[float]) -> float:
        """What was measured of every batch, for so many requests; more than the most come in rounds."""
        sizes = [batch.requests for batch in self.batches]
        below = max(place for place, size in enumerate(sizes) if size <= requests)
        above = min(below + 1, len(sizes) - 1)
        if below == above:
            return measured[below] * requests / sizes[below]
        share = (requests - sizes[below]) / (sizes[above] - sizes[below])
        return measured[below] + share * (measured[above] - measured[below])

    def gain(self, typical: Typical | None = None) -> float | None:
        """How many times as fast as a plain answer; None if too little was measured."""
        seconds = self.seconds(typical or self.typical)
        return None if seconds is None else seconds[0] / seconds[1]

    def seconds(self, lengths: Typical) -> tuple[float, float] | None:
        """Seconds of a plain answer and of one by skeleton: the paper's formula, with what was measured for its tables.

        The paper adds the skeleton's T and that of all points together, each reading and writing; the plain answer is
        one T. None if too little was measured.
        """
        if self.plain is None or self.skeleton is None or not self.batches:
            return None
        written = lengths.plain or lengths.points * lengths.point
        plain = self.plain.first_token + written * self.plain.step
        skeleton = self.skeleton.first_token + lengths.skeleton * self.plain.step
        return plain, skeleton + self.seconds_of_points(lengths.points, lengths.point, lengths.average)

    def saving(self, question: Question) -> Saving | None:
        """What a skeleton would save for a question, by the plain answer's predicted length; None as for `gain`."""
        words = PlainLength.shipped().words(question)
        tokens = words * CHARACTERS_A_WORD / CHARACTERS_PER_TOKEN
        point = math.ceil(tokens / self.typical.points)
        seconds = self.seconds(replace(self.typical, plain=round(tokens), point=point))
        return None if seconds is None else Saving(words, *seconds)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        told = asdict(self)
        gain = self.gain()
        return {**told, "in_turn": self.in_turn, "gain": None if gain is None else round(gain, 3)}
