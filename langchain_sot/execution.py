"""One call of a chain or a chat model: plain or streamed, with threads or with asyncio."""

from __future__ import annotations

import contextlib
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Literal

from langchain_core.callbacks import adispatch_custom_event, dispatch_custom_event

from langchain_sot.calls import Calls
from langchain_sot.concurrency import places_of
from langchain_sot.messages import calls_tools
from langchain_sot.models import answers_in_blocks, form_of, quirks, speeds
from langchain_sot.output import Rendering, custom_events
from langchain_sot.prompt_cache import PromptCaching
from langchain_sot.reporting import ModelRuns, Steps
from langchain_sot.route import as_router, decided, for_router, is_chosen
from skeleton_of_thought.drivers import aanswer_all, answer_all, astream, stream
from skeleton_of_thought.drivers.turns import Turns
from skeleton_of_thought.method import SkeletonOfThought
from skeleton_of_thought.prompts import OpeningPrompts
from skeleton_of_thought.routing.decision import Decision

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from langchain_core.callbacks import AsyncCallbackManagerForChainRun, CallbackManagerForChainRun
    from langchain_core.runnables import RunnableConfig

    from langchain_sot.base import SkeletonOfThoughtBase
    from skeleton_of_thought.answer import Answer
    from skeleton_of_thought.messages import Message
    from skeleton_of_thought.request import Reply, Request
    from skeleton_of_thought.routing.decision import Router


