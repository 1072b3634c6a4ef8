"""A skeleton as JSON, from models that follow a schema."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.runnables.base import RunnableBindingBase

from langchain_sot._models import chat_model, layers
from skeleton_of_thought.errors import ConfigurationError

if TYPE_CHECKING:
    from langchain_core.runnables import Runnable


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
