"""`ChatSkeletonOfThought`: a chat model in front of a chat model, for whatever wants one."""

from __future__ import annotations

import contextlib
import weakref
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

from langchain_core.callbacks import AsyncCallbackManager, CallbackManager
from langchain_core.callbacks.manager import AsyncCallbackManagerForChainRun, CallbackManagerForChainRun
from langchain_core.language_models import BaseLanguageModel
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda
from langchain_core.runnables.base import RunnableBindingBase
from langchain_core.runnables.config import ensure_config
from langchain_core.utils.uuid import uuid7
from pydantic import BaseModel, ConfigDict, model_validator

from langchain_sot.base import SkeletonOfThoughtBase
from langchain_sot.concurrency import SharedLimit
from langchain_sot.execution import Execution
from langchain_sot.messages import from_input, text_of
from langchain_sot.models import bound_options, chat_model, is_parser, kind_of, layers, name_of, named_model
from skeleton_of_thought.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence
    from uuid import UUID

    from langchain_core.language_models import LanguageModelInput, ModelProfile
    from langchain_core.language_models.base import LangSmithParams
    from langchain_core.outputs import Generation
    from langchain_core.runnables.utils import ConfigurableFieldSpec


@dataclass(frozen=True, slots=True)
class _Call:
    """What LangChain's base class knows of a call and does not hand on to `_stream`."""

    config: RunnableConfig
    run: Any = None


_call: ContextVar[_Call | None] = ContextVar("_call", default=None)
_streams: dict[UUID, _Call] = {}
"""Calls whose stream of events is held by somebody, by run id: it may be read in another context, or never."""


