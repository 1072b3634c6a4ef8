"""Puts a report together and writes it."""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape
from typing import TYPE_CHECKING, Any, Final

from skeleton_of_thought.errors import require
from skeleton_of_thought.evaluation.report import estimate_figures, quality_figures, speed_figures
from skeleton_of_thought.evaluation.report.content import gather
from skeleton_of_thought.evaluation.summary import ALL

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from skeleton_of_thought.evaluation.report.content import ModelResults
    from skeleton_of_thought.evaluation.statistics import Interval
    from skeleton_of_thought.evaluation.summary import Category

LONG_ANSWER: Final = 1200
"""Characters of an answer that are shown before somebody asks for the rest."""


def write_report(out: Path) -> tuple[Path, Path]:
    """Write `report.html` and `report.md` into a folder with results.

    The HTML holds everything it shows: no script, no font and no picture comes from elsewhere.

    Returns:
        The two files.

    Raises:
        ConfigurationError: There are no results.
        MissingExtraError: The extra `eval` (Matplotlib, Jinja2) is not installed.
    """
    jinja2 = require("jinja2", extra="eval", needed_for="The report")
    models = gather(out)
    pictures = [
        picture
        for picture in (
            speed_figures.speed_up_bars(models),
            quality_figures.win_rate_scatter(models),
            quality_figures.metric_bars(models),
            speed_figures.latency_breakdown(models),
            *(speed_figures.router_confusion(model) for model in models),
            *(estimate_figures.estimate_scatter(model) for model in models),
        )
        if picture is not None
    ]
    values = {
        "written": datetime.now(UTC).strftime("%Y-%m-%d"),
        "models": [_shown(model) for model in models],
        "figures": pictures,
        "columns": COLUMNS,
    }
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("skeleton_of_thought.evaluation.report"),
        autoescape=lambda name: name is not None and name.endswith(".html"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["cell"] = _cell
    environment.filters["start"] = _start
    written = []
    for name in ("report.html", "report.md"):
        file = out / name
        file.write_text(environment.get_template(name).render(values), encoding="utf-8", errors="replace")
        written.append(file)
    return written[0], written[1]


def _cell(text: object) -> str:
    """A text for a cell of a Markdown table: one line, and no markup of HTML, whoever wrote it."""
    return escape(" ".join(str(text).split()), quote=False).replace("|", "\\|")


def _start(text: str) -> str:
    """The first words of a long answer, with a sign that there is more; a short one as it is."""
    if len(text) <= LONG_ANSWER:
        return text
    return text[:LONG_ANSWER].rsplit(maxsplit=1)[0] + " …"


def _shown(model: ModelResults) -> Mapping[str, Any]:
    """What the templates show of one model, as text."""
    return {
        "name": model.name,
        "key": model.key,
        "conditions": model.conditions,
        "line": model.summary.line(),
        "quality": model.quality.line(),
        "warnings": model.warnings,
        "tiles": _tiles(model),
        "categories": [_category(found) for found in model.summary.categories.values()],
        "faults": model.summary.faults,
        "fallbacks": model.summary.fallbacks,
        "measures": _measures(model.measures),
        "reliability": [
            (
                one.judge,
                one.form,
                str(one.opinions),
                f"{one.position_bias:+.2f}",
                _share(one.consistent),
                _share(one.unparsable),
                str(one.failed),
            )
            for one in model.quality.reliability
        ],
        "agreement": [
            (one.first, one.second, str(one.pairs), _share(one.same), _number(one.kappa))
            for one in model.quality.agreement
        ],
        "samples": [
            {
                "request": row["request"],
                "category": row.get("category") or "",
                "plain": _whole_or_cut(row["ways"]["direct"]),
                "sot": _whole_or_cut(row["ways"]["sot"]),
                "plain_seconds": f"{row['ways']['direct']['seconds']['total']:.2f}",
                "sot_seconds": f"{row['ways']['sot']['seconds']['total']:.2f}",
                "timeline": speed_figures.timeline(row, f"timeline-{model.key}-{number}", model.conditions),
            }
            for number, row in enumerate(model.samples)
        ],
    }


def _whole_or_cut(told: Mapping[str, Any]) -> str:
    """An answer's text, with a sign at its end where the model's length limit cut it off.

    In an answer with points each has its own sign.
    """
    text: str = told["text"]
    cut = told.get("truncated") and not told["points"] and not text.rstrip().endswith(("…", "[…]"))
    return f"{text.rstrip()} […]" if cut else text


def _tiles(model: ModelResults) -> list[tuple[str, str, str]]:
    """Number, meaning and range of what matters most."""
    found = model.summary.categories[ALL]
    tiles = [
        (str(found.questions), "question" if found.questions == 1 else "questions", "answered in every way"),
        (_times(found.speed_up), "as fast with a skeleton", _range(found.speed_up)),
        (_times(found.routed_speed_up), "as fast with the router", _range(found.routed_speed_up)),
        (_times(found.labelled_speed_up), "as fast if people routed", _range(found.labelled_speed_up)),
        (
            _times(found.first_token_speed_up),
            "as soon with the first text",
            _range(found.first_token_speed_up),
        ),
        (_multiple(found.length_ratio), "the length of the plain answer", "characters, mean"),
        (
            _multiple(found.input_ratio, 1),
            "the prompt tokens",
            f"and {_multiple(found.output_ratio)} the answer's",
        ),
    ]
    general = quality_figures.general_judgement(model)
    if general is not None and general.net_win_rate is not None:
        rate = general.net_win_rate
        tiles.append(
            (f"{rate.value:+.2f}", "net win rate", f"{rate.low:+.2f} to {rate.high:+.2f}, {general.judge}")
        )
    return tiles


COLUMNS = (
    "category",
    "questions",
    "speed-up",
    "with router",
    "if people routed",
    "length",
    "points",
    "balance",
    "prompt tokens",
    "answer tokens",
    "skeletons parsed",
    "points that stay",
    "overlap",
    "cut off, plain",
    "peak memory",
    "cost",
)


def _category(found: Category) -> tuple[str, ...]:
    memory = found.memory["sot"], found.memory["direct"]
    cost = found.cost["sot"], found.cost["direct"]
    return (
        found.name,
        str(found.questions),
        _times(found.speed_up),
        _times(found.routed_speed_up),
        _times(found.labelled_speed_up),
        _number(found.length_ratio),
        _number(found.points, 1),
        _number(found.balance),
        _multiple(found.input_ratio, 1),
        _multiple(found.output_ratio),
        _share(found.parsed),
        _share(found.stays),
        _share(found.overlap),
        str(found.truncated),
        "–"
        if None in memory
        else f"{(memory[0] or 0) / 1e6:.0f} MB, {(memory[0] or 0) / (memory[1] or 1):.2f}x",
        "–" if None in cost else f"{cost[0] or 0:.5f}, {(cost[0] or 0) / (cost[1] or 1):.1f}x",
    )


def _measures(measures: Mapping[str, Any]) -> list[tuple[str, str]]:
    named: Sequence[tuple[str, str, Callable[[float | None], str]]] = (
        ("skeletons that gave points", "parsed", _share),
        ("points that stay in their point", "stays", _share),
        ("points nearest in meaning to their own title", "near_own_title", _share),
        ("3-grams two points share", "word_overlap", _share),
        ("cosine similarity of two points", "meaning_overlap", _number),
        ("sentences another point says too", "said_twice", _share),
        ("points that open by restating title or question", "restating", _share),
        ("planned forms that are ignored", "ignores_form", _share),
        ("planned lengths that are exceeded", "over_length", _share),
    )
    return [
        (meaning, show(measures[name])) for meaning, name, show in named if measures.get(name) is not None
    ]


def _times(found: Interval | None) -> str:
    return "–" if found is None else f"{found.value:.2f}x"


def _range(found: Interval | None) -> str:
    return "" if found is None else f"{found.low:.2f} to {found.high:.2f}"


def _number(value: float | None, digits: int = 2) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _multiple(value: float | None, digits: int = 2) -> str:
    return "–" if value is None else f"{value:.{digits}f}x"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.0%}"