class Execution:
    """A run of the method on its way through LangChain models.

    Args:
        settings: Says how.
        messages: The conversation.
        run_manager: The run of the chain, or of the model in front.
        config: Its config, for its children.
        kwargs: What the caller passed on to the model.
        requests: What callbacks hear of requests: `"runs"` of a model, or `"steps"` of the model in front.
    """

    def __init__(
        self,
        settings: SkeletonOfThoughtBase,
        messages: list[Message],
        *,
        run_manager: CallbackManagerForChainRun | AsyncCallbackManagerForChainRun,
        config: RunnableConfig,
        kwargs: dict[str, Any],
        requests: Literal["runs", "steps"] = "runs",
    ) -> None:
        self._settings = settings
        self._messages = messages
        self._run_manager = run_manager
        self._config = config
        self._kwargs = kwargs
        self._kind = requests
        self._heard = bool(run_manager.handlers)
        self._router = settings.chosen_router()
        self._to_route = for_router(messages, settings.question, config)
        self._reports = (ModelRuns if requests == "runs" else Steps)(config, run_manager)
        self._speeds = speeds(settings.stage_models()["point"])
        self._run: SkeletonOfThought

    def answer(self) -> Any:
        """The whole answer, its points in one `batch`."""
        self._prepare(self._known() or (None if self._races else self._decide()))
        if self._one_by_one:
            with contextlib.closing(stream(self._run, self._whole[0], turns=self._turns)) as events:
                for event in events:
                    self._publish([event])
            return self._rendering.message(self._learned())

        def send(requests: Sequence[Request]) -> Sequence[Reply | Exception]:
            self._publish(self._run.events())
            return self._calls.send_all(requests)

        answer_all(self._run, send)
        self._publish(self._run.events())
        return self._rendering.message(self._learned())

    async def aanswer(self) -> Any:
        """Like `answer`, with `abatch`."""
        self._prepare(self._known() or (None if self._races else await self._adecide()))
        if self._one_by_one:
            async with contextlib.aclosing(astream(self._run, self._whole[1], turns=self._turns)) as events:
                async for event in events:
                    await self._apublish([event])
            return self._rendering.message(self._learned())

        async def send(requests: Sequence[Request]) -> Sequence[Reply | Exception]:
            await self._apublish(self._run.events())
            return await self._calls.asend_all(requests)

        await aanswer_all(self._run, send)
        await self._apublish(self._run.events())
        return self._rendering.message(self._learned())

    def stream(self) -> Iterator[Any]:
        """The answer in reading order while it is written; its last chunk carries the bill."""
        self._prepare(self._known() or (None if self._races else self._decide()))
        with contextlib.closing(stream(self._run, self._calls.stream, turns=self._turns)) as events:
            for event in events:
                yield from self._rendering.chunks(event)
                self._publish([event])
        yield from self._rendering.last(self._learned())

    async def astream(self) -> AsyncIterator[Any]:
        """Like `stream`, with asyncio."""
        self._prepare(self._known() or (None if self._races else await self._adecide()))
        async with contextlib.aclosing(astream(self._run, self._calls.astream, turns=self._turns)) as events:
            async for event in events:
                for chunk in self._rendering.chunks(event):
                    yield chunk
                await self._apublish([event])
        for chunk in self._rendering.last(self._learned()):
            yield chunk

    def _known(self) -> Decision | None:
        """The decision for which no router has to be asked: a tool call has no skeleton, a full batch no gain."""
        form = form_of(self._settings.model, self._kwargs)
        if form is not None:
            return Decision("direct", 1.0, form)
        if self._kind == "steps" and calls_tools(self._messages):
            return Decision("direct", 1.0, "the conversation calls tools")
        chosen = decided(self._router, self._config)
        aware = self._settings.everyday().load_aware and not is_chosen(self._config)
        return (self._speeds.decide(self._settings.load()) if aware else None) or chosen

    def _learned(self) -> Answer:
        """The answer; what it says of the model's speed is kept for those to come."""
        answer = self._run.answer
        self._speeds.observe(answer, self._calls.seconds)
        return answer

    @property
    def _races(self) -> bool:
        """Whether nothing waits for the router; one that is not asked has nothing to race against."""
        return self._settings.race and self._router is not None

    @cached_property
    def _asked(self) -> Router:
        settings = self._settings
        return as_router(
            self._router, self._reports, speeds=self._speeds, load=settings.load, timeout=settings.timeout
        )

    def _decide(self) -> Decision:
        return self._asked.route(self._to_route)

    async def _adecide(self) -> Decision:
        return await self._asked.aroute(self._to_route)

    def _prepare(self, decision: Decision | None) -> None:
        """Set up the run, now that it is known which way it goes; None lets it find out in a race."""
        settings, config, run_manager = self._settings, self._config, self._run_manager
        models = settings.stage_models()
        limiters = [each for each in (places_of(config, run_manager.parent_run_id), settings.limiter) if each]
        timed = settings.timeout is not None or settings.point_timeout is not None
        caching = PromptCaching(models) if settings.options.prompt_cache else None
        # Where each request has a moment of its own there can be no batch.
        alone = timed or settings.hedge_after is not None or decision is None
        leads = caching.leads if caching is not None and caching.may_lead else None
        self._one_by_one = alone or bool(limiters) or leads is not None
        self._turns = Turns(*limiters, longest_wait=settings.options.longest_wait)
        self._calls = Calls(
            models,
            self._reports,
            self._kwargs,
            turns=self._turns,
            caching=caching,
            # Not this object's methods: what refers to it in a circle stays until the garbage is collected.
            route=partial(self._asked.route, self._to_route) if decision is None else None,
            aroute=partial(self._asked.aroute, self._to_route) if decision is None else None,
        )
        self._whole = self._calls.call, self._calls.acall
        if leads is not None:  # a point that goes first is heard at its first token
            self._whole = self._calls.stream_points, self._calls.astream_points
        options = settings.run_settings(self._calls.free_stops, leads)
        known = {stage: quirks(model) for stage, model in models.items()}
        prompts = settings.stage_prompts()
        if is_chosen(config) and isinstance(prompts, OpeningPrompts):
            prompts = prompts.classic  # the caller has decided, and not the model
        self._run = SkeletonOfThought(self._messages, prompts, options, decision=decision, quirks=known)
        blocks = self._kind == "runs" and answers_in_blocks(models["point"])
        run_id = run_manager.run_id if self._kind == "runs" else None  # a chat model's base gives its own ids
        self._rendering = Rendering(run_id, self._calls, settings.stage_prices(), blocks=blocks)

    def _publish(self, events: Sequence[Any]) -> None:
        for event in events if self._heard else ():
            for name, data in custom_events(event):
                dispatch_custom_event(name, data, config=self._config)

    async def _apublish(self, events: Sequence[Any]) -> None:
        for event in events if self._heard else ():
            for name, data in custom_events(event):
                await adispatch_custom_event(name, data, config=self._config)
