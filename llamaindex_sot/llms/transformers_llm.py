"""A local LLM for LlamaIndex: transformers underneath, every concurrent call in one batch."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self

from llama_index.core.base.llms.types import LLMMetadata, TextBlock
from llama_index.core.bridge.pydantic import ConfigDict, Field, PrivateAttr
from llama_index.core.constants import DEFAULT_CONTEXT_WINDOW

from llamaindex_sot.llms.delta_llm import DeltaLLM
from llamaindex_sot.messages import readable
from skeleton_of_thought.decoding import GenerationRequest
from skeleton_of_thought.errors import ConfigurationError
from skeleton_of_thought.request import Delta

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator, Sequence

    from llama_index.core.base.llms.types import ChatMessage

    from skeleton_of_thought.decoding import Engine, Generation, GenerationResult

LOCAL = "local"
"""The packaged model."""

_SAMPLING = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty", "seed", "max_tokens")
_PER_CALL = ("soft_max_tokens", "suppress")


class TransformersLLM(DeltaLLM):
    r"""An LLM that runs on this machine, with true batching.

    Everything that is asked at the same time is decoded in the same steps: concurrent `achat`s, calls from
    several threads, two query engines, several instances of the same model. Instances with the same model,
    dtype and device share one engine and its memory.

    A conversation that ends with an assistant's message is continued: the model writes on from its text.
    `complete` asks the prompt as a user's message; with `formatted=True` the prompt is the model's whole
    input, special tokens included. Besides the options below, a call takes `soft_max_tokens` (after so many the
    text ends with its sentence) and `suppress` (strings that no token may have in it).

    Attributes:
        model: `"local"` for the packaged SmolLM2-135M-Instruct, a GGUF file, a folder, or the id of a model on the
            Hub.
        dtype: `"auto"`: on a CPU, the packaged model and GGUF files keep their file's precision, 4 bits for the
            packaged one; else bfloat16 where the chip computes in it, or float32. `"int4"` or `"int8"` (on a
            CPU), `"float32"`, `"bfloat16"`, `"float16"`.
        device: `"auto"` is CUDA, else MPS, else the CPU.
        revision: Branch, tag or commit of a Hub model.
        max_tokens: Most tokens to write, 512 unless set.
        temperature: 0 is greedy. None, as for the next four, is what the model's generation config says.
        top_p: Sample among the most likely tokens that together have this probability.
        top_k: Sample among this many most likely tokens; 0 is no limit.
        min_p: Sample among tokens at least this fraction as likely as the most likely one.
        repetition_penalty: Above 1 makes tokens less likely that are already there.
        seed: Makes sampled texts repeatable.
        stop: Strings that end a text; the text is cut before them.

    Example:
        ```python
        from llamaindex_sot import TransformersLLM

        llm = TransformersLLM(max_tokens=40, stop=["\n"])
        llm.complete("What is the capital of France?").text
        ```
    """

    model: str = LOCAL
    dtype: str = "auto"
    device: str = "auto"
    revision: str | None = None
    max_tokens: int = Field(default=512, ge=1)
    temperature: float | None = Field(default=None, ge=0)
    top_p: float | None = Field(default=None, ge=0, le=1)
    top_k: int | None = Field(default=None, ge=0)
    min_p: float | None = Field(default=None, ge=0, le=1)
    repetition_penalty: float | None = Field(default=None, gt=0)
    seed: int | None = None
    stop: list[str] | None = None

    _engine: Any = PrivateAttr(default=None)

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True, protected_namespaces=())

    @classmethod
    def from_engine(cls, engine: Engine, *, model: str, **options: Any) -> Self:
        """An LLM on an engine of your own, for a model that is already loaded.

        Args:
            engine: Decodes.
            model: What to call the model in traces and metadata.
            **options: The sampling options of the class.
        """
        llm = cls(model=model, **options)
        llm._engine = engine
        return llm

    @classmethod
    def class_name(cls) -> str:
        """Name in traces and serialized components."""
        return "TransformersLLM"

    @property
    def engine(self) -> Engine:
        """The engine that decodes; the model is loaded on first use."""
        if self._engine is not None:
            engine: Engine = self._engine
            return engine
        from skeleton_of_thought.decoding import get_engine

        return get_engine(self.model, dtype=self.dtype, device=self.device, revision=self.revision)

    @property
    def metadata(self) -> LLMMetadata:
        """What LlamaIndex plans with; loads the model, whose context window it names."""
        return LLMMetadata(
            context_window=self.engine.context_window or DEFAULT_CONTEXT_WINDOW,
            num_output=self.max_tokens,
            is_chat_model=True,
            model_name=self.model,
        )

    @property
    def occupancy(self) -> float:
        """How full the engine's batch is, waiting requests included: 0 is idle, from 1 on new ones wait."""
        from skeleton_of_thought.decoding.shared import find_engine

        engine = self._engine or find_engine(
            self.model, dtype=self.dtype, device=self.device, revision=self.revision
        )
        return 0.0 if engine is None else float(engine.occupancy)

    def token_ids(self, text: str) -> list[int]:
        """Token ids of a text, by the model's own tokenizer."""
        ids: list[int] = self.engine.tokenizer.encode(text, add_special_tokens=False)
        return ids

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
        if unknown := sorted(options.keys() - {*_SAMPLING, *_PER_CALL}):
            raise ConfigurationError(
                f"TransformersLLM has no option {', '.join(unknown)}; a call takes stop, "
                f"{', '.join((*_SAMPLING, *_PER_CALL))}."
            )
        sampling = {key: getattr(self, key) for key in _SAMPLING} | options
        stop = tuple(stop if stop is not None else self.stop or ())
        return self.engine.submit(GenerationRequest(**prompt, stop=stop, **sampling))

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
    return Delta(usage=result.usage, truncated=result.finish_reason == "length")


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
