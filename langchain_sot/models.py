"""What can be known of a chat model inside the runnables around it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeGuard

from langchain_core.language_models import BaseLanguageModel
from langchain_core.output_parsers import BaseLLMOutputParser, StrOutputParser
from langchain_core.runnables import (
    Runnable,
    RunnableAssign,
    RunnableBranch,
    RunnableGenerator,
    RunnableLambda,
    RunnableParallel,
    RunnablePassthrough,
    RunnableSequence,
)
from langchain_core.runnables.base import RunnableBindingBase
from langchain_core.runnables.configurable import DynamicRunnable, RunnableConfigurableAlternatives
from langchain_core.runnables.fallbacks import RunnableWithFallbacks
from langchain_core.runnables.retry import RunnableRetry

from skeleton_of_thought.errors import ConfigurationError
from skeleton_of_thought.provider_errors import Quirks, quirks_of
from skeleton_of_thought.request import as_stops
from skeleton_of_thought.speeds import Speeds, speeds_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


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
    elif isinstance(model, RunnableParallel):
        inner = list(model.steps__.values())
    elif isinstance(model, RunnableAssign):
        inner = [model.mapper]
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


def named_model(name: str, options: dict[str, Any]) -> Any:
    """The chat model of that name: "local", or what `init_chat_model` of LangChain takes ("openai:gpt-4.1-mini").

    Raises:
        ConfigurationError: LangChain is not installed, of which only the core is needed otherwise.
    """
    if name == "local":
        from langchain_sot.chat_transformers import ChatTransformers

        return ChatTransformers(**options)
    try:
        from langchain.chat_models import init_chat_model
    except ImportError as error:
        raise ConfigurationError(
            f"model={name!r} is a name, and chat models are made of names by the package langchain, which is not "
            'installed. Run `pip install langchain`, or give the chat model itself, or "local".'
        ) from error
    return init_chat_model(name, **options)


def bound_options(model: Any) -> dict[str, Any]:
    """The options bound to a model, those of outer bindings first to count."""
    options: dict[str, Any] = {}
    while isinstance(model, RunnableBindingBase):
        options = {**model.kwargs, **options}
        model = model.bound
    return options


def mixes_up_batches(model: Any) -> bool:
    """Whether `batch` may return one input's answer for another.

    `RunnableRetry` does when an input fails for good (langchain issue 35475), so its inputs go one by one.
    """
    return any(isinstance(layer, RunnableRetry) for layer in layers(model))


_FORMS = {
    "tools": "tools are bound",
    "functions": "functions are bound",
    "tool_choice": "a tool is asked for",
    "response_format": "a response format is asked for",
    "response_schema": "a response format is asked for",
    "response_mime_type": "a response format is asked for",
    "output_config": "a response format is asked for",
    "output_format": "a response format is asked for",
    "ls_structured_output_format": "a response format is asked for",
    "format": "a response format is asked for",
}
"""Options of providers that make an answer something else than text for a reader."""


def form_of(model: Any, kwargs: Mapping[str, Any]) -> str | None:
    """Why an answer will not be text for a reader, so that no skeleton of it can be made; None if nothing says so.

    A tool call, JSON that follows a schema, or what an output parser makes of an answer has no points.
    """
    given = [kwargs, *_bound(model)]
    for options in given:
        for name, reason in _FORMS.items():
            if (
                options.get(name)
                and options[name] != {"type": "text"}
                and not _is_effort(name, options[name])
            ):
                return reason
    if any(is_parser(layer) for layer in layers(model)):
        return "the model's output is parsed"
    return None


def _bound(model: Any) -> Iterator[Mapping[str, Any]]:
    """The options a call will have besides its own: bound ones, and those a model keeps in its fields."""
    for layer in layers(model):
        if isinstance(layer, RunnableBindingBase):
            yield layer.kwargs
        elif isinstance(layer, BaseLanguageModel):
            yield getattr(layer, "model_kwargs", None) or {}
            json = getattr(layer, "format", None)
            yield {"format": json} if isinstance(json, (str, dict)) else {}


def _is_effort(name: str, value: Any) -> bool:
    """Whether Anthropic's `output_config` says nothing of a format."""
    return name == "output_config" and isinstance(value, dict) and "format" not in value


def is_parser(layer: Any) -> bool:
    """Whether it makes something else than text of an answer."""
    return isinstance(layer, BaseLLMOutputParser) and not isinstance(layer, StrOutputParser)


_WITHOUT_OPTIONS = (
    RunnableAssign,
    RunnableBranch,
    RunnableGenerator,
    RunnableLambda,
    RunnableParallel,
    RunnablePassthrough,
    RunnableSequence,
)
"""Runnables that hand a call's options to something else than the chat model in them, or fail for them."""


