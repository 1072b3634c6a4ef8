"""What a chain's fields say about its runs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from langchain_sot.models import chat_model, is_local, name_of, structured
from skeleton_of_thought.options import RunSettings
from skeleton_of_thought.prices import Price, Prices
from skeleton_of_thought.prompts import PROMPTS, AnyPrompts, Prompts, get_prompts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from langchain_core.runnables import Runnable

    from langchain_sot.chain import SkeletonOfThoughtChain
    from skeleton_of_thought.request import Request, Stage


def models_of(chain: SkeletonOfThoughtChain) -> dict[Stage, Runnable[Any, Any]]:
    """Which model answers a stage."""
    skeleton = chain.skeleton_model or chain.model
    return {
        "opening": skeleton,
        "skeleton": structured(skeleton) if chain.structured_skeleton else skeleton,
        "point": chain.point_model or chain.model,
        "direct": chain.model,
    }


def prompts_of(chain: SkeletonOfThoughtChain) -> AnyPrompts:
    """The prompts: the user's, or those that suit the models."""
    if chain.prompts is not None:
        prompts = get_prompts(chain.prompts)
        if chain.structured_skeleton and isinstance(prompts, Prompts):
            return replace(prompts, skeleton_start="")
        return prompts
    models = models_of(chain)
    if chain.structured_skeleton:
        return PROMPTS["instruction-json"]
    local = is_local(models["skeleton"]) and is_local(models["point"])
    return PROMPTS["partial-examples" if local else "instruction"]


def options_of(
    chain: SkeletonOfThoughtChain,
    max_stops: int | None = None,
    leads: Callable[[Sequence[Request]], bool] | None = None,
) -> RunSettings:
    """The run's options, checked."""
    return RunSettings(
        max_points=chain.max_points,
        retries=chain.retries,
        on_point_error=chain.on_point_error,
        answer_format=chain.answer_format,
        points_per_call=chain.points_per_call,
        point_max_tokens=chain.point_max_tokens,
        point_timeout=chain.point_timeout,
        hedge_after=chain.hedge_after,
        leads=leads,
        timeout=chain.timeout,
        max_stops=max_stops,
    )


def load_of(chain: SkeletonOfThoughtChain) -> float:
    """Share of what the points may use that is in use: of the local engine's batch, of the limiter's places."""
    points = models_of(chain)["point"]
    local = chat_model(points).occupancy if is_local(points) else 0.0
    return max(local, 0.0 if chain.limiter is None else chain.limiter.load)


def prices_of(chain: SkeletonOfThoughtChain) -> dict[Stage, Price | None] | None:
    """What each stage costs; None if nobody asked."""
    if chain.prices is None:
        return None
    table = chain.prices
    if not isinstance(table, Prices):
        table = Prices.load(None if table == "default" else table)
    return {stage: table.of(name_of(model)) for stage, model in models_of(chain).items()}
