"""Where the options of the synthesizer and of the query engine come from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

from llama_index.core.settings import Settings

from llamaindex_sot.transformers_llm import TransformersLLM
from skeleton_of_thought.quirks import Quirks, quirks_of
from skeleton_of_thought.request import Stage

if TYPE_CHECKING:
    from llama_index.core.llms import LLM


def default_llm() -> LLM:
    """LlamaIndex's configured LLM; the local one if none is configured and no provider is installed."""
    try:
        return Settings.llm
    except ImportError:
        return TransformersLLM()


def is_local(llm: LLM) -> bool:
    """Whether it is our own local model: it continues a partial answer and takes any number of stops."""
    return isinstance(llm, TransformersLLM)


def family(llm: LLM) -> str:
    """The prompts that suit an LLM: instructions for chat, a beginning to continue for completion."""
    if is_local(llm):
        return "partial-examples"
    return "instruction" if llm.metadata.is_chat_model else "partial"


def sampling(llm: LLM) -> dict[str, Any]:
    """Options of a call that answers from sources: retelling them must not be penalised as repetition."""
    if isinstance(llm, TransformersLLM) and llm.repetition_penalty is None:
        return {"repetition_penalty": 1.0}
    return {}


def max_stops(llm: LLM) -> int | None:
    """How many stop sequences a call may carry; none where the name of that option is not known."""
    if is_local(llm):
        return None
    return 4 if "openai" in llm.class_name().lower() else 0


def quirks(llm: LLM) -> dict[Stage, Quirks]:
    """What is known of the LLM in this process, for every stage of a run."""
    known = quirks_of(f"{llm.class_name()} {llm.metadata.model_name}")
    return dict.fromkeys(get_args(Stage), known)
