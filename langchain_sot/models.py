"""What can be known of a chat model inside the runnables around it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeGuard

from langchain_core.language_models import BaseLanguageModel
from langchain_core.runnables import RunnableSequence
from langchain_core.runnables.base import RunnableBindingBase
from langchain_core.runnables.configurable import DynamicRunnable, RunnableConfigurableAlternatives
from langchain_core.runnables.fallbacks import RunnableWithFallbacks
from langchain_core.runnables.retry import RunnableRetry

from skeleton_of_thought.errors import ConfigurationError
from skeleton_of_thought.provider_errors import Quirks, quirks_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from langchain_core.runnables import Runnable


_NAMES = ("model_name", "model", "model_id")
_SERVERS = ("openai_api_base", "anthropic_api_url", "base_url")
"""Attributes in which integrations keep a model's name and its server's address."""


def layers(model: Any) -> Iterator[Any]:
    """The runnable, and every runnable inside it that a call may reach: bindings, retries, fallbacks, steps."""
    yield model
    inner: list[Any] = []
    if isinstance(model, RunnableBindingBase):
        inner = [model.bound]
    elif isinstance(model, RunnableWithFallbacks):
        inner = list(model.runnables)
    elif isinstance(model, RunnableSequence):
        inner = list(model.steps)
    elif isinstance(model, RunnableConfigurableAlternatives):
        inner = [model.default, *model.alternatives.values()]
    elif isinstance(model, DynamicRunnable):
        inner = [model.default]
    for part in inner:
        yield from layers(part)


def chat_model(model: Any) -> Any:
    """The chat model itself, or None if none can be seen from outside."""
    return next((layer for layer in layers(model) if isinstance(layer, BaseLanguageModel)), None)


def is_chat_model(model: Any) -> TypeGuard[Runnable[Any, Any]]:
    """Whether it is a chat model, or one with arguments bound to it."""
    while isinstance(model, RunnableBindingBase):
        model = model.bound
    return isinstance(model, BaseLanguageModel)


def mixes_up_batches(model: Any) -> bool:
    """Whether `batch` may return one input's answer for another.

    `RunnableRetry` does when an input fails for good (langchain issue 35475), so its inputs go one by one.
    """
    return any(isinstance(layer, RunnableRetry) for layer in layers(model))


def has_tools(model: Any) -> bool:
    """Whether tools are bound: such an answer may be a tool call, which has no skeleton."""
    return any(
        isinstance(layer, RunnableBindingBase) and bool(layer.kwargs.get("tools")) for layer in layers(model)
    )


def own_stops(model: Any, kwargs: Mapping[str, Any]) -> list[str]:
    """The stop sequences a call without ours would have: the caller's, else the bound ones, else the model's."""
    bound = [layer.kwargs for layer in layers(model) if isinstance(layer, RunnableBindingBase)]
    inner = chat_model(model)
    fields = [getattr(inner, name, None) for name in ("stop", "stop_sequences")]
    stops: Any = next(filter(None, (*(given.get("stop") for given in (kwargs, *bound)), *fields)), [])
    return [stops] if isinstance(stops, str) else list(stops)


def is_local(model: Any) -> bool:
    """Whether every chat model in it is our own local one: it takes partial answers, any number of stops, steering."""
    kinds = {
        getattr(layer, "_llm_type", None) for layer in layers(model) if isinstance(layer, BaseLanguageModel)
    }
    return kinds == {"chat-transformers"}


def name_of(model: Any) -> str | None:
    """What the provider calls a model; None if it cannot be seen from outside."""
    chat = chat_model(model)
    return next((value for key in _NAMES if isinstance(value := getattr(chat, key, None), str)), None)


def quirks(model: Any) -> Quirks:
    """What is known of a model in this process; of one without a name, nothing that outlives the run."""
    chat, name = chat_model(model), name_of(model)
    if name is None:
        return Quirks()
    server = next((value for key in _SERVERS if isinstance(value := getattr(chat, key, None), str)), "")
    return quirks_of(f"{type(chat).__name__} {name} {server}".rstrip())


# Not a pydantic class: OpenAI's client would read the answer into it, and warn when LangChain writes it out again.
_SCHEMA: dict[str, Any] = {
    "title": "skeleton",
    "description": "The skeleton of an answer.",
    "type": "object",
    "properties": {
        "points": {
            "type": "array",
            "description": "The titles of the points, in order: 3 to 5 words each.",
            "items": {"type": "string"},
        }
    },
    "required": ["points"],
    "additionalProperties": False,
}


def structured(model: Runnable[Any, Any]) -> Runnable[Any, Any]:
    """The same model, told to answer with a skeleton as JSON; `parse_skeleton` reads that.

    Raises:
        ConfigurationError: The model follows no schema.
    """
    chat = chat_model(model)
    refusal = ConfigurationError(
        f"structured_skeleton=True needs a model that follows a JSON schema, and {type(chat).__name__} does not. "
        "Leave it out: a skeleton is read from text just as well."
    )
    if (getattr(chat, "profile", None) or {}).get("structured_output") is False:
        raise refusal
    try:
        writer = chat.with_structured_output(_SCHEMA, method="json_schema")
    except (AttributeError, NotImplementedError, TypeError, ValueError) as error:
        raise refusal from error
    bound = next((layer for layer in layers(writer) if isinstance(layer, RunnableBindingBase)), None)
    return model.bind(**bound.kwargs) if bound is not None else model
