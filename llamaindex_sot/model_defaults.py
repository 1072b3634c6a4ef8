"""Where the options of the synthesizer and of the query engine come from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llama_index.core.settings import Settings

from llamaindex_sot.llms.client_llm import ClientLLM
from llamaindex_sot.llms.langchain_llm import LangChainLLM
from llamaindex_sot.llms.transformers_llm import LOCAL, TransformersLLM
from skeleton_of_thought.clients import open_client, without_password
from skeleton_of_thought.clients.opening import kind_and_name
from skeleton_of_thought.provider_errors import Quirks, quirks_of
from skeleton_of_thought.request import as_stops
from skeleton_of_thought.speeds import Speeds, speeds_of

if TYPE_CHECKING:
    from llama_index.core.llms import LLM


def default_llm() -> LLM:
    """LlamaIndex's configured LLM; the local one if none is configured and no provider is installed."""
    try:
        return Settings.llm
    except ImportError:
        return TransformersLLM()


def named_llm(model: str, *, base_url: str | None = None, dtype: str = "auto") -> LLM:
    """The LLM for a model as the command names it.

    Args:
        model: `"local"`, `"hf:FOLDER_OR_HUB_ID"`, `"openai:NAME"` or `"anthropic:NAME"`.
        base_url: Address of an API server.
        dtype: Of a local model's weights.

    Raises:
        ConfigurationError: No such kind of model, or something it needs is not set.
        MissingExtraError: The package for it is not installed.
    """
    kind, name = kind_and_name(model, base_url, dtype)
    if kind == "local":
        return TransformersLLM(model=name, dtype=dtype)
    return ClientLLM(open_client(model, base_url=base_url, dtype=dtype))


def is_local(llm: LLM) -> bool:
    """Whether it is our own local model: it continues a partial answer and takes any number of stops."""
    return isinstance(llm, TransformersLLM)


def is_packaged(llm: LLM) -> bool:
    """Whether it is the packaged model, which is too small to find the points of an answer in a page of text."""
    return isinstance(llm, TransformersLLM) and llm.model == LOCAL


def kind_of(llm: LLM) -> str:
    """What kind of model answers, as `family_for` knows it: behind a client or a LangChain model, that one's kind."""
    if isinstance(llm, ClientLLM):
        return llm.metadata.model_name
    return llm.kind if isinstance(llm, LangChainLLM) else llm.class_name()


def sampling(llm: LLM, *, retelling: bool) -> dict[str, Any]:
    """Options of a call that answers from sources: what the local model finds there must not be penalised.

    Args:
        llm: The LLM.
        retelling: Whether each point retells one source; the local model then invents least if it is greedy.
    """
    if not isinstance(llm, TransformersLLM):
        return {}
    options: dict[str, Any] = {}
    if llm.repetition_penalty is None:
        options["repetition_penalty"] = 1.0
    if retelling and llm.temperature is None:
        options["temperature"] = 0.0
    return options


def max_stops(llm: LLM) -> int | None:
    """How many stop sequences a call may carry; none where the name of that option is not known."""
    if is_local(llm):
        return None
    if isinstance(llm, ClientLLM):
        return llm.max_stops
    return 4 if "openai" in llm.class_name().lower() else 0


def own_stops(llm: LLM) -> tuple[str, ...]:
    """The stop sequences an LLM was made with, which hold for every call that names none."""
    more = getattr(llm, "additional_kwargs", None) or {}
    return as_stops(getattr(llm, "stop", None) or more.get("stop"))


_SERVERS = ("api_base", "base_url", "azure_endpoint")
"""Attributes in which integrations keep their server's address."""


def identity(llm: LLM) -> str:
    """What identifies an LLM and its server in this process."""
    if isinstance(llm, ClientLLM):
        return llm.identity
    server = next((value for key in _SERVERS if isinstance(value := getattr(llm, key, None), str)), None)
    return f"{llm.class_name()} {llm.metadata.model_name} {without_password(server) or ''}".rstrip()


def own_fields(llm: LLM) -> dict[str, Any] | None:
    """The `extra_body` of an LLM's calls; None of one whose requests take no fields of their own."""
    if isinstance(llm, ClientLLM):
        return {} if llm.takes_fields else None
    if isinstance(llm, LangChainLLM):
        return llm.own_fields
    if "openai" not in llm.class_name().lower():
        return None
    return dict(getattr(llm, "additional_kwargs", {}).get("extra_body") or {})


def quirks(llm: LLM) -> Quirks:
    """What is known of the LLM in this process."""
    return quirks_of(identity(llm))


def speeds(llm: LLM, *, from_sources: bool = False) -> Speeds:
    """What the LLM's points cost, as far as answers in this process have told.

    Args:
        llm: Writes the points.
        from_sources: Whether it answers from chunks, which it reads first: that has times of its own.
    """
    return speeds_of(f"{identity(llm)}{' from sources' if from_sources else ''}")
