"""A local LLM for LlamaIndex: transformers underneath, every concurrent call in one batch."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from llama_index.core.base.llms.types import LLMMetadata, TextBlock
from llama_index.core.bridge.pydantic import ConfigDict
from llama_index.core.constants import DEFAULT_CONTEXT_WINDOW

from llamaindex_sot.llms.delta_llm import DeltaLLM
from llamaindex_sot.messages import readable
from skeleton_of_thought.decoding.local_model import LocalModel
from skeleton_of_thought.request import Delta

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator, Sequence

    from llama_index.core.base.llms.types import ChatMessage

    from skeleton_of_thought.decoding import Generation, GenerationResult

LOCAL = "local"
"""The packaged model."""


class TransformersLLM(LocalModel, DeltaLLM):
    r"""An LLM that runs on this machine, with true batching.

    Everything that is asked at the same time is decoded in the same steps: concurrent `achat`s, calls from
    several threads, two query engines, several instances of the same model. Instances with the same model,
    dtype and device share one engine and its memory.

    A conversation that ends with an assistant's message is continued: the model writes on from its text.
    `complete` asks the prompt as a user's message; with `formatted=True` the prompt is the model's whole
    input, special tokens included.

    The attributes are those of `skeleton_of_thought.decoding.local_model.LocalModel`: `model`, `dtype`, `device`,
    `max_tokens`, `temperature`, `seed`, `stop`, ...

    Example:
        ```python
        from llamaindex_sot import TransformersLLM

        llm = TransformersLLM(max_tokens=40, stop=["\n"])
        llm.complete("What is the capital of France?").text
        ```
    """

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True, protected_namespaces=())

    @classmethod
    def class_name(cls) -> str:
        """Name in traces and serialized components."""
        return "TransformersLLM"

    @property
    def metadata(self) -> LLMMetadata:
        """What LlamaIndex plans with; loads the model, whose context window it names."""
        return LLMMetadata(
            context_window=self.engine.context_window or DEFAULT_CONTEXT_WINDOW,
            num_output=self.max_tokens,
            is_chat_model=True,
            model_name=self.model,
        )

    # What the base makes LlamaIndex's methods of.

    def _deltas(self, messages: Sequence[ChatMessage], **options: Any) -> Iterator[Delta]:
        return _written(self._submit(_conversation(messages), options))

    async def _adeltas(self, messages: Sequence[ChatMessage], **options: Any) -> AsyncGenerator[Delta]:
        prompt = _conversation(messages)
        async for delta in _awritten(await self._asubmit(prompt, options)):
            yield delta

    def _completion_deltas(self, prompt: str, *, formatted: bool, **options: Any) -> Iterator[Delta]:
        return _written(self._submit(self._prompt(prompt, formatted=formatted), options))

    async def _acompletion_deltas(
        self, prompt: str, *, formatted: bool, **options: Any
    ) -> AsyncGenerator[Delta]:
        async for delta in _awritten(await self._asubmit(self._prompt(prompt, formatted=formatted), options)):
            yield delta

    @property
    def _about(self) -> dict[str, Any]:
        return {"model": self.model}

    def _submit(self, prompt: dict[str, Any], options: dict[str, Any]) -> Generation:
        """Queue one prompt."""
        stop = options.pop("stop", None)
        return self.engine.submit(self._request(prompt, stop, options))

    async def _asubmit(self, prompt: dict[str, Any], options: dict[str, Any]) -> Generation:
        """`_submit`; loading the model, if it is not loaded yet, does not block the event loop."""
        await asyncio.get_running_loop().run_in_executor(None, lambda: self.engine)
        return self._submit(prompt, options)

    def _prompt(self, prompt: str, *, formatted: bool) -> dict[str, Any]:
        if formatted:
            return {"input_ids": self.engine.tokenizer.encode(prompt)}
        return {"messages": [{"role": "user", "content": prompt}]}


def _written(generation: Generation) -> Iterator[Delta]:
    try:
        for text in generation:
            yield Delta(text)
        yield _end(generation.result())
    finally:
        generation.cancel()


async def _awritten(generation: Generation) -> AsyncGenerator[Delta]:
    try:
        async for text in generation:
            yield Delta(text)
        yield _end(await generation.aresult())
    finally:
        generation.cancel()


def _end(result: GenerationResult) -> Delta:
    cut_off = result.finish_reason == "length"
    return Delta(usage=result.usage, truncated=cut_off, finish_reason=result.finish_reason)


def _conversation(messages: Sequence[ChatMessage]) -> dict[str, Any]:
    """Messages as the engine takes them, and whether the last one is an unfinished answer.

    Thoughts of another model are left out: nobody but that model goes on with them.
    """
    conversation = [
        {"role": role, "content": "".join(block.text for block in blocks)}
        for role, blocks in readable(messages, who="TransformersLLM", kinds=(TextBlock,))
    ]
    unfinished = bool(conversation) and conversation[-1]["role"] == "assistant"
    if unfinished and not conversation[-1]["content"]:
        return {"messages": conversation[:-1]}
    return {"messages": conversation, "continue_final_message": unfinished}
