"""A figure of a report: drawing, caption, conditions and numbers; and how numbers are written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from skeleton_of_thought.evaluation.report.drawing import MODELS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skeleton_of_thought.evaluation.report.content import ModelResults
    from skeleton_of_thought.evaluation.statistics import Interval


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure of the page.

    Attributes:
        name: Its id.
        title: What it shows, in a few words.
        svg: The drawing; empty for a report without drawings.
        caption: What is to be seen, and how it was computed.
        conditions: Under which conditions.
        header: Names of the columns of its numbers.
        rows: Its numbers, as text.
    """

    name: str
    title: str
    svg: str
    caption: str
    conditions: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def categories_of(models: Sequence[ModelResults]) -> list[str]:
    """The categories of all models, in order."""
    return list(dict.fromkeys(name for model in models for name in model.summary.categories))


def conditions_of(models: Sequence[ModelResults]) -> str:
    """The conditions of all models."""
    return " | ".join(model.conditions for model in models)


def patch(colour: str, label: str) -> Any:
    """A colour for a legend."""
    from matplotlib.patches import Patch

    return Patch(color=colour, label=label)


def range_text(found: Interval) -> str:
    """An interval."""
    return f"{found.low:.2f} to {found.high:.2f}"


def signed(found: Interval | None) -> tuple[str, str]:
    """A rate and its interval."""
    return ("–", "–") if found is None else (f"{found.value:+.2f}", f"{found.low:+.2f} to {found.high:+.2f}")


def short(text: str, most: int = 44) -> str:
    """A text on one line of bounded length."""
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most - 1] + "…"


def legend_of(axes: Any, models: Sequence[ModelResults]) -> None:
    """The models and their colours above the picture, if there is more than one."""
    if len(models) > 1:
        handles = [patch(MODELS[number % len(MODELS)], model.name) for number, model in enumerate(models)]
        axes.legend(handles=handles, ncols=len(handles), loc="lower center", bbox_to_anchor=(0.5, 1))
