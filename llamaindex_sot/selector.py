"""`SkeletonOfThoughtSelector`: LlamaIndex's router query engine, steered by our routers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llama_index.core.base.base_selector import BaseSelector, SelectorResult, SingleSelection

from skeleton_of_thought.errors import ConfigurationError
from skeleton_of_thought.messages import Message
from skeleton_of_thought.routing import get_router

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llama_index.core.prompts.mixin import PromptDictType
    from llama_index.core.schema import QueryBundle
    from llama_index.core.tools import ToolMetadata

    from skeleton_of_thought.routing.decision import Decision, Router


class SkeletonOfThoughtSelector(BaseSelector):
    """Selects between an engine that writes a skeleton first and one that answers plainly.

    Args:
        router: Decides whether a skeleton pays: any name of `get_router`, or a `Router`.
        sot: The place of the engine with a skeleton among the tools.
        direct: The place of the engine without one.

    Raises:
        ConfigurationError: No such router, or both places are the same.

    Example:
        ```python
        from llama_index.core.query_engine import RouterQueryEngine

        engine = RouterQueryEngine(SkeletonOfThoughtSelector(), [sot_tool, direct_tool], llm=llm)
        engine.query("How do I make compost?").metadata["selector_result"].reason
        ```
    """

    def __init__(self, router: str | Router = "lexical", *, sot: int = 0, direct: int = 1) -> None:
        if sot == direct or min(sot, direct) < 0:
            raise ConfigurationError(
                f"sot={sot} and direct={direct} must be two different places among the tools."
            )
        self._router = get_router(router)
        self._places = {"sot": sot, "direct": direct}

    def _select(self, choices: Sequence[ToolMetadata], query: QueryBundle) -> SelectorResult:
        self._check(choices)
        return self._result(self._router.route([Message("user", query.query_str)]))

    async def _aselect(self, choices: Sequence[ToolMetadata], query: QueryBundle) -> SelectorResult:
        self._check(choices)
        return self._result(await self._router.aroute([Message("user", query.query_str)]))

    def _check(self, choices: Sequence[ToolMetadata]) -> None:
        if max(self._places.values()) >= len(choices):
            raise ConfigurationError(
                f"There are {len(choices)} tools, but sot={self._places['sot']} and "
                f"direct={self._places['direct']} are their places, counted from 0."
            )

    def _result(self, decision: Decision) -> SelectorResult:
        selection = SingleSelection(index=self._places[decision.route], reason=decision.reason)
        return SelectorResult(selections=[selection])

    def _get_prompts(self) -> PromptDictType:
        return {}

    def _update_prompts(self, prompts_dict: PromptDictType) -> None:
        if prompts_dict:
            raise ConfigurationError(
                f"This selector asks no model: it has no prompts {sorted(prompts_dict)}."
            )
