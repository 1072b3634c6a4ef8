"""LangChain messages to the method's messages, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
    convert_to_messages,
)
from langchain_core.messages.ai import InputTokenDetails, UsageMetadata
from langchain_core.prompt_values import PromptValue

from skeleton_of_thought.errors import ConfigurationError
from skeleton_of_thought.messages import Message, Role
from skeleton_of_thought.reported import from_usage_metadata
from skeleton_of_thought.usage import Usage, all_told

if TYPE_CHECKING:
    from collections.abc import Sequence

_CLASSES: dict[str, type[BaseMessage]] = {
    "system": SystemMessage,
    "user": HumanMessage,
    "assistant": AIMessage,
}


def from_input(value: Any) -> list[Message]:
    """The conversation in what a chat model takes: text, messages in any notation, or a PromptValue.

    Raises:
        ConfigurationError: It is something else, such as a dictionary.
    """
    if isinstance(value, PromptValue):
        messages = value.to_messages()
    elif isinstance(value, str):
        messages = [HumanMessage(value)]
    elif isinstance(value, (list, tuple)):
        messages = convert_to_messages(value)
    else:
        raise ConfigurationError(
            f"A Skeleton-of-Thought chain takes what a chat model takes (text, a list of messages or a "
            f"PromptValue), not {type(value).__name__}: {str(value)[:80]!r}. Put a prompt template in front of "
            "the chain to turn other input into messages."
        )
    return [Message(_role(message), message.content, original=message) for message in messages]


def _role(message: BaseMessage) -> Role:
    if isinstance(message, HumanMessage) or (isinstance(message, ChatMessage) and message.role == "user"):
        return "user"
    if isinstance(message, SystemMessage):
        return "system"
    return "assistant" if isinstance(message, AIMessage) else "other"


def calls_tools(messages: Sequence[Message]) -> bool:
    """Whether tools were called in a conversation: its next message belongs to that talk."""
    return any(
        isinstance(message.original, ToolMessage) or bool(getattr(message.original, "tool_calls", None))
        for message in messages
    )


def to_langchain(messages: Sequence[Message]) -> list[BaseMessage]:
    """The messages a request sends: the caller's own where their content did not change."""
    return [_to_langchain(message) for message in messages]


def _to_langchain(message: Message) -> BaseMessage:
    if message.original is None:
        return _CLASSES[message.role](message.content)
    original: BaseMessage = message.original
    if original.content is message.content:
        return original
    return original.model_copy(update={"content": message.content})


def text_of(output: Any) -> str:
    """The text in what a model returned: a message, or a string behind an output parser."""
    return str(output.text) if isinstance(output, BaseMessage) else str(output)


def as_chunk(output: Any) -> Any:
    """A piece of a stream; models that do not stream give a whole message for one."""
    if isinstance(output, AIMessage) and not isinstance(output, AIMessageChunk):
        return AIMessageChunk(**{name: value for name, value in output if name != "type"})
    return output


def usage_of(output: Any) -> Usage:
    """The tokens a message reports; zero if it reports none."""
    usage = getattr(output, "usage_metadata", None)
    if (
        not usage or "input_tokens" not in usage
    ):  # LangChain's cache leaves nothing but a cost of such a message
        return Usage()
    return from_usage_metadata(usage)


def usage_metadata(usage: Usage) -> UsageMetadata | None:
    """Tokens as LangChain reports them; None if some are not known, for which it has no word."""
    counts = list(usage.counts)
    if not all_told(counts):
        return None
    prompt, answer, read, written = counts
    metadata = UsageMetadata(input_tokens=prompt, output_tokens=answer, total_tokens=prompt + answer)
    if read or written:
        metadata["input_token_details"] = InputTokenDetails(cache_read=read, cache_creation=written)
    return metadata


def was_truncated(output: Any) -> bool:
    """Whether the model was stopped by its length limit."""
    return end_of(output) in {"length", "max_tokens"}


def has_other_content(output: Any) -> bool:
    """Whether a message, or a piece of one, has content that is not text: tool calls, thoughts, pictures."""
    if any(getattr(output, name, None) for name in ("tool_calls", "tool_call_chunks", "invalid_tool_calls")):
        return True
    content = getattr(output, "content", None)
    blocks = content if isinstance(content, list) else []
    return any(isinstance(block, dict) and block.get("type") != "text" for block in blocks)


def was_filtered(output: Any) -> bool:
    """Whether the provider broke the answer off for its content policy, or its model refused in a field of its own."""
    refusal = (getattr(output, "additional_kwargs", None) or {}).get("refusal")
    return bool(refusal) or end_of(output) in {"content_filter", "refusal"}


def end_of(output: Any) -> Any:
    """Why an answer ended, in the provider's word; None before its last piece."""
    metadata = getattr(output, "response_metadata", None) or {}
    return metadata.get("finish_reason") or metadata.get("stop_reason")
