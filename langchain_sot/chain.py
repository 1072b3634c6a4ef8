"""`SkeletonOfThoughtChain`: stands where a chat model stood."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, AnyMessage
from langchain_core.runnables import Runnable, RunnableConfig, RunnableSerializable
from langchain_core.runnables.utils import ConfigurableFieldSpec, get_unique_config_specs
from pydantic import ConfigDict, model_validator

from langchain_sot.concurrency import share_places
from langchain_sot.execution import Execution
from langchain_sot.graph import draw
from langchain_sot.messages import from_input
from langchain_sot.models import has_tools
from langchain_sot.route import (
    CONFIG_KEY,
    RouterLike,
    adecide,
    check_router,
    child_config,
    decide,
    decided,
    is_chosen,
)
from langchain_sot.settings import load_of, models_of, options_of, prices_of, prompts_of
from skeleton_of_thought.answer import AnswerFormat
from skeleton_of_thought.limits import Limiter
from skeleton_of_thought.options import OnPointError
from skeleton_of_thought.prices import Prices
from skeleton_of_thought.prompts import Prompts
from skeleton_of_thought.routing.combining import no_room
from skeleton_of_thought.routing.decision import Decision

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence

    from langchain_core.callbacks import (
        AsyncCallbackManagerForChainRun,
        CallbackManagerForChainRun,
    )
    from langchain_core.runnables.graph import Graph

    from skeleton_of_thought.messages import Message


class SkeletonOfThoughtChain(RunnableSerializable[LanguageModelInput, AIMessage]):
    """Answers with a skeleton first and all points at the same time (arXiv 2307.15337).

    Takes what a chat model takes and returns what a chat model returns: an `AIMessage`, or `AIMessageChunk`s
    when streamed. Points go out as one `batch` or `abatch`; when streamed, as concurrent streams, read in
    order, live. An answer that cannot be split (no list in the skeleton, a refusal, bound tools, a router's
    no) is one plain answer of the model.

    `response_metadata["sot"]` holds route, reason, skeleton, points, seconds and usage. Every request is a
    child run, named `skeleton`, `point 3` or `direct` and tagged `sot:point:3` accordingly; the custom events
    `sot_skeleton`, `sot_point_start` and `sot_point_end` tell the progress.

    Attributes:
        model: A chat model, or any runnable around one (`bind`, `with_retry`, `with_fallbacks`).
        router: Decides per question whether a skeleton pays: `"lexical"`, a `Router`, a chat model, which is
            asked for one letter, or a runnable that returns "sot" or "direct". None gives every question a skeleton.
        race: Start router, skeleton and direct answer together and cancel the loser, for a router that takes
            time because it asks a model. The loser's tokens are in the bill.
        load_aware: Answer directly while the local engine's batch or the limiter's places are full: points
            would only wait for each other there.
        prompts: A family (`"instruction"`, `"partial"`, ... , see `PROMPTS`), a JSON file in the format of
            the paper's code, or `Prompts`. None chooses by the model: a local model is given worked examples
            and a partial answer to continue, any other an instruction.
        max_points: Points beyond this number are dropped; None takes what the prompts ask for.
        retries: How often a failed request is sent again.
        on_point_error: `"mark"` leaves a note in the place of a failed point, `"skip"` leaves it out,
            `"raise"` raises `PointError`, which carries the other points.
        answer_format: `"sections"`, `"numbered"`, `"headings"`, `"prose"`, or a function from a `PointResult` to
            text; None takes what suits the prompts.
        points_per_call: How many points one request writes, one after the other: fewer prompts to pay for, and a
            longer wait.
        point_max_tokens: Longest point.
        structured_skeleton: Ask for the skeleton as JSON that follows a schema, where the model does that well.
        skeleton_model: Writes the skeleton instead of `model`.
        point_model: Writes the points instead of `model`: often a smaller one, or the same with less thinking:
            `model.bind(reasoning_effort="low")`, or a `ChatAnthropic` with a smaller `thinking` budget. `model`
            still gives the direct answers.
        limiter: What every request has to pass, a `skeleton_of_thought.limits.Limiter`; one object may serve
            any number of chains. With it, or with a deadline or `max_concurrency`, points go out one by one.
            The config's `max_concurrency` holds for all chains of a batch, and of a parent run, together.
        hedge_after: Seconds after which a point that shows nothing yet is asked for a second time; whichever
            begins to answer first stays. In `invoke` and `batch` a point shows nothing before its end.
        point_timeout: Seconds a point may take, retries included; a late point has failed.
        timeout: Seconds the answer may take; it is returned with the points that are there, the others
            failed. `DeadlineError` if there is none.
        prompt_cache: Mark the prefix all requests of a question share for the provider's prompt cache
            (Anthropic's `cache_control`, OpenAI's `prompt_cache_key`), where it is long enough. The skeleton
            request writes it, the points read it; the bill shows how much. Where it saves a twentieth of the
            price, the first point goes ahead of the others and writes the skeleton to the cache too.
        prices: Makes the bill name money: a `Prices` table, a JSON file of one, or `"default"` for the small
            table that comes with the package.

    Example:
        ```python
        from langchain_sot import ChatTransformers, SkeletonOfThoughtChain

        chain = SkeletonOfThoughtChain(model=ChatTransformers())
        for chunk in chain.stream("How can I improve my time management skills?"):
            print(chunk.text, end="")
        ```
    """

    model: Runnable[Any, Any]
    router: RouterLike | None = None
    race: bool = False
    load_aware: bool = False
    prompts: Prompts | Path | str | None = None
    max_points: int | None = None
    retries: int = 1
    on_point_error: OnPointError = "mark"
    answer_format: AnswerFormat | None = None
    points_per_call: int = 1
    point_max_tokens: int | None = None
    structured_skeleton: bool = False
    skeleton_model: Runnable[Any, Any] | None = None
    point_model: Runnable[Any, Any] | None = None
    limiter: Limiter | None = None
    hedge_after: float | None = None
    point_timeout: float | None = None
    timeout: float | None = None
    prompt_cache: bool = False
    prices: Prices | Path | str | None = None

    model_config: ClassVar[ConfigDict] = ConfigDict(
        extra="forbid", arbitrary_types_allowed=True, protected_namespaces=()
    )

    @model_validator(mode="after")
    def _check(self) -> SkeletonOfThoughtChain:
        """Find mistakes before any token is paid for."""
        options_of(self)
        prompts_of(self)
        prices_of(self)
        check_router(self.router)
        return self

    def invoke(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AIMessage:
        """Answer, all points in one `batch`."""
        return self._call_with_config(self._answer, input, config, **kwargs)

    def batch(
        self,
        inputs: list[LanguageModelInput],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> list[AIMessage]:
        """Answer several questions at the same time; `max_concurrency` limits their model calls together."""
        configs = share_places(config, len(inputs))
        return super().batch(inputs, configs, return_exceptions=return_exceptions, **kwargs)

    async def abatch(
        self,
        inputs: list[LanguageModelInput],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> list[AIMessage]:
        """Like `batch`, with asyncio."""
        configs = share_places(config, len(inputs))
        return await super().abatch(inputs, configs, return_exceptions=return_exceptions, **kwargs)

    def batch_as_completed(  # type: ignore[override]
        self,
        inputs: Sequence[LanguageModelInput],
        config: RunnableConfig | Sequence[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> Iterator[tuple[int, AIMessage | Exception]]:
        """Like `batch`, each answer when it is complete."""
        configs = share_places(config, len(inputs))
        yield from super().batch_as_completed(
            inputs, configs, return_exceptions=cast("Any", return_exceptions), **kwargs
        )

    async def abatch_as_completed(  # type: ignore[override]
        self,
        inputs: Sequence[LanguageModelInput],
        config: RunnableConfig | Sequence[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> AsyncIterator[tuple[int, AIMessage | Exception]]:
        """Like `batch_as_completed`, with asyncio."""
        configs = share_places(config, len(inputs))
        answers = super().abatch_as_completed(
            inputs, configs, return_exceptions=cast("Any", return_exceptions), **kwargs
        )
        async for answer in answers:
            yield answer

    async def ainvoke(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AIMessage:
        """Answer, all points in one `abatch`."""
        return await self._acall_with_config(self._aanswer, input, config, **kwargs)

    def stream(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Iterator[AIMessage]:
        """Answer in reading order while it is written; closing the iterator stops the requests."""
        yield from self.transform(iter([input]), config, **kwargs)

    async def astream(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncGenerator[AIMessage]:
        """Like `stream`, with asyncio."""

        async def inputs() -> AsyncIterator[LanguageModelInput]:
            yield input

        async with contextlib.aclosing(self.atransform(inputs(), config, **kwargs)) as chunks:
            async for chunk in chunks:
                yield chunk

    def transform(
        self, input: Iterator[LanguageModelInput], config: RunnableConfig | None = None, **kwargs: Any
    ) -> Iterator[AIMessage]:
        """Like `stream`; waits for the whole input first."""
        yield from self._transform_stream_with_config(input, self._stream_answer, config, **kwargs)

    async def atransform(
        self, input: AsyncIterator[LanguageModelInput], config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncGenerator[AIMessage]:
        """Like `transform`, with asyncio."""
        chunks = self._atransform_stream_with_config(input, self._astream_answer, config, **kwargs)
        async with contextlib.aclosing(cast("AsyncGenerator[AIMessage]", chunks)):
            async for chunk in chunks:
                yield chunk

    @property
    def InputType(self) -> Any:  # noqa: N802 - LangChain's name
        """What the model takes."""
        return self.model.InputType

    @property
    def OutputType(self) -> Any:  # noqa: N802 - LangChain's name
        """What chat models return."""
        return AnyMessage

    def get_graph(self, config: RunnableConfig | None = None) -> Graph:
        """Route, skeleton, points and direct answer, to draw: `chain.get_graph().draw_mermaid()`."""
        return draw(self, config)

    @property
    def config_specs(self) -> list[ConfigurableFieldSpec]:
        """What can be configured per call: the model's own fields, and the route."""
        route = ConfigurableFieldSpec(
            id=CONFIG_KEY,
            annotation=str,
            name="Route",
            description="'sot' or 'direct' decides for one call; 'auto' asks the router.",
            default="auto",
        )
        models = {id(model): model for model in models_of(self).values()}
        return get_unique_config_specs([*(spec for m in models.values() for spec in m.config_specs), route])

    # The four ways of a call: plain or streamed, with threads or with asyncio.

    def _answer(
        self,
        input: LanguageModelInput,
        run_manager: CallbackManagerForChainRun,
        config: RunnableConfig,
        **kwargs: Any,
    ) -> AIMessage:
        messages = from_input(input)
        decision = self._decide(messages, kwargs, config, run_manager)
        return Execution(
            self, messages, decision, run_manager=run_manager, config=config, kwargs=kwargs
        ).answer()

    async def _aanswer(
        self,
        input: LanguageModelInput,
        run_manager: AsyncCallbackManagerForChainRun,
        config: RunnableConfig,
        **kwargs: Any,
    ) -> AIMessage:
        messages = from_input(input)
        decision = await self._adecide(messages, kwargs, config, run_manager)
        return await Execution(
            self, messages, decision, run_manager=run_manager, config=config, kwargs=kwargs
        ).aanswer()

    def _stream_answer(
        self,
        input: Iterator[LanguageModelInput],
        run_manager: CallbackManagerForChainRun,
        config: RunnableConfig,
        **kwargs: Any,
    ) -> Iterator[AIMessageChunk]:
        parts = list(input)
        if not parts:
            return
        messages = from_input(_joined(parts))
        decision = self._decide(messages, kwargs, config, run_manager)
        yield from Execution(
            self, messages, decision, run_manager=run_manager, config=config, kwargs=kwargs
        ).stream()

    async def _astream_answer(
        self,
        input: AsyncIterator[LanguageModelInput],
        run_manager: AsyncCallbackManagerForChainRun,
        config: RunnableConfig,
        **kwargs: Any,
    ) -> AsyncIterator[AIMessageChunk]:
        parts = [part async for part in input]
        if not parts:
            return
        messages = from_input(_joined(parts))
        decision = await self._adecide(messages, kwargs, config, run_manager)
        execution = Execution(self, messages, decision, run_manager=run_manager, config=config, kwargs=kwargs)
        async with contextlib.aclosing(cast("AsyncGenerator[AIMessageChunk]", execution.astream())) as chunks:
            async for chunk in chunks:
                yield chunk

    def _decide(
        self,
        messages: list[Message],
        kwargs: dict[str, Any],
        config: RunnableConfig,
        run_manager: CallbackManagerForChainRun,
    ) -> Decision | None:
        """Which way; None if router, skeleton and direct answer are to race."""
        decision = self._known(kwargs, config)
        if decision is not None or self.race:
            return decision
        return decide(self.router, messages, child_config(config, run_manager))

    async def _adecide(
        self,
        messages: list[Message],
        kwargs: dict[str, Any],
        config: RunnableConfig,
        run_manager: AsyncCallbackManagerForChainRun,
    ) -> Decision | None:
        decision = self._known(kwargs, config)
        if decision is not None or self.race:
            return decision
        return await adecide(self.router, messages, child_config(config, run_manager))

    def _known(self, kwargs: dict[str, Any], config: RunnableConfig) -> Decision | None:
        """The decision for which no router has to be asked: a tool call has no skeleton, a full batch no room."""
        if kwargs.get("tools") or has_tools(self.model):
            return Decision("direct", 1.0, "tools are bound")
        chosen = decided(self.router, config)
        full = no_room(load_of(self)) if self.load_aware and not is_chosen(config) else None
        return full or chosen


def _joined(parts: list[Any]) -> Any:
    """The whole input of a transform: its parts added up, or the last one, as runnables do."""
    whole = parts[0]
    for part in parts[1:]:
        try:
            whole = whole + part
        except TypeError:
            whole = part
    return whole
