"""A local chat model: transformers underneath, every concurrent call in one batch."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from langchain_core.exceptions import ContextOverflowError as LangChainContextOverflowError
from langchain_core.exceptions import ModelTimeoutError
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
)
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables.config import get_config_list
from pydantic import ConfigDict, Field, model_validator

from langchain_sot.local_messages import chat_result, conversation_of, last_chunk
from skeleton_of_thought.decoding.local_model import SAMPLING, LocalModel
from skeleton_of_thought.errors import ConfigurationError, ContextOverflowError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
    from langchain_core.language_models.base import LangSmithParams
    from langchain_core.runnables import RunnableConfig

    from skeleton_of_thought.decoding import Engine, Generation, GenerationRequest

_LONG_PROMPT = 20_000  # characters, which take some 10 ms to encode
_USUAL_ROWS = 32  # of an engine that is loaded on first use
_REMOTE_ONLY = ("api_key", "max_retries")


class ContextTooLongError(ContextOverflowError, LangChainContextOverflowError):
    """Prompt and answer do not fit the context; LangChain's error and ours at once."""


class ChatTransformers(LocalModel, BaseChatModel):
    r"""A chat model that runs on this machine, with true batching.

    Everything that is asked at the same time is decoded in the same steps: `batch`, `abatch`, concurrent
    `astream`s, calls from several threads, several instances of the same model. Two instances with the same
    model, dtype and device share one engine and its memory.

    A conversation that ends with an `AIMessage` is continued: the model writes on from its text.

    The attributes are those of `skeleton_of_thought.decoding.local_model.LocalModel` (`model`, `dtype`, `device`,
    `max_tokens`, `temperature`, `seed`, `stop`, ...), of LangChain's `BaseChatModel`, and two more.

    `api_key` and `max_retries`, which chat models of providers take, are accepted and mean nothing here.

    Attributes:
        timeout: Most seconds for one answer, waiting included; then `ModelTimeoutError`.
        streaming: Whether `invoke` uses the streaming path too, as in all LangChain chat models.

    Example:
        ```python
        from langchain_sot import ChatTransformers

        model = ChatTransformers(max_tokens=40, stop=["\n"])
        model.invoke("What is the capital of France?").text
        ```
    """

    timeout: float | None = Field(default=None, gt=0, le=threading.TIMEOUT_MAX, allow_inf_nan=False)
    streaming: bool = False

    per_call: ClassVar[tuple[str, ...]] = ("model", *LocalModel.per_call)

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    @model_validator(mode="before")
    @classmethod
    def _drop_remote_only(cls, values: Any) -> Any:
        if isinstance(values, dict):
            return {name: value for name, value in values.items() if name not in _REMOTE_ONLY}
        return values

    # What LangChain asks about the model.

    @property
    def _llm_type(self) -> str:
        return "chat-transformers"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        names = ("model", "dtype", "device", "revision", *SAMPLING)
        # Not "stop": in a cache key, LangChain overwrites that with the stop sequences of the call.
        return {name: getattr(self, name) for name in names} | {"own_stop": self.stop}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop or self.stop, **kwargs)
        params["ls_provider"] = "transformers"
        return params

    def get_token_ids(self, text: str) -> list[int]:
        """Token ids of a text, by the model's own tokenizer."""
        return self.token_ids(text)

    def get_num_tokens_from_messages(
        self, messages: list[BaseMessage], tools: Sequence[Any] | None = None
    ) -> int:
        """Tokens of a conversation as the model sees it, its chat template included."""
        if tools:
            raise ConfigurationError("ChatTransformers does not call tools. Use a chat model that does.")
        conversation, unfinished = conversation_of(messages)
        return len(self.engine.encode(conversation, continue_final_message=unfinished))

    # Generating.

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002 (the base class calls it back)
        **kwargs: Any,
    ) -> ChatResult:
        name, generation = self._submit(messages, stop, kwargs)
        try:
            return chat_result(generation.result(self.timeout), name)
        except TimeoutError as error:
            raise self._too_slow() from error
        finally:
            generation.cancel()

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,  # noqa: ARG002
        **kwargs: Any,
    ) -> ChatResult:
        name, generation = await self._asubmit(messages, stop, kwargs)
        try:
            async with asyncio.timeout(self.timeout):
                return chat_result(await generation.aresult(), name)
        except TimeoutError as error:
            raise self._too_slow() from error
        finally:
            generation.cancel()

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        name, generation = self._submit(messages, stop, kwargs)
        try:
            for text in generation.texts(self._end()):
                yield ChatGenerationChunk(message=AIMessageChunk(content=text))
            yield last_chunk(generation.result(), name)
        except TimeoutError as error:
            raise self._too_slow() from error
        finally:
            generation.cancel()

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,  # noqa: ARG002
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        name, generation = await self._asubmit(messages, stop, kwargs)
        try:
            async for text in generation.atexts(self._end()):
                yield ChatGenerationChunk(message=AIMessageChunk(content=text))
            yield last_chunk(await generation.aresult(), name)
        except TimeoutError as error:
            raise self._too_slow() from error
        finally:
            generation.cancel()

    def batch(
        self,
        inputs: list[Any],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> list[AIMessage]:
        """`Runnable.batch` with threads enough to keep the engine's batch full."""
        configs = self._all_at_once(config, len(inputs))
        return super().batch(inputs, configs, return_exceptions=return_exceptions, **kwargs)

    def batch_as_completed(  # type: ignore[override]  # the base class has overloads for return_exceptions
        self,
        inputs: Sequence[Any],
        config: RunnableConfig | Sequence[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> Iterator[tuple[int, AIMessage | Exception]]:
        """`Runnable.batch_as_completed` with threads enough to keep the engine's batch full."""
        configs = self._all_at_once(config, len(inputs))
        yield from super().batch_as_completed(
            inputs,
            configs,
            return_exceptions=return_exceptions,  # type: ignore[call-overload]
            **kwargs,
        )

    def _all_at_once(self, config: Any, count: int) -> list[RunnableConfig] | None:
        """One config per input; without a limit of the user's, twice as many threads as the engine has rows."""
        if count == 0:
            return None
        configs = get_config_list(config, count)
        if configs[0].get("max_concurrency") is None:
            engine = self._engine_there(self.model)
            rows = _USUAL_ROWS if engine is None else engine.max_batch
            configs[0]["max_concurrency"] = min(count, 2 * rows)
        return configs

    def _submit(
        self, messages: list[BaseMessage], stop: list[str] | None, options: dict[str, Any]
    ) -> tuple[str, Generation]:
        """Queue one conversation; returns the model's name and the running generation."""
        name, request = self._asked(messages, stop, options)
        return name, _submitted(self._engine_of(name), request)

    async def _asubmit(
        self, messages: list[BaseMessage], stop: list[str] | None, options: dict[str, Any]
    ) -> tuple[str, Generation]:
        """`_submit`; what would block the event loop, loading a model or encoding a long prompt, is done in threads."""
        name, request = self._asked(messages, stop, options)
        engine = self._engine_there(name)
        if engine is None:
            engine = await asyncio.to_thread(self._engine_of, name)
        if request.messages and sum(len(message["content"]) for message in request.messages) > _LONG_PROMPT:
            unfinished = request.continue_final_message
            ids = await asyncio.to_thread(engine.encode, request.messages, continue_final_message=unfinished)
            request = replace(request, messages=None, input_ids=ids)
        return name, _submitted(engine, request)

    def _asked(
        self, messages: list[BaseMessage], stop: list[str] | None, options: dict[str, Any]
    ) -> tuple[str, GenerationRequest]:
        """What a call asks for, and of which model."""
        options = {name: value for name, value in options.items() if name != "stream"}
        name: str = options.pop("model", None) or self.model
        conversation, unfinished = conversation_of(messages)
        prompt = {"messages": conversation, "continue_final_message": unfinished}
        return name, self._request(prompt, stop, options)

    def _end(self) -> float | None:
        """When an answer that is asked for now must be there, on `time.monotonic()`'s clock."""
        return None if self.timeout is None else time.monotonic() + self.timeout

    def _too_slow(self) -> ModelTimeoutError:
        return ModelTimeoutError(f"The answer took longer than timeout={self.timeout} seconds.")


def _submitted(engine: Engine, request: GenerationRequest) -> Generation:
    try:
        return engine.submit(request)
    except ContextOverflowError as error:
        raise ContextTooLongError(str(error)) from error
