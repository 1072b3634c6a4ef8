"""`max_concurrency` of a config, held over a whole tree of calls.

LangChain reads it level by level: a batch of three questions, four points each, at `max_concurrency=2` has up to
four model calls on their way. Here the places are one object, shared by all questions of a batch and by all
chains called from the same parent run.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, cast
from weakref import WeakValueDictionary

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable
from langchain_core.runnables.config import get_config_list

from skeleton_of_thought.limits import Limiter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence
    from uuid import UUID

    from langchain_core.runnables import RunnableConfig

_KEY = "__sot_places"
_siblings: WeakValueDictionary[tuple[UUID, int], Limiter] = WeakValueDictionary()
_lock = threading.Lock()


def share_places(
    config: RunnableConfig | Sequence[RunnableConfig] | None, length: int
) -> list[RunnableConfig]:
    """The configs of a batch, with places they share; LangChain hands them down to every nested call."""
    configs = get_config_list(config, length)
    limit = configs[0].get("max_concurrency") if configs else None
    if not limit:
        return configs
    places = configs[0].get("configurable", {}).get(_KEY) or Limiter(max_concurrency=limit)
    return [{**each, "configurable": {**each.get("configurable", {}), _KEY: places}} for each in configs]


def places_of(config: RunnableConfig, parent_run_id: UUID | None) -> Limiter | None:
    """The places a run has to share, or its own; None if nothing limits it."""
    places: Limiter | None = config.get("configurable", {}).get(_KEY)
    limit = config.get("max_concurrency")
    if places is not None or not limit:
        return places
    if parent_run_id is None:
        return Limiter(max_concurrency=limit)
    with _lock:
        return _siblings.setdefault((parent_run_id, limit), Limiter(max_concurrency=limit))


class SharedLimit(Runnable[LanguageModelInput, AIMessage]):
    """Batches whose questions share their places."""

    def batch(
        self,
        inputs: list[LanguageModelInput],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> list[AIMessage]:
        """Answer several questions at the same time; `max_concurrency` limits their model calls together."""
        configs = share_places(config, len(inputs))
        return super().batch(inputs, configs, return_exceptions=return_exceptions, **kwargs)

    async def abatch(
        self,
        inputs: list[LanguageModelInput],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> list[AIMessage]:
        """Like `batch`, with asyncio."""
        configs = share_places(config, len(inputs))
        return await super().abatch(inputs, configs, return_exceptions=return_exceptions, **kwargs)

    def batch_as_completed(  # type: ignore[override]
        self,
        inputs: Sequence[LanguageModelInput],
        config: RunnableConfig | Sequence[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> Iterator[tuple[int, AIMessage | Exception]]:
        """Like `batch`, each answer when it is complete."""
        configs = share_places(config, len(inputs))
        yield from super().batch_as_completed(
            inputs, configs, return_exceptions=cast("Any", return_exceptions), **kwargs
        )

    async def abatch_as_completed(  # type: ignore[override]
        self,
        inputs: Sequence[LanguageModelInput],
        config: RunnableConfig | Sequence[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> AsyncIterator[tuple[int, AIMessage | Exception]]:
        """Like `batch_as_completed`, with asyncio."""
        configs = share_places(config, len(inputs))
        answers = super().abatch_as_completed(
            inputs, configs, return_exceptions=cast("Any", return_exceptions), **kwargs
        )
        async for answer in answers:
            yield answer
