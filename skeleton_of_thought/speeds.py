"""What a model's points really cost: learned from answers while they are given, as quirks are.

Skeleton-of-Thought pays where several streams together write faster than one. A server that answers one request at a
time (Ollama unless told otherwise, llama.cpp with one slot) makes it slower instead, and no API tells. So every
answer is looked at: how fast all its points were written together, and how fast each by itself, as far as the moments
they ended tell. The latter is a lower bound of how fast one request alone is answered; plain answers show that better.

Lengths are counted in characters: not every server reports tokens, and only proportions matter here.
"""

from __future__ import annotations

import logging
import math
import operator
import threading
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from skeleton_of_thought.routing.combining import no_room
from skeleton_of_thought.routing.decision import Decision

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from skeleton_of_thought.answer import Answer

logger = logging.getLogger(__name__)

_SHORTEST = 40
"""Characters of an answer below which its time says more about waiting than about writing."""

_FEWEST = 2
"""Points with a time of their own that it takes to say anything."""

_NOTHING_GAINED = 1.2
"""So many streams' worth of text, or less, is what one stream writes."""

_NOTICED = 0.2
"""Seconds of all points below which our own work, and not the server's, makes them come one after another."""

_ANSWERS_TO_WARN = 2
"""Answers in a row whose points came one after another before it is said: one may have met a busy moment."""

_NEWEST = 0.5
"""Share of the newest answer in what is remembered."""

_WAIT, _LONGEST_WAIT = 25, 400
"""Plain answers before a skeleton is tried again; doubled while that does not pay."""

_MARGIN = 1.0
"""Gain below which a plain answer is faster."""


@dataclass(frozen=True, slots=True)
class Gain:
    """What is to be expected of a skeleton, from the answers so far.

    Attributes:
        gain: A plain answer's seconds over those of a skeleton answer of the same length.
        streams: How many streams' worth of text the points wrote together: 1 is one after another.
    """

    gain: float
    streams: float


