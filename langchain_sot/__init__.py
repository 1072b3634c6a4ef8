"""Skeleton-of-Thought for LangChain: runnables that stand where a chat model stood, and a local chat model.

In reading order:

base             the options all of them have; models is what can be known of the model they are given
chain            the chain; graph is its picture
chat             the chat model in front of a chat model; middleware is the same for an agent
router           chain or plain model, per question; route asks the router itself
execution        one call of a chain or chat model, which the drivers carry out
calls            a run's requests, sent through chat models; clock times those of a batch, concurrency bounds them
messages         messages to the method and back; prompt_cache marks what the provider should keep
output           the answer as LangChain reports it
reporting        what callbacks hear of the requests; listeners hear the tokens of the answer
chat_transformers  a local chat model; local_messages translates for its engine
"""

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
