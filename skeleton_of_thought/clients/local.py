"""A model on this machine, through the batched engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skeleton_of_thought.decoding import GenerationRequest, get_engine
from skeleton_of_thought.prompts import PROMPTS, AnyPrompts
from skeleton_of_thought.request import Delta

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

    from skeleton_of_thought.decoding import GenerationResult
    from skeleton_of_thought.request import Request

LONGEST_ANSWER = 512
"""Tokens of a direct answer."""


class LocalClient:
    """Answers a run's requests with the engine in this process.

    Args:
        model: `"local"`, a folder, or an id on the Hub.
        dtype: Of the weights.
    """

    max_stops: int | None = None

    def __init__(self, model: str = "local", *, dtype: str = "auto") -> None:
        self.name = "local" if model == "local" else f"hf:{model}"
        self.prompts: AnyPrompts = PROMPTS["partial-examples"]
        self._engine = get_engine(model, dtype=dtype)

    @property
    def load(self) -> float:
        """Requests, running and waiting, per row of the engine's batch."""
        return self._engine.occupancy

    def stream(self, request: Request) -> Generator[Delta]:
        """The answer to a request, as it is written."""
        generation = self._engine.submit(_generation(request))
        try:
            for text in generation:
                yield Delta(text)
            yield _last(generation.result())
        finally:
            generation.cancel()

    async def astream(self, request: Request) -> AsyncGenerator[Delta]:
        """The same with asyncio."""
        generation = self._engine.submit(_generation(request))
        try:
            async for text in generation:
                yield Delta(text)
            yield _last(await generation.aresult())
        finally:
            generation.cancel()


def _generation(request: Request) -> GenerationRequest:
    messages = [{"role": message.role, "content": message.text} for message in request.messages]
    return GenerationRequest(
        messages=messages,
        continue_final_message=messages[-1]["role"] == "assistant",
        max_tokens=request.max_tokens or LONGEST_ANSWER,
        stop=request.stop,
        **request.steering.to_dict(),
    )


def _last(result: GenerationResult) -> Delta:
    reason = result.finish_reason
    return Delta(usage=result.usage, truncated=reason == "length", finish_reason=reason)