class ChatSkeletonOfThought(SkeletonOfThoughtBase, SharedLimit, BaseChatModel):
    """A chat model that answers by skeleton where that pays, for agents, graphs and whatever wants a chat model.

    It stands in front of the `model` it is given and runs the same method as `SkeletonOfThoughtChain`. Bound tools, a
    conversation with tool messages, a response format: there the model inside answers alone, and what it says comes
    through untouched. `with_structured_output`, `profile` and token counts are those of the model inside.

    Traces show one run of a chat model, with the answer's tokens in reading order and the whole bill; its requests
    are steps inside it, named `skeleton`, `point 3` or `direct`, tagged `sot:point:3` and `nostream`. Handlers given to
    the model inside (`ChatOpenAI(callbacks=[...])`) hear its own calls. Progress is told by the custom events
    `sot_skeleton`, `sot_point_start` and `sot_point_end`.

    The attributes are those of `SkeletonOfThoughtBase` and of LangChain's `BaseChatModel` (`cache`, `rate_limiter`,
    `disable_streaming`, `tags`, `metadata`, `output_version`, ...). `model` may be a name as `init_chat_model` takes
    it ("openai:gpt-4.1-mini", which needs `langchain`), or "local" for the packaged model; what else is then given and
    is no option of this class goes to that model: `ChatSkeletonOfThought(model="openai:gpt-4.1-mini", temperature=0)`.

    Example:
        ```python
        from langchain_sot import ChatSkeletonOfThought, ChatTransformers

        model = ChatSkeletonOfThought(model=ChatTransformers())
        for chunk in model.stream("How can I improve my time management skills?"):
            print(chunk.text, end="")
        ```
    """

    streaming: bool = False
    """Whether `invoke` uses the streaming path too, as in all LangChain chat models."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        extra="forbid", arbitrary_types_allowed=True, protected_namespaces=()
    )

    routes_by_default: ClassVar[bool] = True

    @model_validator(mode="before")
    @classmethod
    def _make_model(cls, values: Any) -> Any:
        """Make the model of its name, with the arguments that are its own."""
        if not isinstance(values, dict) or not isinstance(values.get("model"), str):
            return values
        own = {name: value for name, value in values.items() if name in cls.model_fields}
        rest = {name: value for name, value in values.items() if name not in own}
        return {**own, "model": named_model(own["model"], rest)}

    @model_validator(mode="before")
    @classmethod
    def _answer_as_inside(cls, values: Any) -> Any:
        """Content in the form the model inside gives it, unless told otherwise."""
        inside = chat_model(values.get("model")) if isinstance(values, dict) else None
        version = getattr(inside, "output_version", None)
        return {"output_version": version, **values} if version else values

    @model_validator(mode="after")
    def _check_output(self) -> Any:
        if any(is_parser(layer) for layer in layers(self.model)):
            raise ConfigurationError(
                "The model's output is parsed, and a chat model returns messages. Put the parser behind "
                "ChatSkeletonOfThought, call its with_structured_output, or use SkeletonOfThoughtChain."
            )
        return self

    # What LangChain asks about the model.

    @property
    def _llm_type(self) -> str:
        return "skeleton-of-thought"

    @property
    def model_name(self) -> str:
        """What the provider calls the model inside; agents look for it to know what a model can do."""
        return name_of(self.model) or kind_of(self.model) or type(self.model).__name__

    @property
    def _identifying_params(self) -> dict[str, Any]:
        """What a cached answer depends on."""
        fields = (name for name in SkeletonOfThoughtBase.model_fields if name not in {"limiter", "prices"})
        return {name: _identity(getattr(self, name)) for name in fields}

    def _get_llm_string(self, stop: list[str] | None = None, **kwargs: Any) -> str:
        """The same question asked with other settings of a call is another one to LangChain's cache."""
        configured = _config_now().get("configurable", {})
        asked = {spec.id: configured[spec.id] for spec in self.config_specs if spec.id in configured}
        return f"{super()._get_llm_string(stop=stop, **kwargs)}---{sorted(asked.items(), key=repr)}"

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        inside = chat_model(self.model)
        if not isinstance(inside, BaseChatModel):
            return super()._get_ls_params(stop=stop, **kwargs)
        return inside._get_ls_params(stop=stop, **kwargs)  # noqa: SLF001 - the model it stands for

    def _resolve_model_profile(self) -> ModelProfile | None:
        profile: ModelProfile | None = getattr(chat_model(self.model), "profile", None)
        return profile

    @property
    def config_specs(self) -> list[ConfigurableFieldSpec]:
        """What can be configured per call: the models' own fields, the route, and which part is the question."""
        return self.own_config_specs()

    def get_token_ids(self, text: str) -> list[int]:
        """Token ids of a text, by the model inside."""
        return self._inside().get_token_ids(text)

    def get_num_tokens(self, text: str) -> int:
        """Tokens of a text, by the model inside."""
        return self._inside().get_num_tokens(text)

    def get_num_tokens_from_messages(
        self, messages: list[BaseMessage], tools: Sequence[Any] | None = None
    ) -> int:
        """Tokens of a conversation, by the model inside."""
        inside = self._inside()
        if tools is None:
            return inside.get_num_tokens_from_messages(messages)
        return inside.get_num_tokens_from_messages(messages, tools)

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | Any],
        *,
        tool_choice: Any = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """The model with these tools, in the form the model inside wants them; it then answers alone."""
        if tool_choice is not None:
            kwargs["tool_choice"] = tool_choice
        return self.bind(**bound_options(self._inside().bind_tools(tools, **kwargs)))

    def with_structured_output(
        self, schema: dict[str, Any] | type, *, include_raw: bool = False, **kwargs: Any
    ) -> Runnable[LanguageModelInput, dict[str, Any] | BaseModel]:
        """The model inside, told to answer in this form: such an answer has no points."""
        return self._inside().with_structured_output(schema, include_raw=include_raw, **kwargs)

    def _inside(self) -> BaseChatModel:
        inside = chat_model(self.model)
        if not isinstance(inside, BaseChatModel):
            raise ConfigurationError(
                f"model is {type(self.model).__name__}, in which no chat model can be seen, so its tools, structured "
                "output and token counts are not known. Give the chat model itself, or one with bind, with_retry or "
                "with_fallbacks around it."
            )
        return inside

    # A call: what the base class does with it needs its config and its run further in.

    def invoke(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AIMessage:
        """Answer, all points in one `batch`."""
        with _in_call(_Call(ensure_config(config))):
            return super().invoke(input, config, **kwargs)

    async def ainvoke(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AIMessage:
        """Answer, all points in one `abatch`."""
        with _in_call(_Call(ensure_config(config))):
            return await super().ainvoke(input, config, **kwargs)

    def stream(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Iterator[AIMessageChunk]:
        """Answer in reading order while it is written; closing the iterator stops the requests."""
        config, run_id = _with_run_id(config)
        manager = CallbackManager.configure(*self._callbacks_of(config))
        call = _Call(config, _as_parent(manager, run_id, CallbackManagerForChainRun))
        chunks = super().stream(input, config, **kwargs)
        with contextlib.closing(cast("Any", chunks)):
            with _in_call(call):  # the base class begins the run, and asks `_stream`, at the first step
                first = next(chunks)
            yield first
            yield from chunks

    async def astream(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncIterator[AIMessageChunk]:
        """Like `stream`, with asyncio."""
        config, run_id = _with_run_id(config)
        manager = AsyncCallbackManager.configure(*self._callbacks_of(config))
        call = _Call(config, _as_parent(manager, run_id, AsyncCallbackManagerForChainRun))
        chunks = super().astream(input, config, **kwargs)
        async with contextlib.aclosing(cast("Any", chunks)):
            with _in_call(call):
                first = await anext(chunks)
            yield first
            async for chunk in chunks:
                yield chunk

    def stream_events(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        version: Literal["v1", "v2", "v3"] = "v2",
        **kwargs: Any,
    ) -> Any:
        """What LangChain's chat models stream; `version="v3"` gives the answer's own events, in reading order."""
        if version != "v3":
            return super().stream_events(input, config, version=version, **kwargs)
        config, run_id = _with_run_id(config)
        return _held(super().stream_events(input, config, version=version, **kwargs), run_id, config)

    def astream_events(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        version: Literal["v1", "v2", "v3"] = "v2",
        **kwargs: Any,
    ) -> Any:
        """Like `stream_events`, with asyncio."""
        if version != "v3":
            return super().astream_events(input, config, version=version, **kwargs)
        config, run_id = _with_run_id(config)
        opening = super().astream_events(input, config, version=version, **kwargs)

        async def opened() -> Any:
            return _held(await opening, run_id, config)

        return opened()

    def _callbacks_of(self, config: RunnableConfig) -> tuple[Any, ...]:
        """What the base class configures the callbacks of a stream with."""
        return (
            config.get("callbacks"),
            self.callbacks,
            self.verbose,
            config.get("tags"),
            self.tags,
            config.get("metadata"),
            self.metadata,
        )

    def _generate_with_cache(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> ChatResult:
        run = _as_parent(run_manager, _id_of(run_manager), CallbackManagerForChainRun)
        with _in_call(_Call(_config_now(), run)):
            return super()._generate_with_cache(messages, stop, run_manager, **kwargs)

    async def _agenerate_with_cache(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> ChatResult:
        run = _as_parent(run_manager, _id_of(run_manager), AsyncCallbackManagerForChainRun)
        with _in_call(_Call(_config_now(), run)):
            return await super()._agenerate_with_cache(messages, stop, run_manager, **kwargs)

    def _convert_cached_generations(self, cache_val: list[Generation]) -> list[ChatGeneration]:
        """An answer from the cache: it is the same, and costs nothing."""
        generations = super()._convert_cached_generations(cache_val)
        for generation in generations:
            message = generation.message
            sot = message.response_metadata.get("sot")
            if sot is not None:
                free = {**sot, "cached": True, "bill": _free(sot["bill"])}
                metadata = {**message.response_metadata, "sot": free}
                generation.message = message.model_copy(update={"response_metadata": metadata})
        return generations

    # The four ways of a call: plain or streamed, with threads or with asyncio.

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> ChatResult:
        run = _as_parent(run_manager, _id_of(run_manager), CallbackManagerForChainRun)
        return _result(self._execution(messages, stop, run, kwargs).answer())

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> ChatResult:
        run = _as_parent(run_manager, _id_of(run_manager), AsyncCallbackManagerForChainRun)
        return _result(await self._execution(messages, stop, run, kwargs).aanswer())

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        run = _run_now(run_manager, CallbackManagerForChainRun)
        chunks = self._execution(messages, stop, run, kwargs).stream()
        with contextlib.closing(cast("Any", chunks)):
            for chunk in chunks:
                yield ChatGenerationChunk(message=_chunk(chunk))

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        run = _run_now(run_manager, AsyncCallbackManagerForChainRun)
        chunks = self._execution(messages, stop, run, kwargs).astream()
        async with contextlib.aclosing(cast("Any", chunks)):
            async for chunk in chunks:
                yield ChatGenerationChunk(message=_chunk(chunk))

    def _execution(
        self, messages: list[BaseMessage], stop: list[str] | None, run: Any, kwargs: dict[str, Any]
    ) -> Execution:
        if stop is not None:
            kwargs = {**kwargs, "stop": stop}
        config = ensure_config({**_config_now(run.run_id), "callbacks": run.get_child()})
        return Execution(
            self, from_input(messages), run_manager=run, config=config, kwargs=kwargs, requests="steps"
        )


@contextlib.contextmanager
def _in_call(call: _Call) -> Iterator[None]:
    token = _call.set(call)
    try:
        yield
    finally:
        _call.reset(token)


def _held(events: Any, run_id: UUID, config: RunnableConfig) -> Any:
    """A stream of events, whose config is kept until it is read, or gone."""
    _streams[run_id] = _Call(config)
    weakref.finalize(events, _streams.pop, run_id, None)
    return events


def _config_now(run_id: UUID | None = None) -> RunnableConfig:
    """The config of the call this is part of, without what belongs to its own run."""
    held = None if run_id is None else _streams.pop(run_id, None)
    call = held or _call.get()
    config: Any = {} if call is None else call.config
    return cast(
        "RunnableConfig",
        {name: value for name, value in config.items() if name not in {"callbacks", "run_id", "run_name"}},
    )


def _with_run_id(config: RunnableConfig | None) -> tuple[RunnableConfig, UUID]:
    """The config with the id its run will have: `_stream` is not told, and children need it."""
    config = ensure_config(config)
    run_id = config.get("run_id") or uuid7()
    return {**config, "run_id": run_id}, run_id


def _id_of(run_manager: Any) -> UUID:
    return uuid7() if run_manager is None else run_manager.run_id


def _as_parent(manager: Any, run_id: UUID, kind: Any) -> Any:
    """A chat model's run, or the callbacks it will be made of, as one that has children."""
    if manager is None:
        return kind.get_noop_manager()
    shared = ("handlers", "inheritable_handlers", "parent_run_id", "tags", "inheritable_tags")
    more = ("metadata", "inheritable_metadata")
    return kind(run_id=run_id, **{name: getattr(manager, name) for name in (*shared, *more)})


def _run_now(run_manager: Any, kind: Any) -> Any:
    call = _call.get()
    if run_manager is None and call is not None and isinstance(call.run, kind):
        return call.run
    return _as_parent(run_manager, _id_of(run_manager), kind)


def _result(answer: Any) -> ChatResult:
    message = answer if isinstance(answer, AIMessage) else AIMessage(text_of(answer))
    return ChatResult(generations=[ChatGeneration(message=message)])


def _chunk(chunk: Any) -> AIMessageChunk:
    return chunk if isinstance(chunk, AIMessageChunk) else AIMessageChunk(content=text_of(chunk))


_NO_AMOUNTS = frozenset({"currency", "as_of"})
"""What of a bill's costs is no amount."""


def _free(bill: Any) -> Any:
    """A bill of nothing, whatever is not known of the first one."""
    if isinstance(bill, dict):
        return {name: value if name in _NO_AMOUNTS else _free(value) for name, value in bill.items()}
    if isinstance(bill, list):
        return [_free(value) for value in bill]
    return 0 if bill is None or isinstance(bill, (int, float)) else bill


def _identity(value: Any) -> str:
    """What tells an option from another in a cache key."""
    if not isinstance(value, Runnable):
        return repr(value)
    return repr([_layer(layer) for layer in layers(value)])


def _layer(layer: Any) -> Any:
    """What tells one runnable from another: a model by its parameters, a function by itself."""
    kind = type(layer).__name__
    if isinstance(layer, BaseLanguageModel):
        return kind, kind_of(layer), getattr(layer, "_identifying_params", None)
    if isinstance(layer, RunnableBindingBase):
        return kind, layer.kwargs, layer.config.get("configurable")
    if isinstance(layer, RunnableLambda):
        return kind, getattr(layer, "func", None), getattr(layer, "afunc", None)
    return kind, "" if next(islice(layers(layer), 1, None), None) is not None else repr(layer)
