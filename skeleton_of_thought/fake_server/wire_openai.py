"""OpenAI's chat completions on the wire: reading requests, writing answers, chunks and errors."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from skeleton_of_thought.fake_server.errors import invalid
from skeleton_of_thought.fake_server.fields import (
    blocks_of,
    messages_field,
    number_field,
    stop_field,
    text_field,
    tool_block,
)
from skeleton_of_thought.fake_server.request import Block, ChatRequest, Tools
from skeleton_of_thought.messages import Message, Role

if TYPE_CHECKING:
    from collections.abc import Mapping

    from skeleton_of_thought.fake_server.errors import ErrorResponse
    from skeleton_of_thought.fake_server.planned_answer import PlannedAnswer

_ROLES: Mapping[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "other",
    "function": "other",
}
_ANSWER_FRAME = 3
_ERROR_TYPES = {401: "authentication_error", 429: "requests", 500: "server_error", 529: "overloaded_error"}
_FINISH = {
    "stop": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "refusal": "stop",
    "content_filter": "content_filter",
    "tool_calls": "tool_calls",
}


def read(body: Mapping[str, Any], *, client: str) -> ChatRequest:
    """The request in a body.

    Raises:
        RejectedError: A field is missing or wrong.
    """
    model = text_field(body, "model")
    if body.get("n") not in {None, 1}:
        raise invalid("n: this server gives one choice per request.", param="n")
    messages: list[Message] = []
    blocks = tool_block(body.get("tools"))
    for message in messages_field(body, list(_ROLES)):
        content = message.get("content")
        role = _ROLES[message["role"]]
        messages.append(Message(role, "" if content is None else content))
        blocks += blocks_of(role, content)
    blocks.append(Block("assistant", "", _ANSWER_FRAME))
    form = body.get("response_format") or {}
    return ChatRequest(
        api="openai",
        model=model,
        messages=tuple(messages),
        blocks=tuple(blocks),
        stream=bool(body.get("stream")),
        max_tokens=number_field(body, "max_completion_tokens") or number_field(body, "max_tokens"),
        stop=stop_field(body.get("stop")),
        thinking=body.get("reasoning_effort") not in {None, "none"},
        schema=form.get("json_schema", {}).get("schema") if form.get("type") == "json_schema" else None,
        tools=_tools(body),
        body=body,
        client=client,
    )


def _tools(body: Mapping[str, Any]) -> Tools:
    """The tools on offer, which has to be called, and which were."""
    offered = [tool["function"] for tool in body.get("tools") or () if tool.get("type") == "function"]
    choice = body.get("tool_choice") or "auto"
    called: list[str] = []
    for message in body["messages"]:
        calls = message.get("tool_calls") or ()
        called = [] if message["role"] == "user" else [*called, *(call["function"]["name"] for call in calls)]
    return Tools(
        {tool["name"]: tool.get("parameters") or {} for tool in offered},
        choice["function"]["name"] if isinstance(choice, dict) else choice.replace("required", "any"),
        tuple(called),
    )


def finish_reason(turn: PlannedAnswer) -> str:
    """Why the answer ends, in OpenAI's words."""
    return _FINISH[turn.finish]


def usage(turn: PlannedAnswer) -> dict[str, Any]:
    """The usage block."""
    written = turn.length
    return {
        "prompt_tokens": turn.request.input_tokens,
        "completion_tokens": written,
        "total_tokens": turn.request.input_tokens + written,
        "prompt_tokens_details": {"cached_tokens": turn.lookup.read, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": len(turn.thinking), "audio_tokens": 0},
    }


def whole(turn: PlannedAnswer) -> dict[str, Any]:
    """The answer without streaming."""
    text = "" if turn.calls else "".join(turn.tokens)
    refused = turn.finish == "refusal"
    message: dict[str, Any] = {
        "role": "assistant",
        "content": None if refused or turn.calls else text,
        "refusal": text if refused else None,
    }
    if turn.calls:
        message["tool_calls"] = [
            _call(turn, place) | {"function": {"name": call.name, "arguments": turn.arguments(place)}}
            for place, call in enumerate(turn.calls)
        ]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason(turn)}
    return _envelope(turn, "chat.completion") | {"choices": [choice], "usage": usage(turn)}


