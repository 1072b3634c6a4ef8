"""Skeleton-of-Thought for LangChain: runnables that stand where a chat model stood, and a local chat model."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from skeleton_of_thought.errors import require

if TYPE_CHECKING:
    from langchain_sot.chain import SkeletonOfThoughtChain
    from langchain_sot.chat import ChatSkeletonOfThought
    from langchain_sot.chat_transformers import ChatTransformers
    from langchain_sot.router import SkeletonOfThoughtRouter

__all__ = ["ChatSkeletonOfThought", "ChatTransformers", "SkeletonOfThoughtChain", "SkeletonOfThoughtRouter"]

_HOMES = {
    "ChatSkeletonOfThought": "langchain_sot.chat",
    "ChatTransformers": "langchain_sot.chat_transformers",
    "SkeletonOfThoughtChain": "langchain_sot.chain",
    "SkeletonOfThoughtRouter": "langchain_sot.router",
}


def __getattr__(name: str) -> Any:
    """Import on first use, so that the package can be imported without LangChain."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    require("langchain_core", extra="langchain", needed_for=f"langchain_sot.{name}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
