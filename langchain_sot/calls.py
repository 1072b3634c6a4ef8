"""Sends a run's requests through a LangChain chat model, each as a child run of its own."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from langchain_core.runnables.config import ContextThreadPoolExecutor, patch_config

from langchain_sot.messages import (
    has_other_content,
    text_of,
    to_langchain,
    usage_of,
    was_filtered,
    was_truncated,
)
from langchain_sot.models import is_local, mixes_up_batches, own_stops
from skeleton_of_thought.request import Delta, Request

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping, Sequence

    from langchain_core.callbacks import BaseCallbackManager
    from langchain_core.messages import BaseMessage
    from langchain_core.runnables import Runnable, RunnableConfig

    from langchain_sot.prompt_cache import PromptCaching
    from skeleton_of_thought.drivers import Outcome
    from skeleton_of_thought.drivers.turns import Turns
    from skeleton_of_thought.request import Stage
    from skeleton_of_thought.routing.decision import Decision


MOST_STOPS = 4
"""Stop sequences OpenAI takes in a request."""


class Calls:
    """The calls of one run.

    Args:
        models: Who answers the requests of a stage.
        config: The chain's config; every call gets a copy with a name, a tag and a parent run.
        get_child: Makes the callback manager of a child run.
        kwargs: What the caller passed on to the model.
        turns: What a request waits for that is not part of a batch.
        caching: Marks what the provider's prompt cache should keep; None marks nothing.
        route: Asks the router, for a request of that stage, which only a race has.
        aroute: The same, awaited.
    """

    def __init__(
        self,
        models: Mapping[Stage, Runnable[Any, Any]],
        config: RunnableConfig,
        get_child: Callable[[str], BaseCallbackManager],
        kwargs: dict[str, Any],
        *,
        turns: Turns,
        caching: PromptCaching | None = None,
        route: Callable[[], Decision] | None = None,
        aroute: Callable[[], Awaitable[Decision]] | None = None,
    ) -> None:
        self._models = models
        self._config = config
        self._get_child = get_child
        self._kwargs = kwargs
        self._turns = turns
        self._caching = caching
        self._route = route
        self._aroute = aroute
        self._sent: set[str] = set()
        self.direct: Any = None
        """The model's own message, where the answer is direct."""
        self.model_name: str | None = None

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
        outputs = self._models[requests[0].stage].batch(
            [self._input(request) for request in requests],
            [self._config_for(request, max_concurrency=len(requests)) for request in requests],
            return_exceptions=True,
            **self._kwargs_for(requests[0]),
        )
        return self._outcomes(requests, outputs, sent)

    async def asend_all(self, requests: Sequence[Request]) -> Sequence[Outcome]:
        """Like `send_all`, with asyncio."""
        if not self._is_batch(requests):
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._atry(request)) for request in requests]
            return [task.result() for task in tasks]
        sent = time.monotonic()
        outputs = await self._models[requests[0].stage].abatch(
            [self._input(request) for request in requests],
            [self._config_for(request) for request in requests],
            return_exceptions=True,
            **self._kwargs_for(requests[0]),
        )
        return self._outcomes(requests, outputs, sent)

    def call(self, request: Request) -> Generator[Delta]:
        """Answer one request whole, as the only piece of a stream."""
        if request.stage == "route" and self._route is not None:
            yield Delta(raw=self._route())
            return
        output = self._models[request.stage].invoke(
            self._input(request), self._config_for(request), **self._kwargs_for(request)
        )
        yield self._whole(request, output)

    async def acall(self, request: Request) -> AsyncGenerator[Delta]:
        """Like `call`, with asyncio."""
        if request.stage == "route" and self._aroute is not None:
            yield Delta(raw=await self._aroute())
            return
        output = await self._models[request.stage].ainvoke(
            self._input(request), self._config_for(request), **self._kwargs_for(request)
        )
        yield self._whole(request, output)

    def stream(self, request: Request) -> Generator[Delta]:
        """Open the stream of one request."""
        if request.stage == "route":
            yield from self.call(request)
            return
        for chunk in self._models[request.stage].stream(
            self._input(request), self._config_for(request), **self._kwargs_for(request)
        ):
            yield self._delta(chunk)

    async def astream(self, request: Request) -> AsyncGenerator[Delta]:
        """Like `stream`, with asyncio."""
        if request.stage == "route":
            async for delta in self.acall(request):
                yield delta
            return
        async for chunk in self._models[request.stage].astream(
            self._input(request), self._config_for(request), **self._kwargs_for(request)
        ):
            yield self._delta(chunk)

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
        if request.stage == "direct":
            self.direct = output
        return self._delta(output)

    def _delta(self, chunk: Any) -> Delta:
        self._notice_model(chunk)
        return Delta(
            text_of(chunk),
            usage_of(chunk),
            truncated=was_truncated(chunk),
            raw=chunk,
            filtered=was_filtered(chunk),
            other_content=has_other_content(chunk),
        )

    def _notice_model(self, output: Any) -> None:
        name = (getattr(output, "response_metadata", None) or {}).get("model_name")
        self.model_name = name or self.model_name

    def _config_for(self, request: Request, *, max_concurrency: int | None = None) -> RunnableConfig:
        return patch_config(
            self._config,
            callbacks=self._get_child(f"sot:{request.id}"),
            run_name=request.id.replace(":", " "),
            max_concurrency=max_concurrency,
        )

    def _input(self, request: Request) -> list[BaseMessage]:
        messages = to_langchain(request.messages)
        return self._caching.messages(request, messages) if self._caching else messages

    def _kwargs_for(self, request: Request) -> dict[str, Any]:
        kwargs = dict(self._kwargs)
        if self._caching:
            kwargs = {**self._caching.kwargs(request), **kwargs}
        if request.stop:
            kwargs["stop"] = [*own_stops(self._models[request.stage], kwargs), *request.stop]
        if request.max_tokens is not None:
            kwargs.setdefault("max_tokens", request.max_tokens)
        if is_local(self._models[request.stage]):
            kwargs = {**request.steering.to_dict(), **kwargs}
        return kwargs