def streamed(turn: PlannedAnswer) -> OpenAIStream:
    """The events of an answer that is streamed."""
    return OpenAIStream(turn)


class OpenAIStream:
    """The events of one streamed answer."""

    def __init__(self, turn: PlannedAnswer) -> None:
        self._turn = turn
        self._options = turn.request.body.get("stream_options") or {}
        self._field = "refusal" if turn.finish == "refusal" else "content"
        before, after = self._chunk({self._field: "\x00"}).split(b'"\\u0000"')
        self._before, self._after = before, after

    def opening(self) -> bytes:
        """What comes before the first token."""
        return self._chunk({"role": "assistant", "content": "", "refusal": None})

    def token(self, place: int) -> bytes:
        """One token; those of the thinking stay hidden."""
        hidden = len(self._turn.thinking)
        if place < hidden:
            return b""
        if self._turn.calls:
            return self._chunk({"tool_calls": [self._piece(place - hidden)]})
        return self._before + json.dumps(self._turn.tokens[place - hidden]).encode() + self._after

    def _piece(self, place: int) -> dict[str, Any]:
        """One token of a tool call's arguments; a call's first carries its name."""
        turn = self._turn
        index = turn.call_of(place)
        function = {"arguments": turn.tokens[place]}
        if place and turn.call_of(place - 1) == index:
            return {"index": index, "function": function}
        return {
            "index": index,
            **_call(turn, index),
            "function": {"name": turn.calls[index].name, **function},
        }

    def closing(self) -> bytes:
        """What comes after the last token."""
        end = self._chunk({}, finish=finish_reason(self._turn))
        if self._options.get("include_usage"):
            end += _event(
                _envelope(self._turn, "chat.completion.chunk") | {"choices": [], "usage": usage(self._turn)}
            )
        return end + b"data: [DONE]\n\n"

    def reports_usage(self) -> bool:
        """Whether the closing carries the usage."""
        return bool(self._options.get("include_usage"))

    def broken(self) -> bytes:
        """An event whose JSON ends too early."""
        return self._before + b'"\n\n'

    def error(self, problem: ErrorResponse) -> bytes:
        """An error in mid-answer."""
        return _event(error(problem))

    def _chunk(self, delta: dict[str, Any], finish: str | None = None) -> bytes:
        chunk = _envelope(self._turn, "chat.completion.chunk")
        chunk["choices"] = [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]
        if self._options.get("include_usage"):
            chunk["usage"] = None
        return _event(chunk)


def error(problem: ErrorResponse) -> dict[str, Any]:
    """The body of an error answer."""
    kind = _ERROR_TYPES.get(problem.status, "invalid_request_error")
    return {
        "error": {"message": problem.message, "type": kind, "param": problem.param, "code": problem.code},
    }


def models(names: tuple[str, ...]) -> dict[str, Any]:
    """The list of models."""
    listed = [
        {"id": name, "object": "model", "created": 0, "owned_by": "skeleton-of-thought"} for name in names
    ]
    return {"object": "list", "data": listed}


def _call(turn: PlannedAnswer, index: int) -> dict[str, Any]:
    return {"id": f"call_{turn.entry.number:08d}_{index}", "type": "function"}


def _envelope(turn: PlannedAnswer, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{turn.entry.number:08d}",
        "object": kind,
        "created": int(time.time()),
        "model": turn.request.model,
        "service_tier": "default",
        "system_fingerprint": "fp_fake",
    }


def _event(value: Mapping[str, Any]) -> bytes:
    return f"data: {json.dumps(value)}\n\n".encode()
