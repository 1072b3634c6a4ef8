"""Engines shared by everything in the process that asks for the same model."""

from __future__ import annotations

import threading
from typing import Any

from skeleton_of_thought.decoding._engine import Engine
from skeleton_of_thought.decoding._loading import load_model, pick_device, pick_dtype

_engines: dict[tuple[Any, ...], Engine] = {}
_lock = threading.Lock()


def get_engine(
    name: str = "local", *, dtype: str = "auto", device: str = "auto", revision: str | None = None
) -> Engine:
    """The engine of a model: made on the first call, the same one for every later call like it.

    It stays until it is closed or the process ends.
    """
    target = pick_device(device)
    key = (name, pick_dtype(dtype, target), target, revision)
    with _lock:
        engine = _engines.get(key)
        if engine is None or engine.closed:
            engine = Engine(*load_model(name, dtype=dtype, device=device, revision=revision))
            _engines[key] = engine
        return engine
