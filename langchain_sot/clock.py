"""When each request of a batch was answered: the batch itself hands over its answers together, with the last one."""

from __future__ import annotations

import time
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler


class Clock(BaseCallbackHandler):
    """Notes how long one request took.

    Args:
        seconds: Where it is noted, by the request's id.
        request_id: Whose time it is.
        sent: When it was sent, on `time.monotonic()`'s clock.
    """

    run_inline = True

    def __init__(self, seconds: dict[str, float], request_id: str, sent: float) -> None:
        self._seconds = seconds
        self._id = request_id
        self._sent = sent

    @property
    def ignore_chat_model(self) -> bool:
        """Only ends count."""
        return True

    def on_llm_end(self, *_: Any, **__: Any) -> None:
        """A model has answered."""
        self._seconds[self._id] = time.monotonic() - self._sent

    def on_chain_end(self, *_: Any, **__: Any) -> None:
        """Something around a model has answered."""
        self._seconds[self._id] = time.monotonic() - self._sent
