"""Sends a run's requests through LangChain chat models, and tells callbacks of each."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack, ExitStack
from typing import TYPE_CHECKING, Any, Literal

from langchain_core.runnables.config import ContextThreadPoolExecutor

from langchain_sot.clock import Clock
from langchain_sot.messages import (
    as_chunk,
    end_of,
    has_other_content,
    text_of,
    to_langchain,
    usage_of,
    was_filtered,
    was_truncated,
)
from langchain_sot.models import addressed, is_local, mixes_up_batches, own_fields, own_stops
from skeleton_of_thought.reported import ReportedPieces
from skeleton_of_thought.request import Delta, Request

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping, Sequence

    from langchain_core.messages import BaseMessage
    from langchain_core.runnables import Runnable, RunnableConfig

    from langchain_sot.prompt_cache import PromptCaching
    from langchain_sot.reporting import ModelRun, ModelRuns, Step, Steps
    from skeleton_of_thought.drivers import Outcome
    from skeleton_of_thought.drivers.turns import Turns
    from skeleton_of_thought.request import Stage
    from skeleton_of_thought.routing.decision import Decision
    from skeleton_of_thought.usage import Usage


NOTHING = object()
"""In the place of a direct answer that is not there; None is one that a parser may make."""

MOST_STOPS = 4
"""Stop sequences OpenAI takes in a request."""


class Calls:
    """The calls of one run.

    Args:
        models: Who answers the requests of a stage.
        reports: Tells callbacks of the requests.
        kwargs: What the caller passed on to the model.
        turns: What a request waits for that is not part of a batch.
        caching: Marks what the provider's prompt cache should keep; None marks nothing.
        route: Asks the router, for a request of that stage, which only a race has.
        aroute: The same, awaited.
    """

    def __init__(
        self,
        models: Mapping[Stage, Runnable[Any, Any]],
        reports: ModelRuns | Steps,
        kwargs: dict[str, Any],
        *,
        turns: Turns,
        caching: PromptCaching | None = None,
        route: Callable[[], Decision] | None = None,
        aroute: Callable[[], Awaitable[Decision]] | None = None,
    ) -> None:
        self._models = models
        self._reports = reports
        self._kwargs = kwargs
        self._turns = turns
        self._caching = caching
        self._route = route
        self._aroute = aroute
        self._sent: set[str] = set()
        self.seconds: dict[str, float] = {}
        """What the requests of batches took, each by itself."""
        self.direct: Any = NOTHING
        """The model's own message, where the answer is direct."""
        self.relayed = True
        """Whether that is the user's as it is, `Request.relayed`."""
        self.heard = Heard()

    @property
    def free_stops(self) -> int | None:
        """How many stop sequences a run may add to those of the caller; None for no limit."""
        model = self._models["point"]
        return None if is_local(model) else max(0, MOST_STOPS - len(own_stops(model, self._kwargs)))

    def send_all(self, requests: Sequence[Request]) -> Sequence[Outcome]:
        """Answer the requests at the same time; several new ones as one batch."""
        if not self._is_batch(requests):
            if len(requests) == 1:
                return [self._try(requests[0])]
            with ContextThreadPoolExecutor(max_workers=len(requests)) as pool:
                return list(pool.map(self._try, requests))
        sent = time.monotonic()
        inputs = [self._input(request) for request in requests]
        model, kwargs = self._addressed(requests[0])
        with ExitStack() as stack:
            told: list[ModelRun | Step] = [
                stack.enter_context(self._report(request, messages, max_concurrency=len(requests)))
                for request, messages in zip(requests, inputs, strict=True)
            ]
            with self._reports.around():
                configs = self._timed(requests, told, sent)
                outputs = model.batch(inputs, configs, return_exceptions=True, **kwargs)
            for each, output in zip(told, outputs, strict=True):
                each.ended(output)
        return self._outcomes(requests, outputs, sent)

    async def asend_all(self, requests: Sequence[Request]) -> Sequence[Outcome]:
        """Like `send_all`, with asyncio."""
        if not self._is_batch(requests):
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._atry(request)) for request in requests]
            return [task.result() for task in tasks]
        sent = time.monotonic()
        inputs = [self._input(request) for request in requests]
        model, kwargs = self._addressed(requests[0])
        async with AsyncExitStack() as stack:
            told: list[ModelRun | Step] = [
                await stack.enter_async_context(self._report(request, messages))
                for request, messages in zip(requests, inputs, strict=True)
            ]
            with self._reports.around():
                configs = self._timed(requests, told, sent)
                outputs = await model.abatch(inputs, configs, return_exceptions=True, **kwargs)
            for each, output in zip(told, outputs, strict=True):
                each.ended(output)
        return self._outcomes(requests, outputs, sent)

    def call(self, request: Request) -> Generator[Delta]:
        """Answer one request whole, as the only piece of a stream."""
        if request.stage == "route" and self._route is not None:
            yield Delta(raw=self._route())
            return
        messages, (model, kwargs) = self._input(request), self._addressed(request)
        with self._reports.report(request, messages) as told:
            with self._reports.around():
                output = model.invoke(messages, told.config, **kwargs)
            told.ended(output)
        yield self._whole(request, output)

    async def acall(self, request: Request) -> AsyncGenerator[Delta]:
        """Like `call`, with asyncio."""
        if request.stage == "route" and self._aroute is not None:
            yield Delta(raw=await self._aroute())
            return
        messages, (model, kwargs) = self._input(request), self._addressed(request)
        async with self._reports.report(request, messages) as told:
            with self._reports.around():
                output = await told.answered(model.ainvoke(messages, told.config, **kwargs))
            told.ended(output)
        yield self._whole(request, output)

    def stream(self, request: Request) -> Generator[Delta]:
        """Open the stream of one request."""
        if request.stage == "route":
            yield from self.call(request)
            return
        messages, (model, kwargs) = self._input(request), self._addressed(request)
        reported = ReportedPieces()
        with self._reports.report(request, messages) as told, self._reports.around():
            for piece in model.stream(messages, told.config, **kwargs):
                chunk = as_chunk(piece)
                told.grew(chunk)
                yield self._delta(chunk, reported.added(chunk))

    async def astream(self, request: Request) -> AsyncGenerator[Delta]:
        """Like `stream`, with asyncio."""
        if request.stage == "route":
            async for delta in self.acall(request):
                yield delta
            return
        messages, (model, kwargs) = self._input(request), self._addressed(request)
        reported = ReportedPieces()
        async with self._reports.report(request, messages) as told:
            with self._reports.around():
                async for piece in model.astream(messages, told.config, **kwargs):
                    chunk = as_chunk(piece)
                    told.grew(chunk)
                    yield self._delta(chunk, reported.added(chunk))

    def stream_points(self, request: Request) -> Generator[Delta]:
        """Open the stream of a request for points; answer any other whole."""
        return self.stream(request) if request.stage == "point" else self.call(request)

    def astream_points(self, request: Request) -> AsyncGenerator[Delta]:
        """The same with asyncio."""
        return self.astream(request) if request.stage == "point" else self.acall(request)

    def _report(self, request: Request, messages: list[BaseMessage], **config: Any) -> Any:
        """What tells of one request of a batch: entered while it is under way, either kind of it."""
        return self._reports.report(request, messages, **config)

    def _is_batch(self, requests: Sequence[Request]) -> bool:
        """Whether requests go out as one batch: several new ones; what is sent again waits for its own turn."""
        again = any(request.id in self._sent for request in requests)
        self._sent.update(request.id for request in requests)
        return len(requests) > 1 and not again and not mixes_up_batches(self._models[requests[0].stage])

    def _try(self, request: Request) -> Outcome:
        try:
            with self._turns.turn(request):
                return next(self.call(request))
        except Exception as error:  # noqa: BLE001 - every failure of a request is the policy's business
            return error

    async def _atry(self, request: Request) -> Outcome:
        try:
            async with self._turns.aturn(request):
                return await anext(self.acall(request))
        except Exception as error:  # noqa: BLE001 - every failure of a request is the policy's business
            return error

    def _outcomes(self, requests: Sequence[Request], outputs: Sequence[Any], sent: float) -> list[Outcome]:
        self._turns.notice(outputs, sent=sent)
        return [
            output if isinstance(output, Exception) else self._whole(request, output)
            for request, output in zip(requests, outputs, strict=True)
        ]

    def _whole(self, request: Request, output: Any) -> Delta:
        if request.stage in {"direct", "opening"}:  # an opening may turn out to be the plain answer
            self.direct, self.relayed = output, request.relayed
        return self._delta(output, usage_of(output))

    def _delta(self, chunk: Any, usage: Usage) -> Delta:
        self.heard.notice(chunk)
        return Delta(
            text_of(chunk),
            usage,
            truncated=was_truncated(chunk),
            raw=chunk,
            filtered=was_filtered(chunk),
            other_content=has_other_content(chunk),
            finish_reason=end_of(chunk),
        )

    def _timed(self, requests: Sequence[Request], told: Sequence[Any], sent: float) -> list[RunnableConfig]:
        """The configs of the requests of a batch, each with a clock."""
        configs: list[RunnableConfig] = []
        for request, each in zip(requests, told, strict=True):
            clock = Clock(self.seconds, request.id, sent)
            config: RunnableConfig = each.config
            callbacks: Any = config["callbacks"]
            if isinstance(callbacks, list):
                config = {**config, "callbacks": [*callbacks, clock]}
            else:
                callbacks.add_handler(clock, inherit=False)
            configs.append(config)
        return configs

    def _input(self, request: Request) -> list[BaseMessage]:
        messages = to_langchain(request.messages)
        return self._caching.messages(request, messages) if self._caching else messages

    def _addressed(self, request: Request) -> tuple[Runnable[Any, Any], dict[str, Any]]:
        """Who is called for a request, and with which options."""
        return addressed(self._models[request.stage], self._kwargs_for(request))

    def _kwargs_for(self, request: Request) -> dict[str, Any]:
        kwargs = dict(self._kwargs)
        if self._caching:
            kwargs = {**self._caching.kwargs(request), **kwargs}
        if request.stop:
            kwargs["stop"] = [*own_stops(self._models[request.stage], kwargs), *request.stop]
        if request.max_tokens is not None:
            kwargs.setdefault("max_tokens", request.max_tokens)
        if request.fields:
            own = own_fields(self._models[request.stage], kwargs)
            kwargs["extra_body"] = {**dict(request.fields), **own}
        if is_local(self._models[request.stage]):
            kwargs = {**request.steering.to_dict(), **kwargs}
        return kwargs


