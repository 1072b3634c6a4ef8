"""What the library says in its logs while the command works, for whoever waits in front of it."""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from sot_command.terminal import plain_name, say

if TYPE_CHECKING:
    from collections.abc import Iterator

_PACKAGES = ("skeleton_of_thought", "langchain_sot", "llamaindex_sot")
_PAUSES = "skeleton_of_thought.limits"
"""Says for how long nothing is sent; a pause of a second is worth a line here, if not a warning."""


class Watcher(Protocol):
    """A view that can show a pause while it lasts."""

    def pause(self, line: str, until: float) -> None:
        """Nothing is sent until a moment of `time.monotonic`."""
        ...


class Notices(logging.Handler):
    """Warnings, and what is waited for, as lines on standard error; a pause goes to the view that is watched.

    Attributes:
        watcher: The view, while there is one.
    """

    def __init__(self, level: int = logging.NOTSET) -> None:
        super().__init__(level)
        self.watcher: Watcher | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Show a record."""
        try:
            line, pause = plain_name(record.getMessage()), getattr(record, "pause", None)
            if self.watcher is not None and pause is not None:
                self.watcher.pause(line, time.monotonic() + pause)
            else:
                say(line, error=True)
        except Exception:  # noqa: BLE001 - as every handler of logging: a line lost ends no answer
            self.handleError(record)


NOTICES = Notices()
OTHERS = Notices(logging.WARNING)
"""Those of other packages, which Python would print as they are."""


@contextmanager
def shown_notices() -> Iterator[None]:
    """Show them until the end of the block."""
    pauses = logging.getLogger(_PAUSES)
    before = pauses.level
    if pauses.getEffectiveLevel() > logging.INFO:
        pauses.setLevel(logging.INFO)
    for name in _PACKAGES:
        logging.getLogger(name).addHandler(NOTICES)
    last, logging.lastResort = logging.lastResort, OTHERS
    try:
        yield
    finally:
        logging.lastResort = last
        for name in _PACKAGES:
            logging.getLogger(name).removeHandler(NOTICES)
        pauses.setLevel(before)
