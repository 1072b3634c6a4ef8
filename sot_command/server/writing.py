"""Chat completions on the wire: whole, or as the events of a stream."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skeleton_of_thought.usage import Usage


class Writer:
    """Writes one answer.

    Args:
        completion_id: The answer's id.
        model: The model's name, as the caller knows it.
    """

    def __init__(self, completion_id: str, model: str) -> None:
        self._frame = {"id": completion_id, "created": int(time.time()), "model": model}
        before, after = self._chunk([_choice({"content": "\0"})]).split(b'"\\u0000"')
        self._before, self._after = before, after

    def opening(self) -> bytes:
        """The event before the first text of an answer that is put together here."""
        return self._chunk([_choice({"role": "assistant", "content": ""})])

    def text(self, text: str) -> bytes:
        """The event of a piece of text; its frame was written once, for there are many."""
        return self._before + json.dumps(text).encode() + self._after

    def relayed(self, chunk: dict[str, Any]) -> bytes:
        """The upstream's own choices, under this answer's id and model."""
        return self._chunk(chunk["choices"])

    def finish(self, reason: str) -> bytes:
        """The event that says why an answer that is put together here ends."""
        return self._chunk([_choice({}, reason)])

    def closing(self, usage: Usage | None, sot: dict[str, Any] | None) -> bytes:
        """The last events: usage and `sot` object if the caller asked for them, and the end."""
        extra: dict[str, Any] = {} if usage is None else {"usage": usage_of(usage)}
        if sot is not None:
            extra["sot"] = sot
        return (self._chunk([], **extra) if extra else b"") + b"data: [DONE]\n\n"

    def whole(self, choices: list[dict[str, Any]], usage: Usage, sot: dict[str, Any] | None) -> bytes:
        """A completion in one piece."""
        body = {**self._frame, "object": "chat.completion", "choices": choices, "usage": usage_of(usage)}
        return json.dumps(body if sot is None else {**body, "sot": sot}).encode()

    def _chunk(self, choices: list[dict[str, Any]], **extra: Any) -> bytes:
        return event({**self._frame, "object": "chat.completion.chunk", "choices": choices, **extra})


def event(body: dict[str, Any]) -> bytes:
    """One server-sent event."""
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def usage_of(usage: Usage) -> dict[str, Any] | None:
    """The usage block; null where an upstream did not tell."""
    if not usage.known:
        return None
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cache_read_tokens},
    }


def text_choice(text: str, reason: str) -> dict[str, Any]:
    """The one choice of an answer that is put together here."""
    message = {"role": "assistant", "content": text, "refusal": None}
    return {"index": 0, "message": message, "logprobs": None, "finish_reason": reason}


class Gathered:
    """The choices of a plain answer, gathered from the upstream's chunks."""

    def __init__(self) -> None:
        self._choices: dict[int, dict[str, Any]] = {}

    def add(self, chunk: dict[str, Any]) -> None:
        """One more chunk: texts grow, calls of tools grow by their index, the last finish reason counts."""
        for piece in chunk["choices"]:
            choice = self._choices.setdefault(
                piece.get("index") or 0,
                {"message": {"role": "assistant", "content": None}, "logprobs": None, "finish_reason": None},
            )
            _grow(choice["message"], piece.get("delta") or {})
            choice["finish_reason"] = piece.get("finish_reason") or choice["finish_reason"]
            if piece.get("logprobs"):
                choice["logprobs"] = choice["logprobs"] or {}
                _grow(choice["logprobs"], piece["logprobs"])

    def choices(self) -> list[dict[str, Any]]:
        """The whole choices, in order."""
        return [{"index": index, **choice} for index, choice in sorted(self._choices.items())]


_NAMES = {"role", "type", "id", "name"}
"""Strings that are said once, or again and again, but never continued."""


def _grow(whole: dict[str, Any], piece: dict[str, Any]) -> None:
    for name, value in piece.items():
        known = whole.get(name)
        if value is None or (value == "" and known):
            whole.setdefault(name, value)
        elif name == "tool_calls":
            whole[name] = known or []
            _grow_calls(whole[name], value)
        elif isinstance(value, str) and isinstance(known, str) and name not in _NAMES:
            whole[name] = known + value
        elif isinstance(value, dict) and isinstance(known, dict):
            _grow(known, value)
        elif isinstance(value, list) and isinstance(known, list):
            known.extend(value)
        else:
            whole[name] = value


def _grow_calls(calls: list[dict[str, Any]], pieces: list[dict[str, Any]]) -> None:
    for piece in pieces:
        place = piece.get("index")
        place = len(calls) if place is None else place
        while len(calls) <= place:
            calls.append({})
        _grow(calls[place], {name: value for name, value in piece.items() if name != "index"})


def _choice(delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
