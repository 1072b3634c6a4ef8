"""A model on this machine, through the batched engine, without a thread per request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skeleton_of_thought.clients.local import LONGEST_ANSWER
from skeleton_of_thought.decoding import GenerationRequest, get_engine
from skeleton_of_thought.prompts import PROMPTS, AnyPrompts
from skeleton_of_thought.request import Delta, as_stops

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from skeleton_of_thought.request import Request

_SAMPLING = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty", "seed")


class LocalUpstream:
    """Answers runs' requests with the engine in this process.

    Args:
        model: `"local"`, a folder, or an id on the Hub.
        dtype: Of the weights.
    """

    max_stops: int | None = None
    prompts: AnyPrompts = PROMPTS["partial-examples"]
    relays = False

    def __init__(self, model: str = "local", *, dtype: str = "auto") -> None:
        self.name = "local" if model == "local" else f"hf:{model}"
        self.identity = self.name
        self._engine = get_engine(model, dtype=dtype)

    async def astream(self, request: Request, fields: Mapping[str, Any]) -> AsyncGenerator[Delta]:
        """The answer to a request, as it is written."""
        messages = [{"role": message.role, "content": message.text} for message in request.messages]
        longest = request.max_tokens or fields.get("max_completion_tokens") or fields.get("max_tokens")
        generation = self._engine.submit(
            GenerationRequest(
                messages=messages,
                continue_final_message=messages[-1]["role"] == "assistant",
                max_tokens=longest or LONGEST_ANSWER,
                stop=request.stop or as_stops(fields.get("stop")),
                **{name: fields[name] for name in _SAMPLING if fields.get(name) is not None},
                **request.steering.to_dict(),
            )
        )
        try:
            async for text in generation:
                yield Delta(text)
            result = await generation.aresult()
            yield Delta(
                usage=result.usage,
                truncated=result.finish_reason == "length",
                finish_reason=result.finish_reason,
            )
        finally:
            generation.cancel()

    async def aclose(self) -> None:
        """The engine belongs to the process, not to a server in it."""
