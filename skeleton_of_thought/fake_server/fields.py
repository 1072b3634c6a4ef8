"""Reading a request's JSON: every wrong field is refused with its name, as the providers do."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from skeleton_of_thought.fake_server.errors import invalid
from skeleton_of_thought.fake_server.request import Block, count

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MESSAGE_FRAME = 3
"""Tokens that open and close a message."""
_FILE_TOKENS = 85


def text_field(body: Mapping[str, Any], name: str) -> str:
    """A field that has to be there and to be a text."""
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise invalid(f"{name}: a non-empty string is required.", param=name)
    return value


def number_field(body: Mapping[str, Any], name: str) -> int | None:
    """A field that is a positive number, or absent."""
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise invalid(f"{name}: an integer of at least 1 is required, got {value!r}.", param=name)
    return value


def messages_field(body: Mapping[str, Any], roles: Sequence[str]) -> list[Mapping[str, Any]]:
    """The messages, every one with a known role."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise invalid("messages: at least one message is required.", param="messages")
    for place, message in enumerate(messages):
        if not isinstance(message, dict) or message.get("role") not in roles:
            raise invalid(
                f"messages.{place}.role: Input should be one of {', '.join(roles)}.",
                param=f"messages[{place}].role",
            )
    return messages


def stop_field(value: Any) -> tuple[str, ...]:
    """The stop texts: a string, a list of strings or nothing."""
    if value is None:
        return ()
    stops = [value] if isinstance(value, str) else value
    if not isinstance(stops, list) or not all(isinstance(stop, str) for stop in stops):
        raise invalid(f"stop: a string or a list of strings is required, got {value!r}.", param="stop")
    return tuple(stops)


def blocks_of(role: str, content: Any) -> list[Block]:
    """The blocks of one message's content, the first with the message's frame."""
    parts = [content] if isinstance(content, (str, dict)) else content or [""]
    blocks = [_block(role, part) for part in parts]
    first = blocks[0]
    return [Block(first.role, first.text, first.tokens + MESSAGE_FRAME, first.cached_for), *blocks[1:]]


def tool_block(tools: Any) -> list[Block]:
    """The tools of a request as the start of its prompt."""
    if not tools:
        return []
    text = json.dumps(tools, sort_keys=True)
    marks = [lifetime(tool) for tool in tools if isinstance(tool, dict)]
    return [Block("tools", text, count(text), marks[-1] if marks else None)]


def lifetime(part: Mapping[str, Any]) -> float | None:
    """Seconds a block's `cache_control` asks for, None if it has none."""
    control = part.get("cache_control")
    if not isinstance(control, dict):
        return None
    return 3600.0 if control.get("ttl") == "1h" else 300.0


def _block(role: str, part: Any) -> Block:
    if isinstance(part, str):
        return Block(role, part, count(part))
    if not isinstance(part, dict) or "type" not in part:
        raise invalid(f"messages: a content block needs a type, got {part!r}.", param="messages")
    text = part.get("text")
    if isinstance(text, str):
        return Block(role, text, count(text), lifetime(part))
    whole = json.dumps(
        {name: value for name, value in part.items() if name != "cache_control"}, sort_keys=True
    )
    return Block(role, whole, _FILE_TOKENS, lifetime(part))
