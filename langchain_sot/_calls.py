"""Sends a run's requests through a LangChain chat model, each as a child run of its own."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from langchain_core.runnables.config import ContextThreadPoolExecutor, patch_config

from langchain_sot._messages import text_of, to_langchain, usage_of, was_truncated
from langchain_sot._models import is_local, mixes_up_batches, own_stops
from skeleton_of_thought.request import Delta, Reply, Request

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Sequence

    from langchain_core.callbacks import BaseCallbackManager
    from langchain_core.messages import BaseMessage
    from langchain_core.runnables import Runnable, RunnableConfig

    from skeleton_of_thought.drivers import Outcome


MOST_STOPS = 4
"""Stop sequences OpenAI takes in a request."""

BAD_REQUEST = 400


class Calls:
    """The calls of one run.

    Args:
        model: Answers the requests.
        config: The chain's config; every call gets a copy with a name, a tag and a parent run.
        get_child: Makes the callback manager of a child run.
        kwargs: What the caller passed on to the model.
        refused: Names of arguments the model has refused so far; added to, and shared by a chain's runs.
    """

    def __init__(
        self,
        model: Runnable[Any, Any],
        config: RunnableConfig,
        get_child: Callable[[str], BaseCallbackManager],
        kwargs: dict[str, Any],
        *,
        refused: set[str],
    ) -> None:
        self._model = model
        self._config = config
        self._get_child = get_child
        self._kwargs = kwargs
        self._refused = refused
        self._own_stops = own_stops(model, kwargs)
        self.direct: Any = None
        """The model's own message, where the answer is direct."""
        self.model_name: str | None = None

    @property
    def free_stops(self) -> int | None:
        """How many stop sequences a run may add to those of the caller; None for no limit."""
        if is_local(self._model):
            return None
        return 0 if "stop" in self._refused else max(0, MOST_STOPS - len(self._own_stops))

    def send_all(self, requests: Sequence[Request]) -> Sequence[Outcome]:
        """Answer the requests at the same time; several as one batch."""
        outcomes = self._send_all(requests)
        again = self._without_stops(requests, outcomes)
        return _replaced(outcomes, again, self._send_all(list(again.values()))) if again else outcomes

    async def asend_all(self, requests: Sequence[Request]) -> Sequence[Outcome]:
        """Like `send_all`, with asyncio."""
        outcomes = await self._asend_all(requests)
        again = self._without_stops(requests, outcomes)
        return _replaced(outcomes, again, await self._asend_all(list(again.values()))) if again else outcomes

    def stream(self, request: Request) -> Generator[Delta]:
        """Open the stream of one request."""
        try:
            yield from self._stream(request)
        except Exception as error:
            if not self._refuses_stops(request, error):
                raise
            yield from self._stream(replace(request, stop=()))

    async def astream(self, request: Request) -> AsyncGenerator[Delta]:
        """Like `stream`, with asyncio."""
        try:
            async with contextlib.aclosing(self._astream(request)) as deltas:
                async for delta in deltas:
                    yield delta
        except Exception as error:
            if not self._refuses_stops(request, error):
                raise
            async with contextlib.aclosing(self._astream(replace(request, stop=()))) as deltas:
                async for delta in deltas:
                    yield delta

    def _send_all(self, requests: Sequence[Request]) -> Sequence[Outcome]:
        if len(requests) == 1:
            return [self._try(requests[0])]
        if mixes_up_batches(self._model):
            with ContextThreadPoolExecutor(max_workers=self._width(requests)) as pool:
                return list(pool.map(self._try, requests))
        outputs = self._model.batch(
            [_input(request) for request in requests],
            [self._config_for(request, max_concurrency=self._width(requests)) for request in requests],
            return_exceptions=True,
            **self._kwargs_for(requests[0]),
        )
        return self._outcomes(requests, outputs)

    async def _asend_all(self, requests: Sequence[Request]) -> Sequence[Outcome]:
        if len(requests) == 1:
            return [await self._atry(requests[0])]
        if mixes_up_batches(self._model):
            limit = asyncio.Semaphore(self._width(requests))

            async def send(request: Request) -> Outcome:
                async with limit:
                    return await self._atry(request)

            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(send(request)) for request in requests]
            return [task.result() for task in tasks]
        outputs = await self._model.abatch(
            [_input(request) for request in requests],
            [self._config_for(request) for request in requests],
            return_exceptions=True,
            **self._kwargs_for(requests[0]),
        )
        return self._outcomes(requests, outputs)

    def _stream(self, request: Request) -> Generator[Delta]:
        for chunk in self._model.stream(
            _input(request), self._config_for(request), **self._kwargs_for(request)
        ):
            yield self._delta(chunk)

    async def _astream(self, request: Request) -> AsyncGenerator[Delta]:
        async for chunk in self._model.astream(
            _input(request), self._config_for(request), **self._kwargs_for(request)
        ):
            yield self._delta(chunk)

    def _try(self, request: Request) -> Outcome:
        try:
            output = self._model.invoke(
                _input(request), self._config_for(request), **self._kwargs_for(request)
            )
        except Exception as error:  # noqa: BLE001 - every failure of a request is the policy's business
            return error
        return self._outcome(request, output)

    async def _atry(self, request: Request) -> Outcome:
        try:
            output = await self._model.ainvoke(
                _input(request), self._config_for(request), **self._kwargs_for(request)
            )
        except Exception as error:  # noqa: BLE001 - every failure of a request is the policy's business
            return error
        return self._outcome(request, output)

    def _outcomes(self, requests: Sequence[Request], outputs: Sequence[Any]) -> list[Outcome]:
        return [self._outcome(request, output) for request, output in zip(requests, outputs, strict=True)]

    def _outcome(self, request: Request, output: Any) -> Outcome:
        if isinstance(output, Exception):
            return output
        if request.stage == "direct":
            self.direct = output
        self._notice_model(output)
        return Reply(text_of(output), usage_of(output), was_truncated(output), output)

    def _delta(self, chunk: Any) -> Delta:
        self._notice_model(chunk)
        return Delta(text_of(chunk), usage_of(chunk), was_truncated(chunk), chunk)

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

    def _kwargs_for(self, request: Request) -> dict[str, Any]:
        kwargs = dict(self._kwargs)
        if request.stop:
            kwargs["stop"] = [*self._own_stops, *request.stop]
        if request.max_tokens is not None:
            kwargs.setdefault("max_tokens", request.max_tokens)
        return kwargs

    def _without_stops(self, requests: Sequence[Request], outcomes: Sequence[Outcome]) -> dict[int, Request]:
        """The requests refused for their stop sequences, by place, as they are to be sent again."""
        return {
            place: replace(request, stop=())
            for place, (request, outcome) in enumerate(zip(requests, outcomes, strict=True))
            if isinstance(outcome, Exception) and self._refuses_stops(request, outcome)
        }

    def _refuses_stops(self, request: Request, error: Exception) -> bool:
        """Whether the model takes no stop sequences, as OpenAI's reasoning models; remembered if so."""
        refuses = (
            bool(request.stop) and getattr(error, "status_code", None) == BAD_REQUEST and "stop" in str(error)
        )
        if refuses:
            self._refused.add("stop")
        return refuses

    def _width(self, requests: Sequence[Request]) -> int:
        """How many requests may run at once: all, unless the caller's config says fewer."""
        return self._config.get("max_concurrency") or len(requests)


def _replaced(
    outcomes: Sequence[Outcome], places: Iterable[int], later: Sequence[Outcome]
) -> Sequence[Outcome]:
    """The outcomes with some of them replaced by later ones."""
    newer = dict(zip(places, later, strict=True))
    return [newer.get(place, outcome) for place, outcome in enumerate(outcomes)]


def _input(request: Request) -> list[BaseMessage]:
    return to_langchain(request.messages)
