"""Local decoding: one inference thread that batches every concurrent request.

Needs the extra `local` (torch and transformers), which is imported when a name here is first used. In reading order:

request       what is asked of the engine, and what comes back; generation is the handle to read it by or cancel it
engine        one thread and one queue; shared gives everybody in the process the same one
scheduler     which tokens go through the model together, step by step; job is one request from the queue to its end
prompt        from a conversation to token ids; text goes back, vocabulary knows what the tokens say
sampling      the next token of a row
memory        keys and values of prompts and rows; prefixes finds prompts that begin alike
attention     the attention of one flat pass; rows is that of the rows that decode, kernels what both compute with
view          a model as the engine runs it; fused is the fast way through blocks of the Llama family
loading       model and tokenizer, from wherever they are; packaged and gguf_file read the formats, quiet hides the bars
dtypes        the names of what weights are kept in
quantized     weights in 4 or 8 bits; stored keeps them in a folder
products      matrix products laid out for the CPU; packed and packed_groups are the layouts
local_model   what both frameworks' local models are made of
threads       keeping the cores for the thread that decodes; thread_tuner says how many it takes
"""

from __future__ import annotations

import gc
import warnings
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

from skeleton_of_thought.decoding.generation import Generation
from skeleton_of_thought.decoding.request import FinishReason, GenerationRequest, GenerationResult
from skeleton_of_thought.errors import require

if TYPE_CHECKING:
    from collections.abc import Iterator

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
        with _nothing_collected():
            for module in ("torch", "transformers"):
                require(module, extra="local", needed_for="Local decoding")
            return getattr(import_module(f"{__name__}.{_NEEDS_TORCH[name]}"), name)


@contextmanager
def _nothing_collected() -> Iterator[None]:
    """Without garbage collection: it finds nothing while modules are imported, and takes a tenth of the time."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
