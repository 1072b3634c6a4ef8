"""One call of a chain: plain or streamed, with threads or with asyncio."""

from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import adispatch_custom_event, dispatch_custom_event

from langchain_sot.calls import Calls
from langchain_sot.concurrency import places_of
from langchain_sot.models import quirks
from langchain_sot.output import StreamedAnswer, custom_events, message_of
from langchain_sot.prompt_cache import PromptCaching
from langchain_sot.route import adecide, child_config, decide
from langchain_sot.settings import models_of, options_of, prices_of, prompts_of
from skeleton_of_thought.drivers import aanswer_all, answer_all, astream, stream
from skeleton_of_thought.drivers.turns import Turns
from skeleton_of_thought.method import SkeletonOfThought

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from langchain_core.callbacks import AsyncCallbackManagerForChainRun, CallbackManagerForChainRun
    from langchain_core.messages import AIMessage, AIMessageChunk
    from langchain_core.runnables import RunnableConfig

    from langchain_sot.chain import SkeletonOfThoughtChain
    from skeleton_of_thought.messages import Message
    from skeleton_of_thought.request import Reply, Request
    from skeleton_of_thought.routing.decision import Decision


class Execution:
    """A run of the method on its way through a chain's models.

    Args:
        chain: Says how.
        messages: The conversation.
        decision: Which way it goes; None to find out in a race.
        run_manager: The chain's own run; every request is a child of it.
        config: The chain's config, for its children.
        kwargs: What the caller passed on to the model.
    """

    def __init__(
        self,
        chain: SkeletonOfThoughtChain,
        messages: list[Message],
        decision: Decision | None,
        *,
        run_manager: CallbackManagerForChainRun | AsyncCallbackManagerForChainRun,
        config: RunnableConfig,
        kwargs: dict[str, Any],
    ) -> None:
        models = models_of(chain)
        limiters = [each for each in (places_of(config, run_manager.parent_run_id), chain.limiter) if each]
        timed = chain.timeout is not None or chain.point_timeout is not None
        caching = PromptCaching(models) if chain.prompt_cache else None
        # Where each request has a moment of its own there can be no batch.
        alone = timed or chain.hedge_after is not None or decision is None
        leads = caching.leads if caching is not None and caching.may_lead else None
        self._one_by_one = alone or bool(limiters) or leads is not None
        self._turns = Turns(*limiters)
        route_config = child_config(config, run_manager)
        self._calls = Calls(
            models,
            config,
            run_manager.get_child,
            kwargs,
            turns=self._turns,
            caching=caching,
            route=partial(decide, chain.router, messages, route_config),
            aroute=partial(adecide, chain.router, messages, route_config),
        )
        self._whole = self._calls.call, self._calls.acall
        if leads is not None:  # a point that goes first is heard at its first token
            self._whole = self._calls.stream, self._calls.astream
        options = options_of(chain, self._calls.free_stops, leads)
        known = {stage: quirks(model) for stage, model in models.items()}
        self._run = SkeletonOfThought(messages, prompts_of(chain), options, decision=decision, quirks=known)
        self._prices = prices_of(chain)
        self._run_id = run_manager.run_id
        self._config = config
        self._heard = bool(run_manager.handlers)

    def answer(self) -> AIMessage:
        """The whole answer, its points in one `batch`."""
        if self._one_by_one:
            with contextlib.closing(stream(self._run, self._whole[0], turns=self._turns)) as events:
                for event in events:
                    self._publish([event])
            return self._message()

        def send(requests: Sequence[Request]) -> Sequence[Reply | Exception]:
            self._publish(self._run.events())
            return self._calls.send_all(requests)

        answer_all(self._run, send)
        self._publish(self._run.events())
        return self._message()

    async def aanswer(self) -> AIMessage:
        """Like `answer`, with `abatch`."""
        if self._one_by_one:
            async with contextlib.aclosing(astream(self._run, self._whole[1], turns=self._turns)) as events:
                async for event in events:
                    await self._apublish([event])
            return self._message()

        async def send(requests: Sequence[Request]) -> Sequence[Reply | Exception]:
            await self._apublish(self._run.events())
            return await self._calls.asend_all(requests)

        await aanswer_all(self._run, send)
        await self._apublish(self._run.events())
        return self._message()

    def stream(self) -> Iterator[AIMessageChunk]:
        """The answer in reading order while it is written; its last chunk carries the bill."""
        seen = StreamedAnswer(self._run_id)
        with contextlib.closing(stream(self._run, self._calls.stream, turns=self._turns)) as events:
            for event in events:
                yield from seen.chunks(event)
                self._publish([event])
        yield seen.last(self._run.answer, self._calls, self._prices)

    async def astream(self) -> AsyncIterator[AIMessageChunk]:
        """Like `stream`, with asyncio."""
        seen = StreamedAnswer(self._run_id)
        async with contextlib.aclosing(astream(self._run, self._calls.astream, turns=self._turns)) as events:
            async for event in events:
                for chunk in seen.chunks(event):
                    yield chunk
                await self._apublish([event])
        yield seen.last(self._run.answer, self._calls, self._prices)

    def _message(self) -> AIMessage:
        return message_of(self._run.answer, self._calls, self._run_id, self._prices)

    def _publish(self, events: Sequence[Any]) -> None:
        for event in events if self._heard else ():
            for name, data in custom_events(event):
                dispatch_custom_event(name, data, config=self._config)

    async def _apublish(self, events: Sequence[Any]) -> None:
        for event in events if self._heard else ():
            for name, data in custom_events(event):
                await adispatch_custom_event(name, data, config=self._config)
