"""From what a user types to a client."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skeleton_of_thought.decoding.dtypes import check_dtype
from skeleton_of_thought.errors import ConfigurationError

if TYPE_CHECKING:
    from skeleton_of_thought.clients.client import Client

KINDS = "local, hf:FOLDER_OR_HUB_ID, openai:NAME or anthropic:NAME"

_PROVIDERS = {
    "gpt": "openai",
    "chatgpt": "openai",
    "o1": "openai",
    "o3": "openai",
    "o4": "openai",
    "claude": "anthropic",
}
"""Whose models begin with a word."""


def open_client(
    model: str = "local", *, base_url: str | None = None, dtype: str = "auto", prompt_cache: bool = False
) -> Client:
    """The client for a model.

    Args:
        model: `"local"` (the packaged SmolLM2-135M-Instruct), `"hf:FOLDER_OR_HUB_ID"`, `"openai:NAME"` or
            `"anthropic:NAME"`.
        base_url: Address of an API, for a server that speaks OpenAI's or Anthropic's language.
        dtype: Of a local model's weights: `"auto"`, `"int4"`, ..., as for `decoding.load_model`.
        prompt_cache: Tell the provider's prompt cache what the requests of an answer share; a local model shares it
            anyway.

    Raises:
        ConfigurationError: No such kind of model, or something it needs is not set.
        MissingExtraError: The package for it is not installed.
    """
    kind, name = kind_and_name(model, base_url, dtype)
    if kind == "openai":
        from skeleton_of_thought.clients.openai import OpenAIClient

        return OpenAIClient(name, base_url=base_url, prompt_cache=prompt_cache)
    if kind == "anthropic":
        from skeleton_of_thought.clients.anthropic import AnthropicClient

        return AnthropicClient(name, base_url=base_url, prompt_cache=prompt_cache)
    from skeleton_of_thought.clients.local import LocalClient

    return LocalClient(name, dtype=dtype)


def kind_and_name(model: str, base_url: str | None, dtype: str = "auto") -> tuple[str, str]:
    """What a user's name of a model means: `"openai"`, `"anthropic"` or `"local"`, and its name there.

    Raises:
        ConfigurationError: There is no such kind or dtype, or it has no address or no weights of ours.
    """
    check_dtype(dtype)
    kind, _, name = model.partition(":")
    if base_url is not None and kind not in {"openai", "anthropic"}:
        raise ConfigurationError(
            f"--base-url {base_url} goes with openai:NAME or anthropic:NAME, and the model is {model!r}."
        )
    if model == "local" or (kind == "hf" and name):
        return "local", name or "local"
    if name and kind in {"openai", "anthropic"}:
        if dtype != "auto":
            raise ConfigurationError(
                f"dtype {dtype!r} goes with a local model, local or hf:FOLDER_OR_HUB_ID, and the model is {model!r}."
            )
        return kind, name
    meant = _PROVIDERS.get(model.partition("-")[0].lower())
    hint = f" Did you mean {meant}:{model}?" if meant else ""
    raise ConfigurationError(f"There is no model {model!r}. Use {KINDS}.{hint}")
