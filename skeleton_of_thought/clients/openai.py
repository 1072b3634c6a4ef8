"""OpenAI's API, and every server that speaks its language."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from skeleton_of_thought.clients.reported import Reported
from skeleton_of_thought.errors import ConfigurationError, require
from skeleton_of_thought.prompts import PROMPTS
from skeleton_of_thought.request import Delta
from skeleton_of_thought.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from skeleton_of_thought.request import Request


class OpenAIClient:
    """Chat completions, streamed.

    Args:
        model: The model's name, such as `"gpt-5-mini"`.
        base_url: Address of another server; the key may then be missing.

    Raises:
        ConfigurationError: OPENAI_API_KEY is not set.
    """

    max_stops: int | None = 4
    takes_fields = True
    prompts = PROMPTS["opening"]

    def __init__(self, model: str, *, base_url: str | None = None) -> None:
        openai = require("openai", extra="openai", needed_for=f"The model openai:{model}")
        base_url = base_url or os.environ.get("OPENAI_BASE_URL")
        key = os.environ.get("OPENAI_API_KEY") or ("none" if base_url else None)
        if key is None:
            raise ConfigurationError(
                f"The model openai:{model} needs a key. Set OPENAI_API_KEY, or give --base-url for a server "
                "without one."
            )
        self.name = f"openai:{model}"
        self._model = model
        self._completions = openai.OpenAI(api_key=key, base_url=base_url).chat.completions

    def stream(self, request: Request, *, fields: Mapping[str, Any] | None = None) -> Iterator[Delta]:
        """The answer to a request, as it is written; `fields` go into the body as they are."""
        options: dict[str, Any] = {"extra_body": dict(fields)} if fields else {}
        if request.max_tokens:
            options["max_completion_tokens"] = request.max_tokens
        if request.stop:
            options["stop"] = list(request.stop)
        chunks = self._completions.create(
            model=self._model,
            messages=[{"role": m.role, "content": m.content} for m in request.messages],
            stream=True,
            stream_options={"include_usage": True},
            **options,
        )
        reported = Reported()
        for chunk in chunks:
            choice = chunk.choices[0] if chunk.choices else None
            yield Delta(
                text=_text(choice.delta.content) if choice else "",
                usage=reported.grown_to(_usage(chunk.usage)) if chunk.usage else Usage(),
                truncated=choice is not None and choice.finish_reason == "length",
                finish_reason=choice.finish_reason if choice else None,
                filtered=choice is not None
                and (choice.finish_reason == "content_filter" or bool(choice.delta.refusal)),
            )


def _usage(usage: Any) -> Usage:
    details = getattr(usage, "prompt_tokens_details", None)
    cached = getattr(details, "cached_tokens", None) or 0
    return Usage(usage.prompt_tokens or 0, usage.completion_tokens or 0, cached)


def _text(content: Any) -> str:
    """The text of a piece; some servers send a list of parts."""
    if not isinstance(content, list):
        return content or ""
    texts = (
        part if isinstance(part, str) else part.get("text")
        for part in content
        if isinstance(part, (str, dict))
    )
    return "".join(text for text in texts if isinstance(text, str))
