"""The picture of what the latency tables predict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skeleton_of_thought.evaluation.report.drawing import (
    INK,
    LIGHT,
    PLAIN,
    SKELETON,
    draw,
)
from skeleton_of_thought.evaluation.report.picture import (
    Picture,
)

if TYPE_CHECKING:
    from skeleton_of_thought.evaluation.report.content import ModelResults


def estimate_scatter(model: ModelResults) -> Picture | None:
    """Predicted against measured seconds."""
    found = model.estimates
    if found is None or not found.estimates:
        return None
    kinds = (
        ("plain", "plain_measured", PLAIN, "plain answer"),
        ("sot", "sot_measured", SKELETON, "with a skeleton"),
    )

    def paint(axes: Any) -> None:
        most = 0.0
        for predicted, measured, colour, label in kinds:
            x = [getattr(estimate, measured) for estimate in found.estimates]
            y = [getattr(estimate, predicted) for estimate in found.estimates]
            axes.scatter(x, y, s=26, color=colour, label=label, zorder=3).set_gid(f"dots-{predicted}")
            most = max(most, *x, *y)
        axes.plot([0, most], [0, most], color=INK, linewidth=0.8)
        axes.fill_between([0, most], [0, 0.85 * most], [0, 1.15 * most], color=LIGHT, alpha=0.5, linewidth=0)
        axes.set_xlabel("measured seconds")
        axes.set_ylabel("estimated seconds")
        axes.legend(loc="upper left")

    name = f"estimate-{model.key}"
    rows = tuple(
        (label, _percent(found.error(predicted, measured)), _signed_percent(found.bias(predicted, measured)))
        for predicted, measured, label in (
            ("plain", "plain_measured", "plain answer"),
            ("sot", "sot_measured", "with a skeleton, for this engine"),
            ("sot_paper", "sot_measured", "with a skeleton, the paper's formula as it stands"),
        )
    )
    return Picture(
        name,
        f"Estimate against measurement: {model.name}",
        draw(name, paint, width=5.2, height=4.2),
        "Seconds predicted from the model's latency tables by the paper's formula, corrected for prompts in memory and "
        "for points that leave the batch when they are finished, against the measured seconds. The band is ±15 %."
        + (f" {found.beyond} questions are longer than the tables." if found.beyond else ""),
        model.conditions,
        ("what", "median distance", "all seconds together"),
        rows,
    )


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def _signed_percent(value: float | None) -> str:
    return "–" if value is None else f"{value:+.1%}"
