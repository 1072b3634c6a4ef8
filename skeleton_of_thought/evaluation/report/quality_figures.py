"""The pictures of quality: the judges' verdicts, alone and against speed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skeleton_of_thought.evaluation.judge_prompts import GENERAL
from skeleton_of_thought.evaluation.report.drawing import (
    BAD,
    GOOD,
    INK,
    MODELS,
    draw,
)
from skeleton_of_thought.evaluation.report.picture import (
    Picture,
    conditions_of,
    legend_of,
    signed,
)
from skeleton_of_thought.evaluation.summary import ALL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skeleton_of_thought.evaluation.quality import Judgement
    from skeleton_of_thought.evaluation.report.content import ModelResults


def win_rate_scatter(models: Sequence[ModelResults]) -> Picture | None:
    """Quality against speed, a dot per category."""
    dots = [
        (number, model, judged, speed.speed_up)
        for number, model in enumerate(models)
        for judged in _judged(model)
        if judged.category != ALL
        and judged.net_win_rate is not None
        and (speed := model.summary.categories.get(judged.category)) is not None
        and speed.speed_up is not None
    ]
    if not dots:
        return None

    def paint(axes: Any) -> None:
        for place, (number, _, judged, fast) in enumerate(dots):
            assert judged.net_win_rate is not None
            won = judged.net_win_rate.value
            axes.scatter(won, fast.value, s=46, color=MODELS[number % len(MODELS)], zorder=3).set_gid(
                f"dot-{place}"
            )
            axes.annotate(
                judged.category, (won, fast.value), (6, 4), textcoords="offset points", fontsize=8.5
            )
        axes.axhline(1, color=INK, linewidth=0.8, linestyle=(0, (4, 3)))
        axes.axvline(0, color=INK, linewidth=0.8, linestyle=(0, (4, 3)))
        axes.set_xlim(-1.1, 1.25)
        axes.margins(y=0.2)
        legend_of(axes, models)
        axes.set_xlabel("net win rate: worse than the plain answer  ←  0  →  better")
        axes.set_ylabel("times as fast")

    first = dots[0][2]
    return Picture(
        "win-rate",
        "Quality against speed",
        draw("win-rate", paint, width=7.6, height=4.6),
        "Each dot is a category. Up is faster, right is better: net win rate is pairs won less pairs lost, of all that "
        f"{first.judge} could judge ({first.form}), each pair read in both orders.",
        conditions_of(models),
        ("model", "judge", "category", "net win rate", "95 % interval", "speed-up"),
        tuple(
            (model.name, judged.judge, judged.category, *signed(judged.net_win_rate), f"{fast.value:.2f}")
            for _, model, judged, fast in dots
        ),
    )


def metric_bars(models: Sequence[ModelResults]) -> Picture | None:
    """Net win rate by metric."""
    bars = [
        (model, judged)
        for model in models
        for judged in model.quality.judgements
        if judged.category == ALL and judged.net_win_rate is not None
    ]
    if not bars:
        return None
    names = [_judgement_name(model, judged, models) for model, judged in bars]

    def paint(axes: Any) -> None:
        for place, (_, judged) in enumerate(bars):
            rate = judged.net_win_rate
            assert rate is not None
            (bar,) = axes.barh(place, rate.value, 0.62, color=GOOD if rate.value >= 0 else BAD)
            bar.set_gid(f"bar-{place}")
            axes.plot([rate.low, rate.high], [place, place], color=INK, linewidth=1.3)
            if judged.at_equal_length is not None:
                axes.scatter(judged.at_equal_length.value, place, marker="D", s=22, color=INK, zorder=3)
        axes.axvline(0, color=INK, linewidth=0.8)
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.grid(visible=False, axis="y")
        axes.set_xlim(-1.05, 1.05)
        axes.set_xlabel("net win rate (diamond: at equal length)")

    return Picture(
        "metrics",
        "Net win rate by metric",
        draw("metrics", paint, width=7.6, height=1 + 0.34 * len(bars)),
        "Pairs won less pairs lost, of all that could be judged, with the 95 % bootstrap interval. The diamond is the "
        "rate a straight line over the logarithm of the ratio of the lengths has where both answers are equally long. "
        "Opinions that could not be read are no ties; they are counted below.",
        conditions_of(models),
        (
            "judge",
            "net win rate",
            "95 % interval",
            "at equal length",
            "won",
            "tied",
            "lost",
            "unparsable",
            "failed",
        ),
        tuple(
            (
                name,
                *signed(judged.net_win_rate),
                signed(judged.at_equal_length)[0],
                *(
                    str(n)
                    for n in (judged.wins, judged.ties, judged.losses, judged.unparsable, judged.failed)
                ),
            )
            for name, (_, judged) in zip(names, bars, strict=True)
        ),
    )


def general_judgement(model: ModelResults) -> Judgement | None:
    """The general verdict over all categories that the figures show."""
    return next((one for one in _judged(model) if one.category == ALL), None)


def _judged(model: ModelResults) -> list[Judgement]:
    """The general verdicts of one judge: by scores, which all categories have, if there are any."""
    general = [one for one in model.quality.judgements if one.metric == GENERAL and one.way == "sot"]
    first = min(general, key=lambda one: one.form != "scores", default=None)
    return [one for one in general if first and (one.judge, one.form) == (first.judge, first.form)]


def _judgement_name(model: ModelResults, judged: Judgement, models: Sequence[ModelResults]) -> str:
    name = f"{judged.metric} ({judged.form}, {judged.judge})"
    name += " routed" if judged.way == "routed" else ""
    return f"{model.name}: {name}" if len(models) > 1 else name