def takes_options(model: Any) -> bool:
    """Whether the options of a call reach the chat models in it."""
    if isinstance(model, RunnableBindingBase):
        return takes_options(model.bound)
    if isinstance(model, RunnableWithFallbacks):
        return all(takes_options(each) for each in model.runnables)
    if isinstance(model, RunnableConfigurableAlternatives):
        others = (each for each in model.alternatives.values() if isinstance(each, Runnable))
        return takes_options(model.default) and all(takes_options(each) for each in others)
    if isinstance(model, DynamicRunnable):
        return takes_options(model.default)
    return not isinstance(model, _WITHOUT_OPTIONS)


def addressed(model: Runnable[Any, Any], kwargs: dict[str, Any]) -> tuple[Runnable[Any, Any], dict[str, Any]]:
    """Whom to call so that the options reach the chat model, and what to call it with.

    A sequence hands them to its first step, which is not the model; there they are bound to the model inside. Where
    no model can be seen, as in a function, they are left out.
    """
    if not kwargs or takes_options(model):
        return model, kwargs
    return _with_options(model, kwargs), {}


def _with_options(model: Any, kwargs: dict[str, Any]) -> Any:
    """The runnable with these options bound to its last chat model; itself where there is none to see."""
    if isinstance(model, RunnableSequence):
        steps = list(model.steps)
        place = next((i for i in reversed(range(len(steps))) if chat_model(steps[i]) is not None), None)
        if place is None:
            return model
        steps[place] = _with_options(steps[place], kwargs)
        return RunnableSequence(*steps, name=model.name)
    if takes_options(model):
        return model.bind(**kwargs)
    if isinstance(model, RunnableBindingBase):
        return model.model_copy(update={"bound": _with_options(model.bound, kwargs)})
    if isinstance(model, RunnableWithFallbacks):
        others = [_with_options(each, kwargs) for each in model.fallbacks]
        return model.model_copy(
            update={"runnable": _with_options(model.runnable, kwargs), "fallbacks": others}
        )
    return model


def own_stops(model: Any, kwargs: Mapping[str, Any]) -> list[str]:
    """The stop sequences a call without ours would have: the caller's, else the bound ones, else the model's."""
    bound = [layer.kwargs for layer in layers(model) if isinstance(layer, RunnableBindingBase)]
    inner = chat_model(model)
    fields = [getattr(inner, name, None) for name in ("stop", "stop_sequences")]
    stops: Any = next(filter(None, (*(given.get("stop") for given in (kwargs, *bound)), *fields)), [])
    return list(as_stops(stops))


def own_fields(model: Any, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The `extra_body` a call without ours would have: the caller's, else the bound one, else the model's."""
    bound = [layer.kwargs for layer in layers(model) if isinstance(layer, RunnableBindingBase)]
    given = (
        *(each.get("extra_body") for each in (kwargs, *bound)),
        getattr(chat_model(model), "extra_body", None),
    )
    return dict(next(filter(None, given), {}))


def is_local(model: Any) -> bool:
    """Whether every chat model in it is our own local one: it takes partial answers, any number of stops, steering."""
    kinds = {
        getattr(layer, "_llm_type", None) for layer in layers(model) if isinstance(layer, BaseLanguageModel)
    }
    return kinds == {"chat-transformers"}


def answers_in_blocks(model: Any) -> bool:
    """Whether the model's messages have a list of standard blocks as content."""
    return getattr(chat_model(model), "output_version", None) == "v1"


def kind_of(model: Any) -> str:
    """What LangChain calls the kind of chat model inside; empty if none can be seen from outside."""
    return str(getattr(chat_model(model), "_llm_type", ""))


def name_of(model: Any) -> str | None:
    """What the provider calls a model; None if it cannot be seen from outside."""
    chat = chat_model(model)
    return next((value for key in _NAMES if isinstance(value := getattr(chat, key, None), str)), None)


def identity(model: Any) -> str | None:
    """What identifies a model and its server in this process; None for a model without a name."""
    chat, name = chat_model(model), name_of(model)
    if name is None:
        return None
    server = next((value for key in _SERVERS if isinstance(value := getattr(chat, key, None), str)), "")
    return f"{type(chat).__name__} {name} {server}".rstrip()


def quirks(model: Any) -> Quirks:
    """What is known of a model in this process; of one without a name, nothing that outlives the run."""
    known = identity(model)
    return Quirks() if known is None else quirks_of(known)


def speeds(model: Any) -> Speeds:
    """What a model's points cost, as far as answers in this process have told."""
    known = identity(model)
    return Speeds() if known is None else speeds_of(known)


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