class Speeds:
    """What is known of one model on one server; every run that asks it shares the object, from any thread.

    Args:
        model: What the model is called in the log.
    """

    def __init__(self, model: str = "the model") -> None:
        self._model = model
        self._lock = threading.Lock()
        self._alone: float | None = None  # seconds per character of a plain answer
        self._single: float | None = None  # of one point among others
        self._together: float | None = None  # of all points together
        self._ahead = 0.0  # seconds before the first point
        self._characters = 0.0
        self._in_turn = 0
        self._warned = False
        self._plain = 0
        self._wait = _WAIT

    def observe(self, answer: Answer, seconds: Mapping[str, float] = MappingProxyType({})) -> None:
        """Learn from a finished answer.

        One with a failed point, whose points came in one batch, or some of whose points waited before they were sent
        (for a limiter, for another point, after a refusal) says nothing of the server.

        Args:
            answer: The answer.
            seconds: What requests took by themselves, by their ids, where the answer only knows of their batch.
        """
        if answer.route == "direct":
            self._observe_plain(len(answer.text), answer.seconds.total - answer.seconds.route)
        else:
            points = [
                (len(point.text), point.start, seconds.get(f"point:{point.index}", point.seconds))
                for point in answer.points
                if point.status == "ok" and point.text
            ]
            if len(points) == len(answer.points) and not _waited(answer):
                self.observe_points(points, ahead=min((start for _, start, _ in points), default=0.0))

    def _observe_plain(self, characters: int, seconds: float) -> None:
        if characters < _SHORTEST or seconds <= 0:
            return
        with self._lock:
            self._alone = _mixed(self._alone, seconds / characters)

    def observe_points(self, points: Sequence[tuple[int, float, float]], *, ahead: float = 0.0) -> None:
        """Learn from the points of an answer.

        Args:
            points: Of each its characters, when its request was sent, and how many seconds it took.
            ahead: Seconds from the start of the answer to the first of these requests.
        """
        ends = [start + seconds for _, start, seconds in points]
        if len(points) < _FEWEST or min(seconds for *_, seconds in points) <= 0 or _are_one_batch(ends):
            return
        characters = sum(length for length, *_ in points)
        lasted = max(ends) - min(start for _, start, _ in points)
        single = _pace_of_one(
            sorted((end, length) for end, (length, *_) in zip(ends, points, strict=True)), lasted
        )
        with self._lock:
            self._single = _mixed(self._single, single)
            self._together = _mixed(self._together, lasted / characters)
            self._ahead = _mixed(self._ahead or None, ahead)
            self._characters = _mixed(self._characters or None, characters)
            in_turn = lasted >= _NOTICED and single * characters / lasted <= _NOTHING_GAINED
            self._in_turn = self._in_turn + 1 if in_turn else 0
            warn = self._in_turn >= _ANSWERS_TO_WARN and not self._warned
            self._warned = self._warned or warn
        if warn:
            logger.warning(
                "The points of the last %d answers of %s came one after another: the server answers one request at a "
                "time, and Skeleton-of-Thought makes it slower. Start it for several at once (sot doctor says how), "
                "or set Options(load_aware=True) to answer plainly meanwhile.",
                self._in_turn,
                self._model,
            )

    def expected(self, load: float = 0.0) -> Gain | None:
        """What a skeleton would gain now; None if no answer has told yet.

        Args:
            load: Share of the model's capacity that is in use: what is left is shared by the points.
        """
        with self._lock:
            characters, streams = self._characters, (self._single or 0.0) / (self._together or math.inf)
        seconds = self.seconds(characters, load)
        return None if seconds is None else Gain(seconds[0] / seconds[1] if seconds[1] else math.inf, streams)

    def seconds(self, characters: float, load: float = 0.0) -> tuple[float, float] | None:
        """What an answer of so many characters would take plainly and by a skeleton; None if no answer has told yet.

        Args:
            characters: Of the answer.
            load: Share of the model's capacity that is in use: what is left is shared by the points.
        """
        with self._lock:
            if self._single is None or self._together is None:
                return None
            alone = self._single if self._alone is None else self._alone
            together = max(self._together, alone * min(1.0, load))
            return alone * characters, self._ahead + together * characters

    def decide(self, load: float = 0.0) -> Decision | None:
        """The decision while no gain is to be expected; None while one is, or while it is tried again.

        Args:
            load: Share of what the points may use that is in use, waiting requests included: 1 is full.
        """
        if full := no_room(load):
            return full
        expected = self.expected(load)
        gain = math.inf if expected is None else expected.gain
        if self.tries(pays=gain >= _MARGIN):
            return None
        return Decision("direct", 1.0, f"no gain to expect: {gain:.2f} times as fast as a plain answer")

    def tries(self, *, pays: bool) -> bool:
        """Whether a skeleton is to be written: where it pays, and now and then where it does not.

        Only a skeleton tells that points are written at once again, so one is tried after some plain answers, and
        after twice as many if that did not pay either.

        Args:
            pays: Whether it is expected to be faster than a plain answer.
        """
        with self._lock:
            if pays:
                self._plain, self._wait = 0, _WAIT
                return True
            self._plain += 1
            if self._plain <= self._wait:
                return False
            self._plain, self._wait = 0, min(2 * self._wait, _LONGEST_WAIT)
            return True


def _pace_of_one(points: Sequence[tuple[float, int]], lasted: float) -> float:
    """Seconds per character of one point, from the moments at which points ended.

    A server with `slots` places takes the next point when a place is free. Of all numbers of places, the one whose
    moments come closest to those that were seen is believed: with one place, every point's own time is what lies
    between its end and the one before.

    Args:
        points: When each ended and how long it is, in the order of their ends.
        lasted: Seconds from the first request to the last end.
    """
    first = points[-1][0] - lasted
    best = (math.inf, 0.0)
    for slots in range(len(points), 0, -1):
        free = [0] * slots
        expected: list[int] = []
        for _, length in points:
            free.sort()
            free[0] += length
            expected.append(free[0])
        ends = [end - first for end, _ in points]
        pace = sum(map(operator.mul, expected, ends)) / sum(length * length for length in expected)
        distance = sum((end - pace * length) ** 2 for end, length in zip(ends, expected, strict=True))
        if distance < 0.999 * best[0]:
            best = distance, pace
    return best[1]


def _mixed(known: float | None, new: float) -> float:
    return new if known is None else (1 - _NEWEST) * known + _NEWEST * new


def _waited(answer: Answer) -> bool:
    """Whether points were not all on their way at one moment, or sent again."""
    again = any(line.retries for line in answer.bill.points.values())
    first_end = min((point.start + point.seconds for point in answer.points), default=0.0)
    return again or any(point.start > first_end for point in answer.points)


def _are_one_batch(ends: Sequence[float]) -> bool:
    """Whether all points ended in one moment: a batch hands over its answers together, whatever each of them took."""
    return max(ends) - min(ends) <= 0.001 * max(ends)


_KNOWN: dict[str, Speeds] = {}


def speeds_of(model: str) -> Speeds:
    """What is known of a model in this process, by any name that identifies it and its server."""
    return _KNOWN.setdefault(model, Speeds(model))
