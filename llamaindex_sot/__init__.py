"""Skeleton-of-Thought for LlamaIndex: synthesizer, query engine, selector, an LLM in front of LLMs and a local one.

In reading order (llms/, sources/ and documents/ have maps of their own):

everyday         the options that mean the same everywhere; model_defaults is where they come from if not given
query_engine     questions without retrieval
synthesizer      answers from retrieved chunks; asked is one question on its way, prompts is what the model reads
selector         LlamaIndex's router query engine, steered by our routers
answer_run       a run turned into text; events is what instrumentation hears of it
calls            a run's requests, sent through an LLM; fallback_usage counts calls that others make
messages         messages to the method, and what a response tells
templates        the prompts as LlamaIndex shows and replaces them
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from skeleton_of_thought.errors import require

if TYPE_CHECKING:
    from llamaindex_sot.llms.langchain_llm import LangChainLLM
    from llamaindex_sot.llms.sot_llm import SkeletonOfThoughtLLM
    from llamaindex_sot.llms.transformers_llm import TransformersLLM
    from llamaindex_sot.query_engine import SkeletonOfThoughtQueryEngine
    from llamaindex_sot.selector import SkeletonOfThoughtSelector
    from llamaindex_sot.synthesizer import SkeletonOfThoughtSynthesizer

__all__ = [
    "LangChainLLM",
    "SkeletonOfThoughtLLM",
    "SkeletonOfThoughtQueryEngine",
    "SkeletonOfThoughtSelector",
    "SkeletonOfThoughtSynthesizer",
    "TransformersLLM",
]

_HOMES = {
    "LangChainLLM": "llamaindex_sot.llms.langchain_llm",
    "SkeletonOfThoughtLLM": "llamaindex_sot.llms.sot_llm",
    "SkeletonOfThoughtQueryEngine": "llamaindex_sot.query_engine",
    "SkeletonOfThoughtSelector": "llamaindex_sot.selector",
    "SkeletonOfThoughtSynthesizer": "llamaindex_sot.synthesizer",
    "TransformersLLM": "llamaindex_sot.llms.transformers_llm",
}


def __getattr__(name: str) -> Any:
    """Import on first use, so that the package can be imported without LlamaIndex."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    require("llama_index.core", extra="llamaindex", needed_for=f"llamaindex_sot.{name}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
