"""Short forms of the requests the tests send."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import anthropic
    import openai

GPT = "gpt-4o-mini"
CLAUDE = "claude-haiku-4-5"


def user(text: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text}]


def ask_openai(client: openai.OpenAI, text: str = "Why do we sleep?", **options: Any) -> Any:
    return client.chat.completions.create(**{"model": GPT, "messages": user(text), **options})


def ask_anthropic(client: anthropic.Anthropic, text: str = "Why do we sleep?", **options: Any) -> Any:
    return client.messages.create(**{"model": CLAUDE, "max_tokens": 1000, "messages": user(text), **options})


def words(number: int, word: str = "word") -> str:
    """A text of exactly so many tokens."""
    return " ".join([word] * number)
