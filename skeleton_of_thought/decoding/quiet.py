"""Progress bars off for a moment."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from transformers.utils import logging as transformers_logging

if TYPE_CHECKING:
    from collections.abc import Iterator

_lock = threading.Lock()


@contextmanager
def quiet(wanted: bool = True) -> Iterator[None]:
    """Hide transformers' progress bars inside the block, and leave the setting as it was found."""
    with _lock:
        shown = transformers_logging.is_progress_bar_enabled()
        if wanted and shown:
            transformers_logging.disable_progress_bar()
        try:
            yield
        finally:
            if wanted and shown:
                transformers_logging.enable_progress_bar()
