"""What a chain's fields say about its runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_sot._models import is_local, name_of
from skeleton_of_thought.options import Options
from skeleton_of_thought.prices import Price, Prices
from skeleton_of_thought.prompts import PROMPTS, Prompts, get_prompts

if TYPE_CHECKING:
    from langchain_core.runnables import Runnable

    from langchain_sot.chain import SkeletonOfThoughtChain
    from skeleton_of_thought.request import Stage


def models_of(chain: SkeletonOfThoughtChain) -> dict[Stage, Runnable[Any, Any]]:
    """Which model answers a stage."""
    return {
        "skeleton": chain.skeleton_model or chain.model,
        "point": chain.point_model or chain.model,
        "direct": chain.model,
    }


def prompts_of(chain: SkeletonOfThoughtChain) -> Prompts:
    """The prompts: the user's, or those that suit the models."""
    if chain.prompts is not None:
        return get_prompts(chain.prompts)
    models = models_of(chain)
    local = is_local(models["skeleton"]) and is_local(models["point"])
    return PROMPTS["partial-examples" if local else "instruction"]


def options_of(chain: SkeletonOfThoughtChain, max_stops: int | None = None) -> Options:
    """The run's options, checked."""
    return Options(
        max_points=chain.max_points,
        retries=chain.retries,
        on_point_error=chain.on_point_error,
        answer_format=chain.answer_format,
        point_max_tokens=chain.point_max_tokens,
        point_timeout=chain.point_timeout,
        timeout=chain.timeout,
        max_stops=max_stops,
    )


def prices_of(chain: SkeletonOfThoughtChain) -> dict[Stage, Price | None] | None:
    """What each stage costs; None if nobody asked."""
    if chain.prices is None:
        return None
    table = chain.prices
    if not isinstance(table, Prices):
        table = Prices.load(None if table == "default" else table)
    return {stage: table.of(name_of(model)) for stage, model in models_of(chain).items()}
