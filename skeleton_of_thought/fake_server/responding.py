"""Sending one answer: whole or token by token, with the fault that was drawn for it."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any, Protocol

from skeleton_of_thought.fake_server.errors import PREFILL_REFUSED, ErrorResponse, RejectedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.types import Receive, Send

    from skeleton_of_thought.fake_server.connection import Connection
    from skeleton_of_thought.fake_server.faults import Fault
    from skeleton_of_thought.fake_server.ledger import Outcome
    from skeleton_of_thought.fake_server.planned_answer import PlannedAnswer
    from skeleton_of_thought.fake_server.request import Api, ChatRequest

_OVERLOADED = ErrorResponse(529, "Overloaded")
_BROKEN = ErrorResponse(500, "The server had an error while processing your request.")


class WireStream(Protocol):
    """The events of one streamed answer."""

    def __init__(self, turn: PlannedAnswer) -> None: ...

    def opening(self) -> bytes:
        """What comes before the first token."""
        ...

    def token(self, place: int) -> bytes:
        """One token; the places count thinking and answer together."""
        ...

    def closing(self) -> bytes:
        """What comes after the last token."""
        ...

    def reports_usage(self) -> bool:
        """Whether the closing carries the usage."""
        ...

    def broken(self) -> bytes:
        """An event whose JSON ends too early."""
        ...

    def error(self, problem: ErrorResponse) -> bytes:
        """An error in mid-answer."""
        ...


class Wire(Protocol):
    """A provider's wire format; the modules `wire_openai` and `wire_anthropic` are the two."""

    def read(self, body: Mapping[str, Any], *, client: str) -> ChatRequest:
        """The request in a body."""
        ...

    def finish_reason(self, turn: PlannedAnswer) -> str:
        """Why an answer ends, in the provider's words."""
        ...

    def whole(self, turn: PlannedAnswer) -> dict[str, Any]:
        """An answer without streaming."""
        ...

    def error(self, problem: ErrorResponse) -> dict[str, Any]:
        """The body of an error answer."""
        ...

    def streamed(self, turn: PlannedAnswer) -> WireStream:
        """The events of an answer that is streamed."""
        ...


