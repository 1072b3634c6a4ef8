"""LangChain's messages to what the local engine takes, and its results back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_core.messages import AIMessage, AIMessageChunk, ChatMessage, HumanMessage, SystemMessage
from langchain_core.messages.ai import InputTokenDetails, UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from skeleton_of_thought.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.messages import BaseMessage

    from skeleton_of_thought.decoding import GenerationResult
    from skeleton_of_thought.usage import Usage

_ROLES = ((HumanMessage, "user"), (AIMessage, "assistant"), (SystemMessage, "system"))


_THOUGHTS = frozenset({"thinking", "redacted_thinking", "reasoning", "reasoning_content"})
"""Blocks in which chat models keep what they thought before they answered."""


def conversation_of(messages: Sequence[BaseMessage]) -> tuple[list[dict[str, str]], bool]:
    """Messages as the engine takes them, and whether the last one is an unfinished answer."""
    conversation = [{"role": _role(message), "content": _text(message)} for message in messages]
    unfinished = bool(conversation) and conversation[-1]["role"] == "assistant"
    if unfinished and not conversation[-1]["content"]:
        return conversation[:-1], False
    return conversation, unfinished


def _role(message: BaseMessage) -> str:
    if isinstance(message, ChatMessage):
        return message.role
    if getattr(message, "tool_calls", None):
        raise ConfigurationError(
            "ChatTransformers does not call tools, and the conversation has tool calls. Use a chat model that does."
        )
    for kind, role in _ROLES:
        if isinstance(message, kind):
            return role
    raise ConfigurationError(
        f"ChatTransformers takes system, human and AI messages, not {type(message).__name__}."
    )


def _text(message: BaseMessage) -> str:
    if isinstance(message.content, list):
        for block in message.content:
            kind = "text" if isinstance(block, str) else block.get("type")
            if kind in _THOUGHTS and isinstance(message, AIMessage):
                continue  # of another model, which this one need not read to go on
            if kind != "text":
                raise ConfigurationError(
                    f"ChatTransformers reads text only; a message has a block of type {kind!r}."
                )
    return str(message.text)


def _usage(usage: Usage) -> UsageMetadata:
    prompt, answer, read = usage.input_tokens or 0, usage.output_tokens or 0, usage.cache_read_tokens or 0
    return UsageMetadata(
        input_tokens=prompt,
        output_tokens=answer,
        total_tokens=prompt + answer,
        input_token_details=InputTokenDetails(cache_read=read),
    )


def chat_result(result: GenerationResult, model: str) -> ChatResult:
    """A whole answer of the engine as LangChain's result."""
    message = AIMessage(
        content=result.text,
        usage_metadata=_usage(result.usage),
        response_metadata={"model_name": model, "finish_reason": result.finish_reason},
    )
    return ChatResult(generations=[ChatGeneration(message=message)])


def last_chunk(result: GenerationResult, model: str) -> ChatGenerationChunk:
    """What ends a stream: no text, but the usage and why it ended."""
    message = AIMessageChunk(
        content="",
        usage_metadata=_usage(result.usage),
        response_metadata={"model_name": model, "finish_reason": result.finish_reason},
        chunk_position="last",
    )
    return ChatGenerationChunk(message=message)
