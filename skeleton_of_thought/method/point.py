"""One point on its way from its request to its place in the answer."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from skeleton_of_thought.answer import SEPARATOR, AnswerFormat, PointResult, PointStatus, head
from skeleton_of_thought.errors import PointError
from skeleton_of_thought.method.broken_stream import CUT, SENTENCE_ENDS
from skeleton_of_thought.method.point_text import PointTextCleaner
from skeleton_of_thought.parsing.thoughts import ThoughtFilter
from skeleton_of_thought.provider_errors import describe
from skeleton_of_thought.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from skeleton_of_thought.request import Request
    from skeleton_of_thought.skeleton import Point


_LOG = logging.getLogger(__name__)

_FAILED = "[This point could not be written.]"

_CUT_OFF = {"length", "max_tokens"}


class PointRun:
    """Collects a point's text, and says how it stands in the answer."""

    def __init__(
        self,
        point: Point,
        answer_format: AnswerFormat,
        *,
        origin: float,
        started: float,
    ) -> None:
        self.point = point
        self.outcome: PointResult | None = None
        self.finish_reason: str | None = None
        self.left_out = False  # by the caller's function
        self._format = answer_format
        self._origin = origin
        self._started = self._ended = started
        self._begun = self._sent = False
        self._usage = Usage()
        self._headed = False
        self._restarts = 0
        self._pieces: list[str] = []
        self.taken_back = False
        self.restart(())

    def begin(self, now: float) -> None:
        """Its first request is on its way, after it may have waited for its turn."""
        if not self._begun:
            self._begun = True
            self._started = self._ended = now

    def sent(self, now: float) -> None:
        """A request for it goes out; the first starts its time, unless that has to wait for its turn."""
        if not self._sent:
            self._sent = True
            self._started = self._ended = now

    def replan(self, point: Point) -> None:
        """The outline is complete, and may have mended what this point follows."""
        self.point = point

    @property
    def unopened(self) -> bool:
        """Whether its text began inside a thought that was opened in the prompt."""
        return self._thoughts.unopened

    def take_back(self) -> bool:
        """Whether what was written so far turned out to be a thought; it is then forgotten, as far as it can be."""
        if self._thoughts.restarts == self._restarts:
            return False
        self._restarts = self._thoughts.restarts
        self._cleaner = self._new_cleaner()
        self._pieces.clear()
        return True

    def restart(
        self, points: Sequence[Point], *, strict: bool = False, inside: bool = False, in_list: bool = False
    ) -> None:
        """Begin the text anew.

        Args:
            points: The points its text may run into; none in a plan, where a list in the text is the text.
            strict: Whether its request writes other points too.
            inside: Whether the model begins inside a thought.
            in_list: Whether it goes on with a list that the prompt began.
        """
        self._points, self._strict, self._in_list = points, strict, in_list
        self._thoughts = ThoughtFilter(inside=inside)
        self._restarts = 0
        self._cleaner = self._new_cleaner()
        self._pieces = []

    def _new_cleaner(self) -> PointTextCleaner:
        return PointTextCleaner(self.point, self._points, strict=self._strict, in_list=self._in_list)

    def open(self) -> str:
        """What stands before the text, the first time it is asked for; nothing where a function renders the point."""
        if self._headed or callable(self._format):
            return ""
        self._headed = True
        return SEPARATOR + head(self._format, self.point.index, self.point.title)

    def close(self) -> None:
        """What stands before the text was taken back."""
        self._headed = False

    @property
    def text(self) -> str:
        """The clean text so far."""
        return "".join(self._pieces)

    @property
    def has_text(self) -> bool:
        """Whether anything has been written."""
        return bool(self._pieces)

    @property
    def ended_by(self) -> int | None:
        """The point its text has run into, after which nothing is its own; None if it has not."""
        return self._cleaner.ended_by

    @property
    def complete(self) -> bool:
        """Whether it has text, and another point has begun behind it: the rest of its request does not matter."""
        return self.has_text and self.ended_by is not None

    @property
    def rest(self) -> str:
        """What came from there on, in the piece in which the other point began."""
        return self._cleaner.rest

    @property
    def shows_text(self) -> bool:
        """Whether its text is on display once it is its turn; a function renders only a finished point."""
        return self.has_text and not callable(self._format)

    def feed(self, delta: str) -> tuple[str, str]:
        """Take what the model wrote; returns the clean text, and the same as it stands in the answer."""
        text = self._thoughts.feed(delta)
        self.taken_back = self.take_back()
        return self._add(self._cleaner.feed(text))

    def finish(self) -> tuple[str, str]:
        """The model has ended; returns the rest, like `feed`."""
        text = self._thoughts.finish()
        self.taken_back = self.take_back()
        return self._add(self._cleaner.feed(text) + self._cleaner.finish())

    def _add(self, text: str) -> tuple[str, str]:
        if not text:
            return "", ""
        self._pieces.append(text)
        return text, "" if callable(self._format) else self.open() + text

    def spend(self, usage: Usage, *, ended: float) -> None:
        """An attempt ended and cost this much."""
        self._usage += usage
        self._ended = ended

    def result(self, status: PointStatus, *, error: str | None = None) -> PointResult:
        """The point as the answer records it."""
        return PointResult(
            index=self.point.index,
            title=self.point.title,
            text=self.text,
            status=status,
            error=error,
            start=self._started - self._origin,
            seconds=self._ended - self._started,
            usage=self._usage,
            form=self.point.form,
            after=self.point.after,
            finish_reason=self.finish_reason,
        )

    def error(self, cause: BaseException, *, attempts: int) -> PointError:
        """The point's failure as the run raises it."""
        error = PointError(
            f"Point {self.point.index} ({self.point.title!r}) failed after {attempts} attempt(s): "
            f"{describe(cause)}. The other points are in this error's `answer`."
        )
        error.__cause__ = cause
        return error

    def ending(self, result: PointResult) -> str:
        """What the answer still needs: a note if the point failed, all of it if a function renders it."""
        if callable(self._format):
            rendered = self._rendered(self._format, result)
            self.left_out = not rendered.strip()
            return "" if self.left_out else SEPARATOR + rendered
        if result.status == "ok":
            return CUT if result.finish_reason in _CUT_OFF and self.text[-1:] not in SENTENCE_ENDS else ""
        return f" {_FAILED}" if self.has_text else self.open() + _FAILED

    @staticmethod
    def _rendered(render: Callable[[PointResult], str], result: PointResult) -> str:
        """The point as the caller's function renders it.

        The text is paid for, so a function that fails, or returns anything but text, costs the point its looks and
        not its words: it is then shown plain, and the log says why.
        """
        problem: object
        try:
            rendered: object = render(result)
        except Exception as error:  # noqa: BLE001 - whatever the caller's function raises
            problem = describe(error)
        else:
            if isinstance(rendered, str):  # "" leaves the point out, as the caller wants
                return rendered
            problem = f"it returned {rendered!r}; it must return text"
        _LOG.warning("answer_format failed for point %d, which is shown plain: %s", result.index, problem)
        return shown_plain(result)


