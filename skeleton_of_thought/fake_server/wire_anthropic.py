"""Anthropic's messages on the wire: reading requests, writing answers, events and errors."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from skeleton_of_thought.fake_server.errors import invalid
from skeleton_of_thought.fake_server.fields import (
    blocks_of,
    lifetime,
    messages_field,
    number_field,
    stop_field,
    text_field,
    tool_block,
)
from skeleton_of_thought.fake_server.request import Block, ChatRequest, Tools
from skeleton_of_thought.messages import Message

if TYPE_CHECKING:
    from collections.abc import Mapping

    from skeleton_of_thought.fake_server.errors import ErrorResponse
    from skeleton_of_thought.fake_server.planned_answer import PlannedAnswer

_BREAKPOINTS = 4
_ANSWER_FRAME = 3
_ERROR_TYPES = {
    401: "authentication_error",
    404: "not_found_error",
    429: "rate_limit_error",
    500: "api_error",
    529: "overloaded_error",
}
_FINISH = {
    "stop": "end_turn",
    "stop_sequence": "stop_sequence",
    "length": "max_tokens",
    "refusal": "refusal",
    "content_filter": "refusal",
    "tool_calls": "tool_use",
}


def read(body: Mapping[str, Any], *, client: str) -> ChatRequest:
    """The request in a body.

    Raises:
        RejectedError: A field is missing or wrong.
    """
    model = text_field(body, "model")
    limit = number_field(body, "max_tokens")
    if limit is None:
        raise invalid("max_tokens: Field required", param="max_tokens")
    blocks = tool_block(body.get("tools"))
    messages: list[Message] = []
    if body.get("system"):
        messages.append(Message("system", body["system"]))
        blocks += blocks_of("system", body["system"])
    for message in messages_field(body, ("user", "assistant")):
        messages.append(Message(message["role"], message.get("content") or ""))
        blocks += blocks_of(message["role"], message.get("content"))
    if lifetime(body) is not None:  # the top-level form: the last block is the breakpoint
        blocks[-1] = replace(blocks[-1], cached_for=lifetime(body))
    form = (body.get("output_config") or {}).get("format") or {}
    request = ChatRequest(
        api="anthropic",
        model=model,
        messages=tuple(messages),
        blocks=(*blocks, Block("assistant", "", _ANSWER_FRAME)),
        stream=bool(body.get("stream")),
        max_tokens=limit,
        stop=stop_field(body.get("stop_sequences")),
        thinking=(body.get("thinking") or {}).get("type") in {"enabled", "adaptive"},
        schema=form.get("schema") if form.get("type") == "json_schema" else None,
        tools=_tools(body),
        body=body,
        client=client,
    )
    _check(request)
    return request


def _tools(body: Mapping[str, Any]) -> Tools:
    """The tools on offer, which has to be called, and which were."""
    choice = body.get("tool_choice") or {"type": "auto"}
    called: list[str] = []
    for message in body["messages"]:
        content = message.get("content")
        parts = [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []
        if message["role"] == "user" and not any(part.get("type") == "tool_result" for part in parts):
            called = []
        called += [part["name"] for part in parts if part.get("type") == "tool_use"]
    return Tools(
        {tool["name"]: tool.get("input_schema") or {} for tool in body.get("tools") or () if "name" in tool},
        choice["name"] if choice["type"] == "tool" else choice["type"],
        tuple(called),
    )


def _check(request: ChatRequest) -> None:
    """The rules about content that clients trip over."""
    marked = sum(block.cached_for is not None for block in request.blocks)
    if marked > _BREAKPOINTS:
        raise invalid(
            f"A maximum of {_BREAKPOINTS} blocks with cache_control may be provided. Found {marked}."
        )
    if any(not message.text.strip() and isinstance(message.content, str) for message in request.messages):
        raise invalid("messages: text content blocks must be non-empty")
    if request.prefill != request.prefill.rstrip():
        raise invalid("messages: final assistant content cannot end with trailing whitespace")


def usage(turn: PlannedAnswer, *, written: int) -> dict[str, Any]:
    """The usage block; `input_tokens` are those that were neither read from nor written to the cache."""
    lookup = turn.lookup
    return {
        "input_tokens": turn.request.input_tokens - lookup.read - lookup.written,
        "cache_creation_input_tokens": lookup.written,
        "cache_read_input_tokens": lookup.read,
        "output_tokens": written,
    }


def finish_reason(turn: PlannedAnswer) -> str:
    """Why the answer ends, in Anthropic's words."""
    return _FINISH[turn.finish]


