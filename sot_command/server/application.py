"""The endpoints."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import logging
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from skeleton_of_thought.messages import Message
from skeleton_of_thought.request import Request as ModelRequest
from sot_command.server.metrics import Metrics
from sot_command.server.problems import Problem, problem_of
from sot_command.server.reading import CompletionRequest, read
from sot_command.server.writing import Gathered, Writer, event, text_choice

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.types import ASGIApp, Receive, Scope, Send

    from sot_command.server.answering import Answerer, ServedAnswer

logger = logging.getLogger("sot_command.server")

ROUTE_HEADER = "x-sot-route"
"""In a request it forces the route; in a response it says which one was taken."""

_ANY_NAME = {"default", "sot"}
"""Model names that mean whatever is served."""

_LARGEST_BODY = 10_000_000
_MORE_BODY_THAN_ALLOWED = 413


@dataclass(kw_only=True)
class Service:
    """What the endpoints share.

    Attributes:
        answerer: Makes the answers.
        api_key: What a caller has to show; None lets everybody in.
        most_answers: Answers at once beyond which a request is turned away (503).
        metrics: What is counted.
        ready: Set once the model can answer.
    """

    answerer: Answerer
    api_key: str | None = None
    most_answers: int = 1000
    metrics: Metrics = field(init=False)
    ready: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self.metrics = Metrics(self.answerer.limiter)

    def application(self) -> ASGIApp:
        """The ASGI application."""
        return Starlette(
            routes=[
                Route("/v1/chat/completions", _ChatCompletions(self), methods=["POST"]),
                Route("/v1/models", self._models),
                Route("/v1/models/{name:path}", self._model),
                Route("/health", self._health),
                Route("/ready", self._ready),
                Route("/metrics", self._metrics),
            ],
            exception_handlers={404: _no_such_page, 405: _no_such_page},
            lifespan=self._lifespan,
        )

    @contextlib.asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        warming = asyncio.create_task(self._warm_up())
        try:
            yield
        finally:
            self.ready = False
            warming.cancel()
            await asyncio.gather(warming, return_exceptions=True)
            await self.answerer.upstream.aclose()

    async def _warm_up(self) -> None:
        """A local model answers once for nothing; an API is ready as it is, and would want money."""
        upstream = self.answerer.upstream
        if upstream.name.partition(":")[0] in {"local", "hf"}:
            hello = ModelRequest("direct", "direct", (Message("user", "Hello"),), max_tokens=4)
            async with contextlib.aclosing(upstream.astream(hello, {})) as deltas:
                async for _ in deltas:
                    pass
        self.ready = True

    @property
    def names(self) -> tuple[str, ...]:
        """The names the model is served under: as the command was given it, and as the upstream calls it."""
        name = self.answerer.upstream.name
        short = name.partition(":")[2]
        return (short, name) if short else (name,)

    def check_model(self, name: str) -> None:
        """Refuse a model that is not served.

        Raises:
            Problem: With the names there are.
        """
        if name not in _ANY_NAME and name not in self.names:
            served = " or ".join(map(repr, self.names))
            raise Problem(404, f"There is no model {name!r} here; use {served}.", "model", "model_not_found")

    def check_key(self, request: Request) -> None:
        """Refuse who does not show the key.

        Raises:
            Problem: 401.
        """
        shown = request.headers.get("authorization", "").removeprefix("Bearer ").encode()
        if self.api_key is not None and not hmac.compare_digest(shown, self.api_key.encode()):
            raise Problem(
                401, "The API key is missing or wrong; send it as a bearer token.", code="invalid_api_key"
            )

    async def _models(self, request: Request) -> Response:
        try:
            self.check_key(request)
        except Problem as problem:
            return _refusal(problem)
        return JSONResponse({"object": "list", "data": [_model(self.names[0])]})

    async def _model(self, request: Request) -> Response:
        name = request.path_params["name"]
        try:
            self.check_key(request)
            self.check_model(name)
        except Problem as problem:
            return _refusal(problem)
        return JSONResponse(_model(name))

    async def _health(self, _: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def _ready(self, _: Request) -> Response:
        return JSONResponse({"ready": self.ready}, status_code=200 if self.ready else 503)

    async def _metrics(self, _: Request) -> Response:
        return PlainTextResponse(self.metrics.text(), media_type="text/plain; version=0.0.4")


class _ChatCompletions:
    """The endpoint of chat completions: an answer is worked on only while its client is there."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        http = Request(scope, receive)
        exchange = _Exchange(self._service, http, send)
        try:
            request = await self._read(http)
        except Problem as problem:
            await exchange.refuse(problem)
            return
        except ClientDisconnect:
            return
        work = asyncio.create_task(exchange.answer(request))
        leaving = asyncio.create_task(_gone(receive))
        try:
            await asyncio.wait({work, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone = not work.done()
            work.cancel()
            leaving.cancel()
            await asyncio.gather(work, leaving, return_exceptions=True)
            if gone:
                exchange.note("client left")

    async def _read(self, http: Request) -> CompletionRequest:
        service = self._service
        service.check_key(http)
        if service.metrics.in_flight >= service.most_answers:
            raise Problem(503, "Too many answers are being written; try again.", retry_after=1.0)
        body = bytearray()
        async for part in http.stream():
            body += part
            if len(body) > _LARGEST_BODY:
                raise Problem(_MORE_BODY_THAN_ALLOWED, f"The body is longer than {_LARGEST_BODY} bytes.")
        try:
            told = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise Problem(400, f"The body is no JSON: {error}.") from error
        settings = service.answerer.settings
        request = read(told, forced=http.headers.get(ROUTE_HEADER), max_points=settings.max_points)
        service.check_model(request.model)
        if request.plain is not None and not service.answerer.upstream.relays:
            _check_plain(request, service.answerer.upstream.name)
        return request


def _check_plain(request: CompletionRequest, name: str) -> None:
    """Refuse what an upstream that does not speak OpenAI's language cannot do, rather than leave it out.

    Raises:
        Problem: With the field.
    """
    for wanted in ("tools", "functions", "response_format", "logprobs", "prediction", "audio"):
        if request.fields.get(wanted):
            hint = "; serve the model with openai:NAME and --base-url instead" if ":" in name else ""
            raise Problem(400, f"The model {name} takes no {wanted}{hint}.", wanted, "unsupported_parameter")
    if request.fields.get("n", 1) != 1:
        raise Problem(400, f"The model {name} gives one choice per request.", "n", "unsupported_parameter")


class _Exchange:
    """One request and its response."""

    def __init__(self, service: Service, http: Request, send: Send) -> None:
        self._service = service
        self._send = send
        self._started = time.perf_counter()
        self._id = http.headers.get("x-request-id") or uuid.uuid4().hex
        self._answering: ServedAnswer | None = None
        self._begun = False
        self._noted = False
        self._stream = False

    async def answer(self, request: CompletionRequest) -> None:
        """Answer; a failure becomes a response, or the last event of a stream."""
        self._stream = request.stream
        self._service.metrics.in_flight += 1
        try:
            self._answering = await self._service.answerer.open(request)
            writer = Writer(f"chatcmpl-{self._id}", self._service.names[0])
            await (self._write_stream if request.stream else self._write_whole)(
                self._answering, request, writer
            )
            self._service.metrics.answered(self._answering.answer)
            self.note("200")
        except Exception as error:  # noqa: BLE001 - every failure is told to the client in OpenAI's shape
            await self._fail(error)
        finally:
            self._service.metrics.in_flight -= 1

    async def refuse(self, problem: Problem) -> None:
        """Answer with a problem."""
        await _refusal(problem, self._id)({"type": "http"}, _nothing, self._send)
        self.note(str(problem.status), problem.code or problem.param or type(problem).__name__)

    def note(self, outcome: str, problem: str | None = None) -> None:
        """Count and log the end; what was asked and answered, and every key, stay out of it."""
        if self._noted:
            return
        self._noted = True
        route = self._answering.route if self._answering else "none"
        self._service.metrics.ended(route, outcome)
        told: dict[str, Any] = {
            "id": self._id,
            "outcome": outcome,
            "route": route,
            "stream": self._stream,
            "seconds": round(time.perf_counter() - self._started, 6),
            "model": self._service.names[0],
        }
        if outcome == "200" and self._answering:
            answer = self._answering.answer
            told |= {
                "points": len(answer.points),
                "failed_points": sum(point.status != "ok" for point in answer.points),
                "first_token": round(answer.seconds.first_token, 6),
                "input_tokens": answer.usage.input_tokens,
                "output_tokens": answer.usage.output_tokens,
            }
        if problem is not None:
            told["problem"] = problem
        logger.log(logging.INFO if outcome == "200" else logging.WARNING, "%s", json.dumps(told))

    async def _write_stream(
        self, answering: ServedAnswer, request: CompletionRequest, writer: Writer
    ) -> None:
        relayed = False
        async with contextlib.aclosing(answering.pieces(shown=True)) as pieces:
            async for piece in pieces:
                if not self._begun and piece:
                    await self._begin("text/event-stream; charset=utf-8", answering)
                    if isinstance(piece, str):
                        await self._more(writer.opening())
                if isinstance(piece, str):
                    if piece:
                        relayed = False
                        await self._more(writer.text(piece))
                else:
                    relayed = True
                    await self._more(writer.relayed(piece))
        if not self._begun:
            await self._begin("text/event-stream; charset=utf-8", answering)
        answer = answering.answer
        end = b"" if relayed else writer.finish("length" if answering.truncated else "stop")
        usage = answer.usage if request.reports_usage else None
        sot = answer.to_dict() if request.shows_sot else None
        await self._more(end + writer.closing(usage, sot), last=True)

    async def _write_whole(self, answering: ServedAnswer, request: CompletionRequest, writer: Writer) -> None:
        gathered: Gathered | None = None
        async with contextlib.aclosing(answering.pieces(shown=False)) as pieces:
            async for piece in pieces:
                if isinstance(piece, dict):
                    gathered = gathered or Gathered()
                    gathered.add(piece)
                elif not piece:
                    gathered = None
        answer = answering.answer
        reason = "length" if answering.truncated else "stop"
        choices = gathered.choices() if gathered else [text_choice(answer.text, reason)]
        body = writer.whole(choices, answer.usage, answer.to_dict() if request.shows_sot else None)
        await self._begin("application/json", answering, length=len(body))
        await self._more(body, last=True)

    async def _fail(self, error: Exception) -> None:
        problem = problem_of(error)
        if problem.status >= 500:  # noqa: PLR2004
            logger.debug("Request %s failed", self._id, exc_info=error)
        if not self._begun:
            await self.refuse(problem)
            return
        with contextlib.suppress(Exception):
            await self._more(event(problem.to_dict()), last=True)
        self.note("broken off", problem.code or problem.param or type(problem).__name__)

    async def _begin(self, content_type: str, answering: ServedAnswer, *, length: int | None = None) -> None:
        self._begun = True
        headers = [
            (b"content-type", content_type.encode()),
            (ROUTE_HEADER.encode(), answering.route.encode()),
            (b"x-request-id", self._id.encode("latin-1", "replace")),
            (b"cache-control", b"no-cache"),
        ]
        if length is not None:
            headers.append((b"content-length", str(length).encode()))
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})

    async def _more(self, body: bytes, *, last: bool = False) -> None:
        await self._send({"type": "http.response.body", "body": body, "more_body": not last})


async def _gone(receive: Receive) -> None:
    """Until the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _nothing() -> Any:
    """Nothing is read any more."""
    return {"type": "http.disconnect"}


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "skeleton-of-thought"}


def _refusal(problem: Problem, request_id: str | None = None) -> Response:
    headers = {} if request_id is None else {"x-request-id": request_id}
    if problem.retry_after is not None:
        headers["retry-after"] = f"{problem.retry_after:g}"
    return JSONResponse(problem.to_dict(), status_code=problem.status, headers=headers)


async def _no_such_page(request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 404)
    return _refusal(Problem(status, f"There is no {request.method} {request.url.path} here."))
