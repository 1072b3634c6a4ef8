"""Engines shared by everything in the process that asks for the same model."""

from __future__ import annotations

import threading
from typing import Any

from skeleton_of_thought.decoding.engine import Engine
from skeleton_of_thought.decoding.loading import pick_device, pick_dtype, pick_precision

_engines: dict[tuple[Any, ...], Engine] = {}
_loading = threading.Lock()


def get_engine(
    name: str = "local", *, dtype: str = "auto", device: str = "auto", revision: str | None = None
) -> Engine:
    """The engine of a model: made on the first call, the same one for every later call like it.

    It stays until it is closed or the process ends. The arguments are those of `load_model`.
    """
    with _loading:
        engine = find_engine(name, dtype=dtype, device=device, revision=revision)
        if engine is None:
            engine = Engine.load(name, dtype=dtype, device=device, revision=revision)
            _engines[_key(name, dtype, device, revision)] = engine
        return engine


def find_engine(
    name: str = "local", *, dtype: str = "auto", device: str = "auto", revision: str | None = None
) -> Engine | None:
    """The engine `get_engine` would return, if it is there already; never waits."""
    engine = _engines.get(_key(name, dtype, device, revision))
    return None if engine is None or engine.closed else engine


def _key(name: str, dtype: str, device: str, revision: str | None) -> tuple[Any, ...]:
    target = pick_device(device)
    precision = pick_precision(dtype, target, name)
    kind = pick_dtype("auto" if precision else dtype, target)
    return name, precision, kind, target, revision
