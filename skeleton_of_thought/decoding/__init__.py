"""Local decoding: one inference thread that batches every concurrent request.

Needs the extra `local` (torch and transformers), which is imported when a name here is first used.
"""

from __future__ import annotations

import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any

from skeleton_of_thought.decoding.generation import Generation
from skeleton_of_thought.decoding.request import FinishReason, GenerationRequest, GenerationResult
from skeleton_of_thought.errors import require

if TYPE_CHECKING:
    from skeleton_of_thought.decoding.engine import Engine
    from skeleton_of_thought.decoding.loading import load_model
    from skeleton_of_thought.decoding.shared import find_engine, get_engine

__all__ = [
    "Engine",
    "FinishReason",
    "Generation",
    "GenerationRequest",
    "GenerationResult",
    "find_engine",
    "get_engine",
    "load_model",
]

_NEEDS_TORCH = {
    "Engine": "engine",
    "load_model": "loading",
    "find_engine": "shared",
    "get_engine": "shared",
}


def __getattr__(name: str) -> Any:
    if name not in _NEEDS_TORCH:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "IProgress not found")  # in Jupyter, tqdm's bars are text then
        for module in ("torch", "transformers"):
            require(module, extra="local", needed_for="Local decoding")
        return getattr(import_module(f"{__name__}.{_NEEDS_TORCH[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
