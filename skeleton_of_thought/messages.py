"""The conversation as the method sees it: roles and content, whatever framework it came from."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any, Literal

Role = Literal["system", "user", "assistant", "other"]
Content = str | list[Any]


_SURROGATE = re.compile("[\ud800-\udfff]")


def well_formed(text: str) -> str:
    """The text without half characters (surrogates), which no encoder and no tokenizer takes.

    Two halves of one character become it; a lone one becomes U+FFFD.
    """
    if _SURROGATE.search(text) is None:
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation.

    Attributes:
        role: Who speaks; `"other"` is anything the method only carries along, such as a tool's result.
        content: Text, or content blocks (dictionaries with a `"type"`, or plain strings) as chat models
            take them; blocks that are not text are kept as they are. Half characters in text are replaced.
        original: The framework's own object this message stands for. A driver sends it with this content, so
            that names, tool calls and cache marks survive.
    """

    role: Role
    content: Content
    original: Any = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        text = self.text
        if well_formed(text) == text:
            return
        blocks = [self.content] if isinstance(self.content, str) else list(self.content)
        for place, block in enumerate(blocks):
            if isinstance(block, str):
                blocks[place] = well_formed(block)
            elif _block_text(block) is not None:
                blocks[place] = {**block, "text": well_formed(block["text"])}
        object.__setattr__(self, "content", blocks[0] if isinstance(self.content, str) else blocks)

    @property
    def text(self) -> str:
        """The text of the message: the content, or its text blocks joined."""
        if isinstance(self.content, str):
            return self.content
        return "".join(filter(None, map(_block_text, self.content)))

    @property
    def is_blank(self) -> bool:
        """Whether it says nothing: no text, and no block of another kind."""
        blocks = [self.content] if isinstance(self.content, str) else self.content
        return all((text := _block_text(block)) is not None and not text.strip() for block in blocks)

    def with_text(self, text: str) -> Message:
        """The same message with its text replaced; blocks that are not text stay where they are."""
        if isinstance(self.content, str):
            return replace(self, content=text)
        blocks: list[Any] = []
        placed = False
        for block in self.content:
            if _block_text(block) is None:
                blocks.append(block)
            elif not placed:
                kept = block if isinstance(block, dict) else {"type": "text"}
                blocks.append({**kept, "text": text})
                placed = True
        if not placed:
            blocks.append({"type": "text", "text": text})
        return replace(self, content=blocks)


def _block_text(block: Any) -> str | None:
    """The text of a content block, None if it is something else (an image, a file)."""
    if isinstance(block, str):
        return block
    if isinstance(block, dict) and block.get("type") in {"text", "input_text", "output_text"}:
        text = block.get("text")
        return text if isinstance(text, str) else None
    return None
