"""The server's endpoints and what they share."""

from __future__ import annotations

import asyncio
import json
import random
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from skeleton_of_thought.errors import ConfigurationError
from skeleton_of_thought.fake_server import wire_anthropic, wire_openai
from skeleton_of_thought.fake_server.answers import FakeReply, PlausibleAnswers
from skeleton_of_thought.fake_server.errors import ErrorResponse, RejectedError, check_model_takes, invalid
from skeleton_of_thought.fake_server.faults import Faults, fault_from_json
from skeleton_of_thought.fake_server.ledger import Ledger
from skeleton_of_thought.fake_server.planned_answer import Pace, PlannedAnswer, plan
from skeleton_of_thought.fake_server.prompt_cache import PromptCache
from skeleton_of_thought.fake_server.quotas import Meter, Quota
from skeleton_of_thought.fake_server.request import Api, ChatRequest
from skeleton_of_thought.fake_server.responding import Responder, Wire, check_fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import Receive, Scope, Send

    from skeleton_of_thought.fake_server.connection import Connection
    from skeleton_of_thought.fake_server.ledger import Entry

_WIRES: dict[Api, Wire] = {"openai": wire_openai, "anthropic": wire_anthropic}


@dataclass(slots=True)
class Provider:
    """What a fake provider is made of; the fields may be replaced while the server runs.

    With `slots` it writes so many answers at a time and lets others wait for their turn, as inference servers do
    (Ollama and llama.cpp with one), where a hosted model refuses what is too much (`Quota.max_concurrent`).
    """

    answer: Callable[[ChatRequest], FakeReply | str] = field(default_factory=PlausibleAnswers)
    pace: Pace = field(default_factory=Pace)
    quota: Quota = field(default_factory=Quota)
    models: tuple[str, ...] = ("gpt-4o-mini", "claude-haiku-4-5")
    faults: Faults = field(default_factory=Faults)
    ledger: Ledger = field(default_factory=Ledger)
    cache: PromptCache = field(default_factory=PromptCache)
    meter: Meter = field(default_factory=Meter)
    draw: random.Random = field(default_factory=lambda: random.Random(0))
    slots: int | None = None
    slot_free: asyncio.Event = field(default_factory=asyncio.Event)

    def application(self) -> Starlette:
        """The ASGI application."""
        return Starlette(
            routes=[
                Route("/v1/chat/completions", _Endpoint(self, "openai"), methods=["POST"]),
                Route("/v1/messages", _Endpoint(self, "anthropic"), methods=["POST"]),
                Route("/v1/messages/count_tokens", self._count_tokens, methods=["POST"]),
                Route("/v1/models", self._models),
                Route("/ledger", self._ledger, methods=["GET", "DELETE"]),
                Route("/cache", self._cache, methods=["DELETE"]),
                Route("/faults", self._faults, methods=["GET", "POST", "DELETE"]),
            ]
        )

    async def _models(self, request: Request) -> Response:
        wire = wire_anthropic if "anthropic-version" in request.headers else wire_openai
        return JSONResponse(wire.models(self.models))

    async def _count_tokens(self, request: Request) -> Response:
        try:
            body = {"max_tokens": 1, **await _json(request)}
            return JSONResponse({"input_tokens": wire_anthropic.read(body, client="").input_tokens})
        except RejectedError as error:
            return JSONResponse(wire_anthropic.error(error.problem), status_code=error.problem.status)

    async def _ledger(self, request: Request) -> Response:
        if request.method == "DELETE":
            self.ledger.clear()
            return Response(status_code=204)
        texts = request.query_params.get("texts") == "true"
        entries = [entry.to_json(texts=texts) for entry in self.ledger.entries]
        return JSONResponse({"now": time.monotonic(), "entries": entries})

    async def _cache(self, _: Request) -> Response:
        self.cache.clear()
        return Response(status_code=204)

    async def _faults(self, request: Request) -> Response:
        if request.method == "DELETE":
            self.faults.clear()
            return Response(status_code=204)
        if request.method == "POST":
            try:
                self.faults.add(**fault_from_json(await _json(request)))
            except (ConfigurationError, RejectedError) as error:
                return JSONResponse({"error": str(error)}, status_code=400)
        return JSONResponse({"faults": [fault.to_json() for fault in self.faults.active]})