class Responder:
    """Answers one request over one connection.

    `close` is called with the outcome just before the last byte goes out, so that whoever has the whole
    answer finds it in the ledger.
    """

    def __init__(
        self,
        *,
        wire: Wire,
        connection: Connection,
        receive: Receive,
        send: Send,
        headers: Mapping[str, str],
        close: Callable[[Outcome], None],
    ) -> None:
        self._wire = wire
        self._connection = connection
        self._receive = receive
        self._send = send
        self._headers = headers
        self._close = close

    async def refuse(self, problem: ErrorResponse) -> None:
        """Send an error instead of an answer."""
        self._close("refused")
        await self._send_json(problem.status, self._wire.error(problem), problem.headers)

    async def answer(self, turn: PlannedAnswer, *, begins: Callable[[], None]) -> None:
        """Send an answer at its pace; `begins` is called when the first token is ready."""
        turn.entry.status = 200
        turn.entry.finish = self._wire.finish_reason(turn)
        try:
            send = self._stream if turn.request.stream else self._whole
            await send(turn, begins)
        except asyncio.CancelledError:
            if not turn.request.stream:
                _note_written(turn, turn.due_by(time.monotonic()))
            raise

    async def _whole(self, turn: PlannedAnswer, begins: Callable[[], None]) -> None:
        async for ready in turn.ticks():
            _note_first(turn, begins)
            _note_written(turn, ready)
        fault = turn.fault.kind if turn.fault else None
        if fault == "stall" and turn.fault:
            await asyncio.sleep(turn.fault.seconds)
        if fault == "reset":
            await self._reset()
        elif fault == "stream_error":
            turn.entry.status = _BROKEN.status
            self._close("broken")
            await self._send_json(_BROKEN.status, self._wire.error(_BROKEN))
        elif fault == "invalid_json":
            text = json.dumps(self._wire.whole(turn))
            self._close("broken")
            await self._send_bytes(200, text[: len(text) // 2].encode())
        else:
            turn.entry.reported = True
            self._close("answered")
            await self._send_json(200, self._wire.whole(turn))

    async def _stream(self, turn: PlannedAnswer, begins: Callable[[], None]) -> None:
        stream, fault = self._wire.streamed(turn), turn.fault
        await self._start(
            200, {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}
        )
        out, sent, breaks_at = stream.opening(), 0, turn.breaks_at
        async for ready in turn.ticks():
            _note_first(turn, begins)
            end = ready if breaks_at is None else min(ready, breaks_at)
            out += b"".join(map(stream.token, range(sent, end)))
            await self._body(out)
            out, sent = b"", end
            _note_written(turn, sent)
            if breaks_at is not None and ready >= breaks_at and fault is not None:
                if fault.kind != "stall":
                    await self._break(stream, fault)
                    return
                breaks_at = None
                await asyncio.sleep(fault.seconds)
        rest = b"".join(map(stream.token, range(sent, turn.length)))
        _note_written(turn, turn.length)
        turn.entry.reported = stream.reports_usage()
        self._close("answered")
        await self._body(rest + stream.closing(), more=False)

    async def _break(self, stream: WireStream, fault: Fault) -> None:
        if fault.kind == "reset":
            await self._reset()
            return
        self._close("broken")
        await self._body(
            stream.error(_OVERLOADED) if fault.kind == "stream_error" else stream.broken(), more=False
        )

    async def _reset(self) -> None:
        self._close("broken")
        self._connection.reset()
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def _send_json(self, status: int, value: object, headers: Mapping[str, str] | None = None) -> None:
        await self._send_bytes(status, json.dumps(value).encode(), headers)

    async def _send_bytes(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        described = {"content-type": "application/json", "content-length": str(len(body)), **(headers or {})}
        await self._start(status, described)
        await self._body(body, more=False)

    async def _start(self, status: int, headers: Mapping[str, str]) -> None:
        encoded = [(name.encode(), value.encode()) for name, value in {**self._headers, **headers}.items()]
        await self._send({"type": "http.response.start", "status": status, "headers": encoded})

    async def _body(self, body: bytes, *, more: bool = True) -> None:
        await self._send({"type": "http.response.body", "body": body, "more_body": more})


def check_fault(fault: Fault | None, api: Api) -> None:
    """Refuse a request whose fault is an error status.

    Raises:
        RejectedError: With that status.
    """
    if fault is None:
        return
    headers = {} if fault.retry_after is None else {"retry-after": f"{fault.retry_after:g}"}
    refusals = {
        "rate_limit": ErrorResponse(429, "Rate limit reached.", code="rate_limit_exceeded", headers=headers),
        "server_error": _BROKEN,
        "overloaded": ErrorResponse(529, "Overloaded", headers=headers),
        "unauthorized": ErrorResponse(401, "Incorrect API key provided.", code="invalid_api_key"),
        "unknown_model": ErrorResponse(404, "The model does not exist.", code="model_not_found"),
        "prefill_rejected": ErrorResponse(400, PREFILL_REFUSED),
    }
    if api == "anthropic":
        refusals["content_filter"] = ErrorResponse(400, "Output blocked by content filtering policy")
    if fault.kind in refusals:
        raise RejectedError(refusals[fault.kind])


def _note_first(turn: PlannedAnswer, begins: Callable[[], None]) -> None:
    if turn.entry.first_token is None:
        turn.entry.first_token = time.monotonic()
        begins()


def _note_written(turn: PlannedAnswer, written: int) -> None:
    entry = turn.entry
    entry.output_tokens = written
    entry.text = "".join(turn.tokens[: max(0, written - len(turn.thinking))])
