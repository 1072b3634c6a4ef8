"""What somebody who waits for documents to be read and embedded is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the work on a folder has come.

    Attributes:
        stage: `"reading"` counts files, `"embedding"` counts chunks that are new or have changed.
        done: How many are done.
        total: How many there are.
        skipped: While reading: how many files of kinds that are not read the folder has, by suffix.
    """

    stage: Literal["reading", "embedding"]
    done: int
    total: int
    skipped: Mapping[str, int] = field(default_factory=dict)


Watch = Callable[[Progress], None]


def nobody(_: Progress) -> None:
    """Watches nothing."""
