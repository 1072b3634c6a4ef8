"""From what a user types to an upstream."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skeleton_of_thought.clients.opening import kind_and_name

if TYPE_CHECKING:
    from sot_command.server.upstreams.upstream import Upstream


def open_upstream(
    model: str = "local", *, base_url: str | None = None, dtype: str = "auto", prompt_cache: bool = False
) -> Upstream:
    """The upstream for a model, by the names `open_client` takes.

    Args:
        model: `"local"`, `"hf:FOLDER_OR_HUB_ID"`, `"openai:NAME"` or `"anthropic:NAME"`.
        base_url: Address of an API, for a server that speaks OpenAI's or Anthropic's language.
        dtype: Of a local model's weights.
        prompt_cache: Tell the provider's prompt cache what the requests of an answer share.

    Raises:
        ConfigurationError: No such kind of model, or something it needs is not set.
        MissingExtraError: The package for it is not installed.
    """
    kind, name = kind_and_name(model, base_url, dtype)
    if kind == "openai":
        from sot_command.server.upstreams.openai_api import OpenAIUpstream

        return OpenAIUpstream(name, base_url=base_url, prompt_cache=prompt_cache)
    if kind == "anthropic":
        from sot_command.server.upstreams.anthropic_api import AnthropicUpstream

        return AnthropicUpstream(name, base_url=base_url, prompt_cache=prompt_cache)
    from sot_command.server.upstreams.local import LocalUpstream

    return LocalUpstream(name, dtype=dtype)
