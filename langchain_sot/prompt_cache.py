"""Tells the provider which part of a run's prompts to keep in its prompt cache.

The point requests continue the skeleton request, so everything up to the skeleton instruction is one prefix. The
skeleton request writes it to the cache before any point is sent; the points, sent together, all read it.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from langchain_sot.models import chat_model, name_of
from skeleton_of_thought.usage import CHARACTERS_PER_TOKEN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_core.messages import BaseMessage

    from skeleton_of_thought.messages import Message
    from skeleton_of_thought.request import Request, Stage

SHORTEST_PREFIX = 1024
"""Tokens below which OpenAI and Anthropic cache nothing; some Claude models want more, and then ignore the mark."""

_MOST_MARKS = 4
"""Cache marks Anthropic takes in a request, the caller's included."""

_WRITE, _READ = 1.25, 0.1
"""What Anthropic takes for a token written to its cache, and read from it, where a plain one costs 1."""

_WORTH_WAITING = 0.05


class PromptCaching:
    """How the requests of one run are marked; marks nothing where that would not pay.

    It pays where the requests share a prefix that is long enough, and the same model reads it that wrote it:
    else every point would pay for writing a cache nobody reads.
    """

    def __init__(self, models: Mapping[Stage, Any]) -> None:
        skeleton, point = models["skeleton"], models["point"]
        same = skeleton is point or (name_of(skeleton) is not None and name_of(skeleton) == name_of(point))
        kind = str(getattr(chat_model(point), "_llm_type", ""))
        self._marks = same and kind.startswith("anthropic")
        self._led = False
        self._keys = same and kind.startswith(("openai", "azure-openai"))

    def messages(self, request: Request, messages: list[BaseMessage]) -> list[BaseMessage]:
        """The messages of a request, with Anthropic's mark on the last block all requests share."""
        if not (self._marks and _pays(request)) or _marks(messages) >= _MOST_MARKS:
            return messages
        marked = list(messages)
        marked[request.shared - 1] = _marked(messages[request.shared - 1])
        if self._led and request.stage == "point" and _marks(marked) < _MOST_MARKS:
            asked = max(i for i, message in enumerate(request.messages) if message.role == "user")
            marked[asked] = _split(messages[asked], request.common)
        return marked

    @property
    def may_lead(self) -> bool:
        """Whether `leads` may say yes."""
        return self._marks

    def leads(self, requests: Sequence[Request]) -> bool:
        """Whether one point should go first, to write the skeleton and the instruction to the cache for the others.

        It costs the wait for a first token, and pays if it takes a twentieth off the price of all prompts.
        """
        if not (self._marks and _pays(requests[0])):
            return False
        first, others = requests[0], len(requests) - 1
        prefix = _characters(first.messages[: first.shared])
        own = _characters(first.messages[first.shared :])
        saved = own * ((1 - _READ) * others - (_WRITE - 1))
        price = prefix * (_WRITE + _READ * len(requests)) + own * len(requests)
        self._led = saved > _WORTH_WAITING * price
        return self._led

    def kwargs(self, request: Request) -> dict[str, str]:
        """OpenAI's key, by which requests with one prefix find the same cache."""
        if not (self._keys and _pays(request)):
            return {}
        prefix = "\0".join(message.text for message in request.messages[: request.shared])
        return {"prompt_cache_key": "sot-" + hashlib.sha256(prefix.encode()).hexdigest()[:32]}


def _pays(request: Request) -> bool:
    return _characters(request.messages[: request.shared]) // CHARACTERS_PER_TOKEN >= SHORTEST_PREFIX


def _characters(messages: Sequence[Message]) -> int:
    return sum(len(message.text) for message in messages)


def _split(message: BaseMessage, common: int) -> BaseMessage:
    """The message in two blocks, the first with a mark: what all point requests share, and the rest."""
    text = message.content
    if not isinstance(text, str) or not text[:common].strip() or not text[common:].strip():
        return message
    first = {"type": "text", "text": text[:common], "cache_control": {"type": "ephemeral"}}
    return message.model_copy(update={"content": [first, {"type": "text", "text": text[common:]}]})


def _marked(message: BaseMessage) -> BaseMessage:
    blocks: list[Any] = (
        [{"type": "text", "text": message.content}]
        if isinstance(message.content, str)
        else list(message.content)
    )
    last = blocks[-1]
    block = {"type": "text", "text": last} if isinstance(last, str) else last
    return message.model_copy(
        update={"content": [*blocks[:-1], {"cache_control": {"type": "ephemeral"}, **block}]}
    )


def _marks(messages: list[BaseMessage]) -> int:
    return sum(
        isinstance(block, dict) and "cache_control" in block
        for message in messages
        for block in (message.content if isinstance(message.content, list) else [])
    )
