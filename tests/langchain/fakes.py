"""A chat model that writes what it is told to, token by token, and keeps a record of every request."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import Field

from skeleton_of_thought import Prompts

PROMPTS = Prompts(skeleton="SKELETON of {request}", point="POINT {point} is {point_outline}")
"""Prompts that make the stage of a request plain to the fake, whatever the product's own prompts say."""

TITLES = ("Light", "Coffee", "Exercise", "Noise", "Rhythm", "Screens", "Meals", "Worries")
QUESTION = "How do I sleep better?"
DIRECT = "Go to bed at the same hour every day and all will be well."
SKELETON = "\n".join(f"{number}. {title}" for number, title in enumerate(TITLES, start=1))


def point_text(title):
    return f"All about {title.lower()} in one line."


def whole(titles=TITLES):
    """The assembled answer."""
    return "\n\n".join(
        f"{number}. {title}: {point_text(title)}" for number, title in enumerate(titles, start=1)
    )


class BusyError(Exception):
    """A failure that may be gone the next time."""


@dataclass
class Seen:
    """One request as the model saw it."""

    stage: str
    index: int
    messages: list[Any]
    kwargs: dict[str, Any]
    attempt: int
    started: float = field(default_factory=time.perf_counter)
    ended: float = 0.0
    outcome: str = "running"


@dataclass
class Log:
    """Every request, from any thread."""

    seen: list[Seen] = field(default_factory=list)
    batches: list[tuple[int, list[Any]]] = field(default_factory=list)
    most: int = 0
    running: int = 0
    lock: Any = field(default_factory=threading.Lock)

    def open(self, messages, kwargs):
        text = messages[-1].text
        point = re.match(r"POINT (\d+) is ", text)
        stage = "point" if point else "skeleton" if text.startswith("SKELETON") else "direct"
        with self.lock:
            attempt = 1 + sum(seen.messages == messages for seen in self.seen)
            seen = Seen(stage, int(point[1]) if point else 0, list(messages), kwargs, attempt)
            self.seen.append(seen)
            self.running += 1
            self.most = max(self.most, self.running)
        return seen

    def close(self, seen, outcome):
        with self.lock:
            seen.outcome, seen.ended = outcome, time.perf_counter()
            self.running -= 1

    def of(self, stage):
        return [seen for seen in self.seen if seen.stage == stage]


def no_fault(seen: Seen) -> Exception | None:
    return None


def same_pace(seen: Seen) -> float:
    return 0.0


class FakeChat(BaseChatModel):
    """Answers skeleton, point and direct requests; its texts, pace and failures are functions of the request.

    Attributes:
        skeleton: What it answers to a skeleton request.
        direct: What it answers to any other.
        token_seconds: Seconds before each token of a request.
        fault: What a request raises, after `fault_after` tokens.
        batched: Whether to record calls of `batch` and `abatch`.
    """

    skeleton: str = SKELETON
    direct: Any = DIRECT
    token_seconds: Callable[[Seen], float] = same_pace
    fault: Callable[[Seen], BaseException | None] = no_fault
    fault_after: int = 0
    log: Log = Field(default_factory=Log)

    @property
    def _llm_type(self):
        return "fake"

    def _tokens(self, seen):
        if seen.stage == "point":
            text = point_text(seen.messages[-1].text.partition(" is ")[2])
        else:
            text = self.skeleton if seen.stage == "skeleton" else self.direct
        if isinstance(text, str):
            return [AIMessageChunk(content=token) for token in re.findall(r"\s*\S+|\s+", text)]
        return [text]

    def _run(self, seen):
        """Pairs of a pause and a chunk; the last chunk has the bill."""
        fault = self.fault(seen)
        pause = self.token_seconds(seen)
        tokens = self._tokens(seen)
        for place, token in enumerate(tokens):
            if fault is not None and place >= self.fault_after:
                raise fault
            yield pause, token
        usage = {
            "input_tokens": sum(len(m.text.split()) for m in seen.messages),
            "output_tokens": len(tokens),
        }
        usage["total_tokens"] = sum(usage.values())
        metadata = {"model_name": "fake-1", "finish_reason": "stop"}
        yield 0, AIMessageChunk(content="", usage_metadata=usage, response_metadata=metadata)

    def _stream(self, messages, stop=None, run_manager=None, **kwargs):
        seen = self.log.open(messages, {"stop": stop, **kwargs})
        outcome = "cancelled"
        try:
            for pause, chunk in self._run(seen):
                time.sleep(pause)
                yield ChatGenerationChunk(message=chunk)
            outcome = "answered"
        except Exception:
            outcome = "failed"
            raise
        finally:
            self.log.close(seen, outcome)

    async def _astream(self, messages, stop=None, run_manager=None, **kwargs):
        seen = self.log.open(messages, {"stop": stop, **kwargs})
        outcome = "cancelled"
        try:
            for pause, chunk in self._run(seen):
                await asyncio.sleep(pause)
                yield ChatGenerationChunk(message=chunk)
            outcome = "answered"
        except Exception:
            outcome = "failed"
            raise
        finally:
            self.log.close(seen, outcome)

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        return _result(list(self._stream(messages, stop, **kwargs)))

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
        return _result([chunk async for chunk in self._astream(messages, stop, **kwargs)])


def _result(chunks):
    whole = sum((chunk.message for chunk in chunks[1:]), chunks[0].message)
    fields = ("content", "response_metadata", "usage_metadata", "tool_calls", "additional_kwargs")
    message = AIMessage(**{name: getattr(whole, name) for name in fields})
    return ChatResult(generations=[ChatGeneration(message=message)])


class PrefixCachingChat(FakeChat):
    """A model whose provider keeps marked prompts: with `prompt_cache`, one point may go before the others."""

    @property
    def _llm_type(self):
        return "anthropic-chat"


class BatchingChat(FakeChat):
    """A model with a batch of its own, as a local engine has."""

    def batch(self, inputs, config=None, *, return_exceptions=False, **kwargs):
        self.log.batches.append((len(inputs), config))
        return super().batch(inputs, config, return_exceptions=return_exceptions, **kwargs)

    async def abatch(self, inputs, config=None, *, return_exceptions=False, **kwargs):
        self.log.batches.append((len(inputs), config))
        return await super().abatch(inputs, config, return_exceptions=return_exceptions, **kwargs)


def outcomes(message):
    """What a message says of its points."""
    return [(point["status"], point["text"]) for point in message.response_metadata["sot"]["points"]]


def added(chunks):
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole = whole + chunk
    return whole


async def ask(chain, way, value=QUESTION, config=None, **kwargs):
    """The answer as one message, asked for in one of four ways."""
    if way == "invoke":
        return await asyncio.to_thread(chain.invoke, value, config, **kwargs)
    if way == "ainvoke":
        return await chain.ainvoke(value, config, **kwargs)
    if way == "stream":
        return added(await asyncio.to_thread(lambda: list(chain.stream(value, config, **kwargs))))
    return added([chunk async for chunk in chain.astream(value, config, **kwargs)])


WAYS = ("invoke", "ainvoke", "stream", "astream")
