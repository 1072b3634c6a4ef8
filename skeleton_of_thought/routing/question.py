"""Which part of a conversation is the question, and what stands around it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skeleton_of_thought.messages import Message


@dataclass(frozen=True, slots=True)
class Question:
    """What a router judges.

    Attributes:
        text: The last user message, blank ends removed; empty if nobody asked anything.
        follows: Whether an answer was given before it, so that it may lean on that answer.
    """

    text: str
    follows: bool = False

    @classmethod
    def of(cls, messages: Sequence[Message]) -> Question:
        """Read the question out of a conversation."""
        asked = next((i for i in reversed(range(len(messages))) if messages[i].role == "user"), None)
        if asked is None:
            return cls("")
        return cls(
            messages[asked].text.strip(),
            follows=any(message.role == "assistant" for message in messages[:asked]),
        )
