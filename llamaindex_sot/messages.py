"""LlamaIndex messages to the method's messages, and what a response tells: tokens, and whether it was cut off."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llama_index.core.base.llms.types import ChatMessage, ChatResponse, MessageRole, TextBlock, ThinkingBlock

from skeleton_of_thought.errors import ConfigurationError
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
_CACHED = ("cached_content_token_count",)
_ANTHROPIC_CACHED = ("cache_read_input_tokens",)
_WRITTEN = ("cache_creation_input_tokens",)
_LIFETIMES = ("ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens")
_CUT_OFF = {"length", "max_tokens", "max_output_tokens"}
_FILTERED = {
    "content_filter",
    "refusal",
    "safety",
    "recitation",
    "prohibited_content",
    "blocklist",
    "content_filtered",
}
_BLOCK = "llamaindex_block"


def from_llamaindex(messages: Sequence[ChatMessage]) -> list[Message]:
    """A conversation as the method sees it; pictures and what else is no text are carried along."""
    return [
        Message(_ROLES.get(message.role, "other"), _content(message), original=message)
        for message in messages
    ]


def _content(message: ChatMessage) -> str | list[Any]:
    if all(isinstance(block, TextBlock) for block in message.blocks):
        return message.content or ""
    return [
        {"type": "text", "text": block.text}
        if isinstance(block, TextBlock)
        else {"type": block.block_type, _BLOCK: block}
        for block in message.blocks
    ]


def to_llamaindex(messages: Sequence[Message]) -> list[ChatMessage]:
    """The messages a request sends: the caller's own where their content did not change."""
    return [_to_llamaindex(message) for message in messages]


def _to_llamaindex(message: Message) -> ChatMessage:
    original = message.original
    if isinstance(original, ChatMessage) and _content(original) == message.content:
        return original
    if isinstance(message.content, str):
        return ChatMessage(role=MessageRole(message.role), content=message.content)
    blocks = [
        block[_BLOCK] if _BLOCK in block else TextBlock(text=block["text"]) for block in message.content
    ]
    return ChatMessage(role=MessageRole(message.role), blocks=blocks)


def readable(
    messages: Sequence[ChatMessage], *, who: str, kinds: tuple[type[Any], ...]
) -> list[tuple[Role, list[Any]]]:
    """Each message as its role and its blocks, for a model that reads these kinds of blocks; thoughts are left out.

    Raises:
        ConfigurationError: There is something else; nothing is left out silently.
    """
    conversation: list[tuple[Role, list[Any]]] = []
    for message in messages:
        role = _ROLES.get(message.role, "other")
        blocks = [block for block in message.blocks if not isinstance(block, ThinkingBlock)]
        other = sorted({block.block_type for block in blocks if not isinstance(block, kinds)})
        if role == "other" or other:
            what = (
                f"a message of role {message.role.value!r}"
                if role == "other"
                else f"{' and '.join(other)} blocks"
            )
            reads = " and ".join(kind.model_fields["block_type"].default for kind in kinds)
            raise ConfigurationError(f"{who} reads {reads} of system, user and assistant, not {what}.")
        conversation.append((role, blocks))
    return conversation


def usage_of(response: Any) -> Usage:
    """The tokens a response reports, where LlamaIndex's own token counter reads them; zero if it reports none."""
    reported = _fields(_fields(response.raw).get("usage") or _fields(response.raw).get("usage_metadata"))
    reported = reported or response.additional_kwargs
    details = _fields(reported.get("prompt_tokens_details") or reported.get("input_tokens_details"))
    prompt, answer = _first(reported, _INPUT), _first(reported, _OUTPUT)
    read, lifetimes = _first(reported, _ANTHROPIC_CACHED), _fields(reported.get("cache_creation"))
    written = _first(reported, _WRITTEN) or sum(_first(lifetimes, (name,)) for name in _LIFETIMES)
    if "prompt_tokens" not in reported:  # Anthropic counts them beside the prompt's other tokens
        prompt += read + written
    read = read or _first(reported, _CACHED) or _first(details, ("cached_tokens",))
    return Usage(prompt, answer, read, written)


def reported(usage: Usage) -> dict[str, Any]:
    """Tokens in the shape of OpenAI's API, where LlamaIndex's token counter and `usage_of` read them; or nothing."""
    if usage == Usage() or not usage.known:
        return {}
    return {
        "usage": {
            "prompt_tokens": usage.input_tokens,
            "completion_tokens": usage.output_tokens,
            "total_tokens": usage.total_tokens,
            "prompt_tokens_details": {"cached_tokens": usage.cache_read_tokens},
        }
    }


def was_truncated(response: Any) -> bool:
    """Whether the model was stopped by its length limit."""
    return bool(_ends(response) & _CUT_OFF)


def was_filtered(response: Any) -> bool:
    """Whether the provider broke the answer off for its content policy, or its model refused in a field of its own."""
    refusal = getattr(getattr(response, "message", None), "additional_kwargs", {}).get("refusal")
    return bool(refusal) or bool(_ends(response) & _FILTERED)


def has_other_content(response: Any) -> bool:
    """Whether a response has content that is not text for a reader: tool calls, pictures."""
    if not isinstance(response, ChatResponse):
        return False
    message = response.message
    return bool(message.additional_kwargs.get("tool_calls")) or any(
        not isinstance(block, TextBlock | ThinkingBlock) for block in message.blocks
    )


def end_of(response: Any) -> str | None:
    """Why the answer ended, in the provider's word; None before its last piece."""
    return next(iter(sorted(_ends(response))), None)


def _ends(response: Any) -> set[str]:
    """Why the answer ended, in the words of every provider, in lower case."""
    raw = _fields(response.raw)
    found = [raw, response.additional_kwargs]
    for name in ("choices", "candidates"):
        several = raw.get(name)
        found += [_fields(each) for each in several[:1]] if isinstance(several, list) else []
    found += [_fields(raw.get("delta")), _fields(raw.get("message"))]
    named = (
        each.get(name)
        for each in found
        for name in ("finish_reason", "stop_reason", "done_reason", "stopReason")
    )
    return {str(getattr(reason, "name", reason)).lower() for reason in named if reason is not None}


def _fields(value: Any) -> Mapping[str, Any]:
    """A provider's object as a mapping: a dictionary, a pydantic model or a plain object."""
    if isinstance(value, dict):
        return value
    return getattr(value, "__dict__", None) or {}


def _first(values: Mapping[str, Any], names: Sequence[str]) -> int:
    """The first of these fields that holds a number."""
    return next((values[name] for name in names if isinstance(values.get(name), int)), 0)
