"""What a client asked for, whichever provider's wire format it came in."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from skeleton_of_thought.messages import Message


_TOKEN = re.compile(r"\s*(?:[A-Za-z]{1,6}|[0-9]{1,3}|\S)|\s+")


def split(text: str) -> list[str]:
    """The tokens of a text; joined, they are the text again."""
    return _TOKEN.findall(text)


def count(text: str) -> int:
    """How many tokens a text has."""
    return len(_TOKEN.findall(text))


Api = Literal["openai", "anthropic"]


@dataclass(frozen=True, slots=True)
class Block:
    """A stretch of the prompt, in the order the model reads it.

    Attributes:
        role: Who speaks: `"tools"`, `"system"`, `"user"`, `"assistant"` or `"tool"`.
        text: What it says; a block that is not text stands as its JSON.
        tokens: Its length, the tokens that open and close a message included.
        cached_for: Seconds for which the prompt up to the end of this block is to be cached, None for no
            breakpoint.
    """

    role: str
    text: str
    tokens: int
    cached_for: float | None = None


@dataclass(frozen=True, slots=True)
class Tools:
    """The tools a request offers.

    Attributes:
        schemas: The JSON schema of the arguments, by the tool's name.
        choice: `"auto"`, `"none"`, `"any"` (one has to be called), or the name of the one to call.
        called: Names of the tools called since the user last spoke.
    """

    schemas: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    choice: str = "auto"
    called: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One request for one answer.

    Attributes:
        api: Whose wire format.
        model: The model asked for.
        messages: The conversation, system prompt first.
        blocks: The same as the prompt caches see it.
        stream: Whether the answer is wanted token by token.
        max_tokens: At most so many tokens of answer, thinking included; None for no limit.
        stop: Texts at which the answer ends.
        thinking: Whether the client switched on reasoning.
        schema: The JSON schema the answer has to follow, None for free text.
        tools: The tools the answer may call.
        body: The request as it came over the wire.
        client: Address and port of the client.
        prompt: All blocks' texts joined.
        prompt_hash: The first 16 hex digits of the SHA-256 of roles and texts: the same prompt, the same
            hash.
        input_tokens: Length of the prompt.
    """

    api: Api
    model: str
    messages: tuple[Message, ...]
    blocks: tuple[Block, ...]
    stream: bool = False
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    thinking: bool = False
    schema: Mapping[str, Any] | None = None
    tools: Tools = Tools()
    body: Mapping[str, Any] = field(default_factory=dict, repr=False)
    client: str = ""
    prompt: str = field(init=False, repr=False)
    prompt_hash: str = field(init=False)
    input_tokens: int = field(init=False)

    def __post_init__(self) -> None:
        digest = hashlib.sha256(
            "\x00".join(f"{block.role}\x01{block.text}" for block in self.blocks).encode()
        )
        object.__setattr__(self, "prompt", "\n".join(block.text for block in self.blocks))
        object.__setattr__(self, "prompt_hash", digest.hexdigest()[:16])
        object.__setattr__(self, "input_tokens", sum(block.tokens for block in self.blocks))

    @property
    def prefill(self) -> str:
        """The partial answer the client wants continued, empty if the last message is not the assistant's."""
        last = self.messages[-1] if self.messages else None
        return last.text if last is not None and last.role == "assistant" else ""

    @property
    def question(self) -> str:
        """The last message of the user that has text: the results of tools are a message too, with Anthropic."""
        said = (message.text for message in reversed(self.messages) if message.role == "user")
        return next(filter(None, said), "")
