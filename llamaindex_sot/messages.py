"""LlamaIndex messages to the method's messages, and what a response tells: tokens, and whether it was cut off."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llama_index.core.base.llms.types import ChatMessage, MessageRole

from skeleton_of_thought.messages import Message, Role
from skeleton_of_thought.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_ROLES: dict[MessageRole, Role] = {
    MessageRole.SYSTEM: "system",
    MessageRole.DEVELOPER: "system",
    MessageRole.USER: "user",
    MessageRole.ASSISTANT: "assistant",
    MessageRole.MODEL: "assistant",
    MessageRole.CHATBOT: "assistant",
}
_INPUT = ("prompt_tokens", "input_tokens", "prompt_token_count")
_OUTPUT = ("completion_tokens", "output_tokens", "candidates_token_count")
_CACHED = ("cache_read_input_tokens", "cached_content_token_count")
_WRITTEN = ("cache_creation_input_tokens",)
_CUT_OFF = {"length", "max_tokens", "MAX_TOKENS"}


def from_llamaindex(messages: Sequence[ChatMessage]) -> list[Message]:
    """A conversation as the method sees it."""
    return [
        Message(_ROLES.get(message.role, "other"), message.content or "", original=message)
        for message in messages
    ]


def to_llamaindex(messages: Sequence[Message]) -> list[ChatMessage]:
    """The messages a request sends: the caller's own where their text did not change."""
    return [_to_llamaindex(message) for message in messages]


def _to_llamaindex(message: Message) -> ChatMessage:
    original = message.original
    if isinstance(original, ChatMessage) and (original.content or "") == message.text:
        return original
    return ChatMessage(role=MessageRole(message.role), content=message.text)


def usage_of(response: Any) -> Usage:
    """The tokens a response reports, where LlamaIndex's own token counter reads them; zero if it reports none."""
    reported = _fields(_fields(response.raw).get("usage") or _fields(response.raw).get("usage_metadata"))
    reported = reported or response.additional_kwargs
    details = _fields(reported.get("prompt_tokens_details") or reported.get("input_tokens_details"))
    return Usage(
        _first(reported, _INPUT),
        _first(reported, _OUTPUT),
        _first(reported, _CACHED) or _first(details, ("cached_tokens",)),
        _first(reported, _WRITTEN),
    )


def as_openai(usage: Usage) -> dict[str, Any]:
    """Tokens in the shape of OpenAI's API, where LlamaIndex's token counter and `usage_of` read them."""
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cache_read_tokens},
    }


def was_truncated(response: Any) -> bool:
    """Whether the model was stopped by its length limit."""
    raw = _fields(response.raw)
    choices = raw.get("choices")
    choice = _fields(choices[0]) if isinstance(choices, list) and choices else {}
    reasons = (
        choice.get("finish_reason"),
        raw.get("finish_reason"),
        raw.get("stop_reason"),
        response.additional_kwargs.get("finish_reason"),
    )
    return any(isinstance(reason, str) and reason in _CUT_OFF for reason in reasons)


def _fields(value: Any) -> Mapping[str, Any]:
    """A provider's object as a mapping: a dictionary, a pydantic model or a plain object."""
    if isinstance(value, dict):
        return value
    return getattr(value, "__dict__", None) or {}


def _first(values: Mapping[str, Any], names: Sequence[str]) -> int:
    """The first of these fields that holds a number."""
    return next((values[name] for name in names if isinstance(values.get(name), int)), 0)
