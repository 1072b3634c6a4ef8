"""What a conversation is for: a question whose answer somebody reads, or a step on the way there.

LlamaIndex asks its LLM for much that nobody reads: questions made to stand alone, refinements, verdicts, choices,
keywords. A skeleton of those would be wrong. They are told by their form: they end with the name of what is wanted
(`Standalone question:`), or ask for one of a few words, or for a format.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from llama_index.core.base.llms.types import MessageRole, ToolCallBlock

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from llama_index.core.base.llms.types import ChatMessage

_FORMS = frozenset(
    {
        "tools",
        "tool_choice",
        "functions",
        "function_call",
        "response_format",
        "output_cls",
        "response_schema",
        "format",
    }
)
"""Options of a call with which the answer is not text for a reader."""

_STEPS = re.compile(
    r"\b(?:YES or NO|YES ?/ ?NO)\b|(?i:```json|json markdown|json schema|valid json|as json|json object|"
    r"impartial judge|evaluation system|standalone question|existing answer|original answer|comma[- ]separated|"
    r"sub-?questions|choices above|choices given below|relevance score|generate \w+ (?:search )?(?:questions|queries)|"
    r"action input:|syntactically correct|output format should|number corresponding to|table schema)"
)
"""Words of prompts whose answer a program reads, as LlamaIndex's own prompts and those like them use them."""

_LABEL = re.compile(r"^[ \t]*([\w][\w '/-]{0,40}):[\s\"'`]*\Z", re.MULTILINE)
_ANSWERS = frozenset({"answer", "your answer", "response", "assistant", "ai", "a", "helpful answer"})
_QUESTION = re.compile(
    r"^[ \t]*(?:query|question|user question|user query|q)[ \t]*:[ \t]*(\S.*)$", re.IGNORECASE | re.MULTILINE
)
_LONG = 1000  # characters


def question_in(messages: Sequence[ChatMessage], options: Mapping[str, Any]) -> str | None:
    """The question a reader wants answered; None if the conversation is a step of something else.

    Args:
        messages: The conversation.
        options: Those of the call.
    """
    if not messages or messages[-1].role != MessageRole.USER:
        return None
    if any(options.get(name) for name in _FORMS) or any(map(_calls_tools, messages)):
        return None
    systems = (message.content or "" for message in messages[:-1] if message.role == MessageRole.SYSTEM)
    text = (messages[-1].content or "").strip()
    return None if any(map(_STEPS.search, systems)) else _asked_in(text)


def _asked_in(text: str) -> str | None:
    """The question in the text of the last message; None if a program reads the answer."""
    label = _LABEL.search(text[-80:])
    if not text or _STEPS.search(text) or (label and label[1].strip().lower() not in _ANSWERS):
        return None
    named = _QUESTION.findall(text)
    if named and (label or len(text) > len(named[-1]) + _LONG // 4):
        return str(named[-1]).strip()
    asking = [part.strip() for part in text.split("\n") if part.strip().endswith(("?", "？", "؟"))]
    return asking[-1] if asking and len(text) > _LONG else text


def _calls_tools(message: ChatMessage) -> bool:
    """Whether a message is part of a conversation with tools."""
    return (
        message.role in {MessageRole.TOOL, MessageRole.FUNCTION}
        or bool(message.additional_kwargs.get("tool_calls"))
        or any(isinstance(block, ToolCallBlock) for block in message.blocks)
    )