class Heard:
    """What the models said of themselves, for the message that is made of their answers.

    Attributes:
        metadata: `model_name`, `model_provider`.
        end: The key under which the model says why it stopped; None if it does not say.
        truncated: Whether a length limit stopped a point.
        usage: Whether any answer said what it used.
        cached: Whether every answer came from LangChain's cache.
    """

    def __init__(self) -> None:
        self.metadata: dict[str, str] = {}
        self.end: Literal["finish_reason", "stop_reason"] | None = None
        self.truncated = False
        self.usage = False
        self.cached: bool | None = None

    def notice(self, output: Any) -> None:
        """A model returned this, whole or a piece of it."""
        said = getattr(output, "response_metadata", None) or {}
        for name in ("model_name", "model_provider"):
            if isinstance(said.get(name), str):
                self.metadata[name] = said[name]
        if said.get("finish_reason"):
            self.end = "finish_reason"
        elif said.get("stop_reason"):
            self.end = "stop_reason"
        self.truncated = self.truncated or was_truncated(output)
        if usage := getattr(output, "usage_metadata", None):
            self.usage = self.usage or "input_tokens" in usage
            self.cached = usage.get("total_cost") == 0 and self.cached is not False

    def ending(self) -> dict[str, str]:
        """Why the answer ended, in the model's own words."""
        if self.end is None:
            return {}
        if self.end == "stop_reason":
            return {self.end: "max_tokens" if self.truncated else "end_turn"}
        return {self.end: "length" if self.truncated else "stop"}
