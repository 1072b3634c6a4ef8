"""The points of one request: mostly one, or several that are written one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skeleton_of_thought.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from skeleton_of_thought._point_run import PointRun

Piece = tuple["PointRun", str, str]
"""A point, how its text grew, and the same as it stands in the answer."""


class PointGroup:
    """Gives what a model writes to the points it belongs to.

    A point ends where another one begins. What then follows goes to that point if the request asked for it and
    it has not been written yet; else it is dropped, and so is the rest.

    Args:
        runs: The points the request asks for, in order; their texts begin anew.
    """

    def __init__(self, runs: Sequence[PointRun]) -> None:
        self.runs = tuple(runs)
        self._left = {run.point.index: run for run in runs[1:]}
        self._current: PointRun | None = runs[0]
        for run in runs:
            run.restart(strict=len(runs) > 1)

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
            run.restart(strict=True)
            self._left[run.point.index] = run
        self._current = self._left.pop(index, None) if index is not None else None
        return rest


def _divide(amount: int, weights: Sequence[int]) -> list[int]:
    """An amount in whole parts of these weights, none of it lost."""
    whole, done, given = sum(weights), 0, 0
    parts = []
    for weight in weights:
        done += weight
        parts.append(amount * done // whole - given)
        given += parts[-1]
    return parts
