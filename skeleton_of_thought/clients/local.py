"""A model on this machine, through the batched engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skeleton_of_thought.decoding import GenerationRequest, get_engine
from skeleton_of_thought.prompts import PROMPTS
from skeleton_of_thought.request import Delta

if TYPE_CHECKING:
    from collections.abc import Iterator

    from skeleton_of_thought.request import Request

LONGEST_ANSWER = 512
"""Tokens of a direct answer."""


class LocalClient:
    """The engine's requests as a run sends them.

    Args:
        model: `"local"`, a GGUF file, a folder, or an id on the Hub.
        dtype: What the weights are kept in; see `skeleton_of_thought.decoding.load_model`.
    """

    max_stops: int | None = None
    prompts = PROMPTS["partial-examples"]

    def __init__(self, model: str = "local", *, dtype: str = "auto") -> None:
        self.name = "local" if model == "local" else f"hf:{model}"
        self._engine = get_engine(model, dtype=dtype)

    def stream(self, request: Request) -> Iterator[Delta]:
        """The answer to a request, as it is written."""
        messages = [{"role": message.role, "content": message.text} for message in request.messages]
        generation = self._engine.submit(
            GenerationRequest(
                messages=messages,
                continue_final_message=messages[-1]["role"] == "assistant",
                max_tokens=request.max_tokens or LONGEST_ANSWER,
                stop=request.stop,
                **request.steering.to_dict(),
            )
        )
        try:
            for text in generation:
                yield Delta(text)
            result = generation.result()
            yield Delta(
                usage=result.usage,
                truncated=result.finish_reason == "length",
                finish_reason=result.finish_reason,
            )
        finally:
            generation.cancel()
