"""The pictures of speed: by category, by stage, by point; and the router's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skeleton_of_thought.evaluation.report.drawing import (
    BAD,
    FAINT,
    INK,
    LIGHT,
    MODELS,
    PLAIN,
    ROUTED,
    SKELETON,
    draw,
)
from skeleton_of_thought.evaluation.report.picture import (
    Picture,
    categories_of,
    conditions_of,
    legend_of,
    patch,
    range_text,
    short,
)
from skeleton_of_thought.evaluation.summary import ALL

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from skeleton_of_thought.evaluation.report.content import ModelResults


def speed_up_bars(models: Sequence[ModelResults]) -> Picture | None:
    """Speed-up by category, a bar per model."""
    names = categories_of(models)
    bars = [
        (place, number, model, found)
        for number, model in enumerate(models)
        for place, name in enumerate(names)
        if (category := model.summary.categories.get(name)) and (found := category.speed_up)
    ]
    if not bars:
        return None
    room = 0.8 / len(models)

    def paint(axes: Any) -> None:
        for place, number, _, found in bars:
            middle = place - 0.4 + room * (number + 0.5)
            (bar,) = axes.barh(middle, found.value, room * 0.9, color=MODELS[number % len(MODELS)])
            bar.set_gid(f"bar-{number}-{place}")
            axes.plot(
                [found.low, found.high], [middle, middle], color=INK, linewidth=1.3, solid_capstyle="butt"
            )
            axes.annotate(
                f"{found.value:.2f}",
                (max(found.high, found.value), middle),
                (4, 0),
                textcoords="offset points",
                va="center",
                fontsize=9,
            )
        axes.axvline(1, color=BAD, linewidth=1, linestyle=(0, (4, 3)))
        axes.set_yticks(range(len(names)), names)
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.set_xlim(left=0)
        axes.margins(x=0.1)
        axes.set_xlabel("times as fast as the plain answer")
        legend_of(axes, models)

    height = 1 + len(names) * max(0.36, 0.2 * len(models))
    return Picture(
        "speed-up",
        "Speed-up by category",
        draw("speed-up", paint, width=7.6, height=height),
        "How many times as fast the answer with a skeleton was complete, compared to the plain answer to the same "
        "question: geometric mean over the questions, with its 95 % bootstrap interval. Right of the dashed line "
        "Skeleton-of-Thought is faster.",
        conditions_of(models),
        ("model", "category", "speed-up", "95 % interval", "questions"),
        tuple(
            (model.name, names[place], f"{found.value:.2f}", range_text(found), str(found.count))
            for place, _, model, found in sorted(bars, key=lambda bar: bar[:2])
        ),
    )


def latency_breakdown(models: Sequence[ModelResults]) -> Picture | None:
    """Where the seconds go, plain against skeleton."""
    shown = [model for model in models if model.summary.categories[ALL].questions]
    if not shown:
        return None
    colours = {"route": ROUTED, "skeleton": "#1e40af", "points": SKELETON, "other": FAINT}

    def paint(axes: Any) -> None:
        labels = []
        for place, model in enumerate(shown):
            found = model.summary.categories[ALL]
            (bar,) = axes.barh(2.6 * place, found.seconds["direct"], 0.8, color=PLAIN)
            bar.set_gid(f"plain-{place}")
            left = 0.0
            for stage, seconds in found.stages.items():
                (bar,) = axes.barh(2.6 * place + 1, seconds, 0.8, left=left, color=colours[stage])
                bar.set_gid(f"{stage}-{place}")
                left += seconds
            name = f"{model.name}: " if len(shown) > 1 else ""
            labels += [(2.6 * place, f"{name}plain"), (2.6 * place + 1, f"{name}skeleton")]
        axes.set_yticks([at for at, _ in labels], [label for _, label in labels])
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("seconds, mean over the questions")
        names = {
            "plain answer": PLAIN,
            "router": ROUTED,
            "skeleton": "#1e40af",
            "points": SKELETON,
            "other": FAINT,
        }
        axes.legend(
            handles=[patch(colour, name) for name, colour in names.items()],
            ncols=5,
            loc="lower center",
            bbox_to_anchor=(0.5, 1),
            fontsize=9,
        )

    return Picture(
        "latency",
        "Where the time goes",
        draw("latency", paint, width=7.6, height=1.3 + 0.8 * len(shown)),
        "Mean seconds until an answer is complete. With a skeleton: the router's decision, the skeleton, then all "
        "points at the same time, of the answers whose skeleton gave points; the rest is waiting and putting together.",
        conditions_of(models),
        (
            "model",
            "plain",
            "with skeleton",
            "routed",
            "router",
            "skeleton",
            "points",
            "first text, plain",
            "first text, skeleton",
        ),
        tuple(
            (
                model.name,
                *(f"{found.seconds[way]:.2f} s" for way in ("direct", "sot", "routed")),
                f"{1000 * found.stages['route']:.1f} ms",
                *(f"{found.stages[stage]:.2f} s" for stage in ("skeleton", "points")),
                *(f"{found.first_token[way]:.2f} s" for way in ("direct", "sot")),
            )
            for model in shown
            for found in [model.summary.categories[ALL]]
        ),
    )


def router_confusion(model: ModelResults) -> Picture | None:
    """What the router said against the labels."""
    scores = model.summary.router
    if scores is None:
        return None
    cells = (
        (scores.true_negatives, scores.false_positives),
        (scores.false_negatives, scores.true_positives),
    )

    def paint(axes: Any) -> None:
        axes.grid(visible=False)
        largest = max(map(max, cells))
        for row, line in enumerate(cells):
            for column, count in enumerate(line):
                colour = SKELETON if row == column else BAD
                axes.barh(
                    row,
                    0.96,
                    0.96,
                    left=column - 0.48,
                    color=colour,
                    alpha=0.12 + 0.7 * count / max(1, largest),
                )[0].set_gid(f"cell-{row}-{column}")
                axes.annotate(
                    str(count), (column, row), ha="center", va="center", fontsize=15, fontweight="bold"
                )
        axes.set_xticks([0, 1], ["direct", "skeleton"])
        axes.set_yticks([0, 1], ["direct", "skeleton"])
        axes.set_xlabel("the router said")
        axes.set_ylabel("people said")
        axes.set_xlim(-0.5, 1.5)
        axes.set_ylim(1.5, -0.5)
        for side in ("left", "bottom"):
            axes.spines[side].set_visible(False)

    name = f"router-{model.key}"
    return Picture(
        name,
        f"Router against labels: {model.name}",
        draw(name, paint, width=4.2, height=3.2),
        f"Accuracy {scores.accuracy:.3f}, F1 {scores.f1:.3f}, false-positive rate {scores.false_positive_rate:.3f}; a "
        f"decision takes {1000 * (model.summary.router_seconds or 0):.2f} ms (median). Red cells are mistakes.",
        model.conditions,
        ("people said", "router said direct", "router said skeleton"),
        tuple((label, *map(str, line)) for label, line in zip(("direct", "skeleton"), cells, strict=True)),
    )


def timeline(row: Mapping[str, Any], name: str, conditions: str) -> Picture:
    """When what was written, for one question."""
    sot, plain = row["ways"]["sot"], row["ways"]["direct"]
    times = sot["timeline"]
    titles = {point["index"]: point["title"] for point in sot["points"]}
    points = [point for point in times["points"] if "ended" in point]

    def paint(axes: Any) -> None:
        axes.barh(0, plain["seconds"]["total"], 0.62, color=PLAIN)[0].set_gid("plain")
        axes.barh(1, times["skeleton"], 0.62, color="#1e40af")[0].set_gid("skeleton")
        for place, point in enumerate(points, start=2):
            first = point.get("first_text", point["ended"])
            axes.barh(place, first - point["sent"], 0.62, left=point["sent"], color=LIGHT)
            bar = axes.barh(place, point["ended"] - first, 0.62, left=first, color=SKELETON)[0]
            bar.set_gid(f"point-{point['index']}")
        labels = [f"{point['index']}. {short(titles.get(point['index'], ''))}" for point in points]
        axes.set_yticks(range(2 + len(points)), ["plain answer", "skeleton", *labels])
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("seconds")

    return Picture(
        name,
        "Timeline",
        draw(name, paint, width=7.6, height=1 + 0.27 * (2 + len(points))),
        f"“{short(row['request'], 90)}”: the plain answer took {plain['seconds']['total']:.2f} s, the answer with a "
        f"skeleton {sot['seconds']['total']:.2f} s. Light: sent and not yet begun. Dark: being written.",
        conditions,
        ("point", "sent", "first text", "ended"),
        tuple(
            (
                f"{point['index']}. {titles.get(point['index'], '')}",
                *(
                    f"{point[moment]:.2f} s" if moment in point else "–"
                    for moment in ("sent", "first_text", "ended")
                ),
            )
            for point in points
        ),
    )