def shown_plain(result: PointResult) -> str:
    """A point as it is shown where the caller's function does not render it."""
    note = "" if result.status == "ok" else _FAILED
    return head("numbered", result.index, result.title) + " ".join(filter(None, (result.text, note)))


def begin(points: Sequence[PointRun], request: Request | None, *, now: float) -> None:
    """A request is on its way: that of a point begins it."""
    for index in request.points if request is not None else ():
        points[index - 1].begin(now)


Piece = tuple["PointRun", str, str]
"""A point, how its text grew, and the same as it stands in the answer."""


class PointGroup:
    """Gives what a model writes to the points it belongs to.

    A point ends where another one begins. What then follows goes to that point if the request asked for it and
    it has not been written yet; else it is dropped, and so is the rest.

    Args:
        runs: The points the request asks for, in order; their texts begin anew.
        points: All points their texts may run into.
        inside: Whether the model begins inside a thought that its prompt has opened.
        in_list: Whether it goes on with a list that its prompt began.
    """

    def __init__(
        self,
        runs: Sequence[PointRun],
        points: Sequence[Point],
        *,
        inside: bool = False,
        in_list: bool = False,
    ) -> None:
        self.runs = tuple(runs)
        self._points = points
        self._left = {run.point.index: run for run in runs[1:]}
        self._current: PointRun | None = runs[0]
        for run in runs:
            run.restart(points, strict=len(runs) > 1, inside=inside, in_list=in_list)

    def feed(self, delta: str) -> Iterator[Piece]:
        """Take what the model wrote."""
        while (run := self._current) is not None:
            yield (run, *run.feed(delta))
            if run.ended_by is None:
                return
            delta = self._move_on(run)

    def finish(self) -> Iterator[Piece]:
        """The model has ended; gives the rest, like `feed`."""
        while (run := self._current) is not None:
            yield (run, *run.finish())
            if run.ended_by is None:
                return
            delta = self._move_on(run)
            if self._current is not None:
                yield (self._current, *self._current.feed(delta))

    def shares(self, usage: Usage) -> Iterator[tuple[PointRun, Usage]]:
        """The tokens of the request, divided among its points: the answer's by their lengths, the prompt's evenly."""
        lengths = [len(run.text) for run in self.runs]
        equal = [1] * len(self.runs)
        parts = [
            _divide(amount, weights if any(weights) else equal)
            for amount, weights in (
                (usage.input_tokens, equal),
                (usage.output_tokens, lengths),
                (usage.cache_read_tokens, equal),
                (usage.cache_write_tokens, equal),
            )
        ]
        return zip(self.runs, (Usage(*amounts) for amounts in zip(*parts, strict=True)), strict=True)

    def _move_on(self, run: PointRun) -> str:
        """Go to the point another one has run into; returns what belongs to it already."""
        rest, index = run.rest, run.ended_by
        if not run.has_text:  # it may come later
            run.restart(self._points, strict=True)
            self._left[run.point.index] = run
        self._current = self._left.pop(index, None) if index is not None else None
        return rest


def _divide(amount: int | None, weights: Sequence[int]) -> Sequence[int | None]:
    """An amount in whole parts of these weights, none of it lost; of an unknown one no part is known."""
    if amount is None:
        return [None] * len(weights)
    whole, done, given = sum(weights), 0, 0
    parts = []
    for weight in weights:
        done += weight
        parts.append(amount * done // whole - given)
        given += parts[-1]
    return parts
