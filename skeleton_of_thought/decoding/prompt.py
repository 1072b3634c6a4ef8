"""From a conversation to token ids, such that text of the user never becomes a control token."""

from __future__ import annotations

import json
import re
import secrets
from typing import TYPE_CHECKING, Any

from tokenizers import AddedToken, Tokenizer

from skeleton_of_thought.errors import ConfigurationError
from skeleton_of_thought.messages import well_formed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class PromptEncoder:
    """Encodes conversations with a model's chat template.

    The encoder works on a private copy of the tokenizer in which every special token has another, secret
    spelling. The template's special tokens are respelled after rendering, those in the messages are not, so
    `<|im_end|>` typed by a user is eleven characters and not the end of the turn. Ordinary text gives exactly
    the tokens of `tokenizer.apply_chat_template`.

    Args:
        tokenizer: A transformers tokenizer with a fast (Rust) backend. It is not changed.

    Raises:
        ConfigurationError: The tokenizer has no fast backend.
    """

    def __init__(self, tokenizer: Any) -> None:
        backend = getattr(tokenizer, "_tokenizer", None)
        if not isinstance(backend, Tokenizer):
            raise ConfigurationError(
                f"{type(tokenizer).__name__} has no fast backend; load it with AutoTokenizer and a tokenizer.json."
            )
        self.decoder = backend
        self._source = tokenizer
        nonce = secrets.token_hex(8)
        self._marker = f"\ue000{nonce}{{}}\ue001"
        self._marked = re.compile(rf"\ue000{nonce}(\d+)\ue001")
        self._private, self._respelled, self._original = _with_secret_specials(backend, nonce)
        self._specials = re.compile(
            "|".join(map(re.escape, sorted(self._respelled, key=len, reverse=True))) or "(?!)"
        )

    def encode(
        self, messages: Sequence[Mapping[str, Any]], *, continue_final_message: bool = False
    ) -> list[int]:
        """Token ids of a conversation, ready to be answered.

        Args:
            messages: Dictionaries with text under `"role"` and `"content"`.
            continue_final_message: The last message is an unfinished answer of the assistant.

        Raises:
            ConfigurationError: No chat template, an empty conversation, or one the template refuses.
        """
        taken: list[str] = []

        def mark(match: re.Match[str]) -> str:
            taken.append(match.group())
            return self._marker.format(len(taken) - 1)

        safe = [{**message, "content": self._specials.sub(mark, _content(message))} for message in messages]
        text = self._render(safe, continue_final_message=continue_final_message)
        text = self._specials.sub(lambda match: self._respelled[match.group()], text)
        text = self._marked.sub(lambda match: taken[int(match[1])], text)
        return [
            self._original.get(token, token)
            for token in self._private.encode(text, add_special_tokens=False).ids
        ]

    def _render(self, messages: list[dict[str, Any]], *, continue_final_message: bool) -> str:
        if not messages:
            raise ConfigurationError("The conversation is empty; it needs at least one message.")
        if getattr(self._source, "chat_template", None) is None:
            raise ConfigurationError(
                f"The tokenizer of {self._source.name_or_path!r} has no chat template. "
                "Use a model made for chat (its name often ends in -Instruct or -it)."
            )
        from jinja2.exceptions import TemplateError

        try:
            text: str = self._source.apply_chat_template(
                messages,
                tokenize=False,
                add_generation_prompt=not continue_final_message,
                continue_final_message=continue_final_message,
            )
        except (TemplateError, ValueError) as error:
            roles = [message.get("role") for message in messages]
            raise ConfigurationError(f"The model's chat template refuses roles {roles}: {error}") from error
        return text


def _content(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if not isinstance(content, str):
        raise ConfigurationError(
            f"Message content must be text, got {type(content).__name__}: {message!r:.200}"
        )
    return well_formed(content)


def _with_secret_specials(backend: Tokenizer, nonce: str) -> tuple[Tokenizer, dict[str, str], dict[int, int]]:
    """Copy a tokenizer with its special tokens respelled.

    Returns:
        The copy, each special token's secret spelling, and the original id of each id of a secret spelling.
    """
    state = json.loads(backend.to_str())
    added = state["added_tokens"]
    special = [token for token in added if token["special"]]
    state["added_tokens"] = [token for token in added if not token["special"]]
    state["post_processor"] = state["truncation"] = state["padding"] = None
    private: Tokenizer = Tokenizer.from_str(json.dumps(state))
    respelled = {token["content"]: f"<|{nonce}x{token['id']}|>" for token in special}
    private.add_special_tokens(
        [
            AddedToken(
                respelled[token["content"]],
                single_word=token["single_word"],
                lstrip=token["lstrip"],
                rstrip=token["rstrip"],
                normalized=token["normalized"],
                special=True,
            )
            for token in special
        ]
    )
    original: dict[int, int] = {}
    for token in added:
        found = private.token_to_id(respelled.get(token["content"], token["content"]))
        assert found is not None  # it was added above
        original[found] = token["id"]
    return private, respelled, original