def whole(turn: PlannedAnswer) -> dict[str, Any]:
    """The answer without streaming."""
    content: list[dict[str, Any]] = []
    if turn.thinking:
        content.append({"type": "thinking", "thinking": "".join(turn.thinking), "signature": "c2lnbmVk"})
    if turn.calls:
        content += [
            _call(turn, place) | {"input": _read(turn.arguments(place))} for place in range(len(turn.calls))
        ]
    elif turn.tokens:
        content.append({"type": "text", "text": "".join(turn.tokens)})
    return _message(turn) | {
        "content": content,
        "stop_reason": finish_reason(turn),
        "stop_sequence": turn.stop_sequence,
        "usage": usage(turn, written=turn.length),
    }


def streamed(turn: PlannedAnswer) -> AnthropicStream:
    """The events of an answer that is streamed."""
    return AnthropicStream(turn)


class AnthropicStream:
    """The events of one streamed answer."""

    def __init__(self, turn: PlannedAnswer) -> None:
        self._turn = turn

    def opening(self) -> bytes:
        """What comes before the first token."""
        start = _message(self._turn) | {
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage(self._turn, written=min(1, self._turn.length)),
        }
        return _event("message_start", message=start) + _event("ping")

    def token(self, place: int) -> bytes:
        """One token, with the start and end of its content block where it is the block's first or last."""
        thoughts = len(self._turn.thinking)
        thinking = place < thoughts
        if self._turn.calls and not thinking:
            return self._piece(place - thoughts)
        index = 0 if thinking or not thoughts else 1
        if thinking:
            block: dict[str, Any] = {"type": "thinking", "thinking": "", "signature": ""}
            delta = {"type": "thinking_delta", "thinking": self._turn.thinking[place]}
        else:
            block = {"type": "text", "text": ""}
            delta = {"type": "text_delta", "text": self._turn.tokens[place - thoughts]}
        events = (
            _event("content_block_start", index=index, content_block=block) if place in {0, thoughts} else b""
        )
        events += _event("content_block_delta", index=index, delta=delta)
        if place == thoughts - 1:
            events += _event(
                "content_block_delta", index=index, delta={"type": "signature_delta", "signature": "c2lnbmVk"}
            )
        if place in {thoughts - 1, self._turn.length - 1}:
            events += _event("content_block_stop", index=index)
        return events

    def _piece(self, place: int) -> bytes:
        """One token of a tool call's arguments, with the start and end of its block where it is first or last."""
        turn = self._turn
        call, last = turn.call_of(place), len(turn.tokens) - 1
        index = call + bool(turn.thinking)
        events = b""
        if not place or turn.call_of(place - 1) != call:
            events += _event(
                "content_block_start", index=index, content_block=_call(turn, call) | {"input": {}}
            )
        delta = {"type": "input_json_delta", "partial_json": turn.tokens[place]}
        events += _event("content_block_delta", index=index, delta=delta)
        if place == last or turn.call_of(place + 1) != call:
            events += _event("content_block_stop", index=index)
        return events

    def closing(self) -> bytes:
        """What comes after the last token."""
        delta = {"stop_reason": finish_reason(self._turn), "stop_sequence": self._turn.stop_sequence}
        written = usage(self._turn, written=self._turn.length)
        return _event("message_delta", delta=delta, usage=written) + _event("message_stop")

    def reports_usage(self) -> bool:
        """Whether the closing carries the usage."""
        return True

    def broken(self) -> bytes:
        """An event whose JSON ends too early."""
        return b'event: content_block_delta\ndata: {"type": "content_block_delta", "index": 0, "delta"\n\n'

    def error(self, problem: ErrorResponse) -> bytes:
        """An error in mid-answer."""
        return _event("error", error=error(problem)["error"])


def error(problem: ErrorResponse) -> dict[str, Any]:
    """The body of an error answer."""
    kind = _ERROR_TYPES.get(problem.status, "invalid_request_error")
    return {"type": "error", "error": {"type": kind, "message": problem.message}}


def models(names: tuple[str, ...]) -> dict[str, Any]:
    """The list of models."""
    listed = [
        {"id": name, "type": "model", "display_name": name, "created_at": "2026-01-01T00:00:00Z"}
        for name in names
    ]
    return {"data": listed, "has_more": False, "first_id": names[0], "last_id": names[-1]}


def _call(turn: PlannedAnswer, place: int) -> dict[str, Any]:
    return {
        "type": "tool_use",
        "id": f"toolu_{turn.entry.number:08d}_{place}",
        "name": turn.calls[place].name,
    }


def _read(arguments: str) -> Any:
    """A tool call's arguments; none where the length limit cut them."""
    try:
        return json.loads(arguments)
    except ValueError:
        return {}


def _message(turn: PlannedAnswer) -> dict[str, Any]:
    return {
        "id": f"msg_{turn.entry.number:08d}",
        "type": "message",
        "role": "assistant",
        "model": turn.request.model,
    }


def _event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()
