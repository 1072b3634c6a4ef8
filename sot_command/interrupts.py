"""Ctrl-C, also where a library makes another error of it."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType


class Interrupts:
    """Whether the user pressed Ctrl-C.

    A module whose import is interrupted is often reported as missing, and its error hides the interrupt.

    Attributes:
        seen: Whether it was pressed.
    """

    def __init__(self) -> None:
        self.seen = False

    def note(self, number: int, frame: FrameType | None) -> None:
        """Remember it, and raise `KeyboardInterrupt` as Python does."""
        self.seen = True
        signal.default_int_handler(number, frame)


@contextmanager
def noted_interrupts() -> Iterator[Interrupts]:
    """Take note of Ctrl-C until the end of the block; a handler that somebody else has set stays.

    Inside of such a block another one has the same notes.
    """
    outer = getattr(signal.getsignal(signal.SIGINT), "__self__", None)
    if isinstance(outer, Interrupts):
        yield outer
        return
    interrupts = Interrupts()
    ours = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )
    if ours:
        signal.signal(signal.SIGINT, interrupts.note)
    try:
        yield interrupts
    finally:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)