class _Endpoint:
    """The endpoint of one wire format."""

    def __init__(self, provider: Provider, api: Api) -> None:
        self._provider = provider
        self._api: Api = api

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        connection: Connection = scope["state"]["connection"]
        connection.task = asyncio.current_task()
        connection.requests += 1
        try:
            await self._serve(Request(scope, receive), connection, receive, send)
        except (asyncio.CancelledError, ClientDisconnect):
            pass  # the client left; the ledger says so
        finally:
            connection.task = None

    async def _serve(self, http: Request, connection: Connection, receive: Receive, send: Send) -> None:
        provider, wire = self._provider, _WIRES[self._api]
        request, malformed = await self._read(http)
        entry = provider.ledger.open(request)
        try:
            turn, problem = self._decide(request, entry, malformed)
            responder = Responder(
                wire=wire,
                connection=connection,
                receive=receive,
                send=send,
                headers=self._headers(entry, connection),
                close=lambda outcome: provider.ledger.close(entry, outcome),
            )
            if problem is not None:
                entry.status = problem.status
                await responder.refuse(problem)
            elif turn is not None:
                await self._answer(responder, turn)
        finally:
            if entry.ended is None:
                provider.ledger.close(entry, "disconnected")

    async def _read(self, http: Request) -> tuple[ChatRequest, ErrorResponse | None]:
        """The request; an empty one, for the ledger, with the problem if it cannot be read."""
        client = f"{http.client.host}:{http.client.port}" if http.client else ""
        try:
            return _WIRES[self._api].read(await _json(http), client=client), None
        except RejectedError as error:
            return ChatRequest(api=self._api, model="", messages=(), blocks=(), client=client), error.problem

    def _decide(
        self, request: ChatRequest, entry: Entry, malformed: ErrorResponse | None
    ) -> tuple[PlannedAnswer | None, ErrorResponse | None]:
        """How a request is answered, or why it is refused."""
        provider = self._provider
        if malformed is not None:
            return None, malformed
        try:
            fault = provider.faults.draw(request)
            entry.fault = fault.kind if fault else None
            check_fault(fault, self._api)  # a provider looks at key and load before it looks at the request
            check_model_takes(request)
            lookup = provider.cache.look_up(request)
            turn = plan(
                request,
                entry=entry,
                lookup=lookup,
                answer=provider.answer,
                fault=fault,
                pace=provider.pace.of_one(provider.draw),
            )
            counted = request.input_tokens - (0 if provider.quota.count_cached else lookup.read)
            provider.meter.admit(provider.quota, counted + turn.length)
        except RejectedError as error:
            return None, error.problem
        return turn, None

    async def _answer(self, responder: Responder, turn: PlannedAnswer) -> None:
        provider, entry = self._provider, turn.entry
        entry.input_tokens = turn.request.input_tokens
        entry.cache_read_tokens, entry.cache_write_tokens = turn.lookup.read, turn.lookup.written
        while provider.slots is not None and provider.meter.running >= provider.slots:
            provider.slot_free.clear()
            await provider.slot_free.wait()
            turn = replace(turn, waited=time.monotonic() - entry.arrived)
        provider.meter.running += 1
        try:
            await responder.answer(turn, begins=lambda: provider.cache.store(turn.lookup))
        finally:
            provider.meter.running -= 1
            provider.slot_free.set()

    def _headers(self, entry: Entry, connection: Connection) -> dict[str, str]:
        quota = self._provider.quota
        headers = self._provider.meter.headers(quota, self._api)
        headers["x-request-id" if self._api == "openai" else "request-id"] = f"req_{entry.number:08d}"
        if quota.requests_per_connection is not None and connection.requests >= quota.requests_per_connection:
            headers["connection"] = "close"
        return headers


async def _json(http: Request) -> dict[str, Any]:
    """The JSON object in a request's body."""
    try:
        value = json.loads(await http.body())
    except ValueError as error:
        raise invalid(f"We could not parse the JSON body of your request: {error}") from error
    if not isinstance(value, dict):
        raise invalid("The body of a request is a JSON object.")
    return value
