"""A run that does not wait for its router: what the two ways bring is held until it has decided."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from skeleton_of_thought.request import Request, Stage

    Happening = Callable[[], Sequence[Request]]


class Race:
    """What skeleton and direct answer have led to so far, in order, while the router still thinks."""

    def __init__(self) -> None:
        self._held: dict[Stage, list[Happening]] = {}

    def hold(self, stage: Stage, happen: Happening) -> None:
        """Something that happens only if this stage turns out to be wanted."""
        self._held.setdefault(stage, []).append(happen)

    def take(self, stage: Stage) -> Sequence[Happening]:
        """What was held for a stage."""
        return self._held.pop(stage, [])
