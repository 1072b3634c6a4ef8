"""Every router on labelled questions: overall, by category, next to the paper's two and to "never".

    python benchmarks/routing.py vicuna80.csv --published vicuna80
    python benchmarks/routing.py mine.csv --router lexical --router classifier:my-roberta --json

The file has the columns label and request, and perhaps category; the paper's labels of Vicuna-80 are in its
public repository (data/vicuna/router.csv). Latency is of single questions, one after another, on this machine.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 - typer reads the annotation
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer
from rich.console import Console
from rich.table import Table

from skeleton_of_thought.evaluation.statistics import bootstrap
from skeleton_of_thought.routing import FirstConfident, LabelledQuestion, Router, get_router, read_questions
from skeleton_of_thought.routing.training.metrics import Evaluation, Scores, evaluate, wilson

if TYPE_CHECKING:
    from collections.abc import Sequence

CASCADE: Final = "lexical, then embedding"


@dataclass(frozen=True, slots=True)
class Published:
    """A router of the paper: counts behind its confusion matrix, and its latency in seconds."""

    name: str
    scores: Scores
    seconds: float


PUBLISHED: Final = {
    "vicuna80": (
        Published("GPT-4, prompted (paper)", Scores(37, 5, 0, 38), 0.65),
        Published("RoBERTa, trained on LIMA (paper)", Scores(32, 6, 5, 37), 0.04),
    ),
    "wizardlm": (
        Published("GPT-4, prompted (paper)", Scores(55, 66, 3, 94), 0.65),
        Published("RoBERTa, trained on LIMA (paper)", Scores(27, 25, 31, 135), 0.04),
    ),
    "none": (),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One router in the table."""

    name: str
    scores: Scores
    accuracy_interval: tuple[float, float]
    f1_interval: tuple[float, float] | None
    ece: float | None
    seconds: float


def main(
    data: Annotated[Path, typer.Argument(help="Labelled questions: CSV or JSON lines.")],
    router: Annotated[list[str] | None, typer.Option(help="Names as in `sot router evaluate`.")] = None,
    published: Annotated[
        Literal["vicuna80", "wizardlm", "none"],
        typer.Option(help="Whose published figures to show beside."),
    ] = "none",
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print the tables."""
    questions = read_questions(data)
    names = router or ["never", "always", "lexical", "embedding", CASCADE]
    measured = {name: evaluate(_router(name), questions) for name in names}
    rows = [_measured_row(name, evaluation) for name, evaluation in measured.items()]
    rows += [_published_row(entry) for entry in PUBLISHED[published]]
    categories = {name: _by_category(evaluation, questions) for name, evaluation in measured.items()}
    if as_json:
        print(
            json.dumps({"data": data.name, "routers": [_flat(row) for row in rows], "categories": categories})
        )
        return
    console = Console()
    console.print(_overall(rows, f"{len(questions)} questions of {data.name}"))
    if any(question.category for question in questions):
        console.print(_categories(categories, questions))


def _router(name: str) -> Router:
    if name == CASCADE:
        return FirstConfident([get_router("lexical"), get_router("embedding")], threshold=0.9)
    return get_router(name)


def _measured_row(name: str, measured: Evaluation) -> Row:
    scores = measured.scores
    return Row(
        name,
        scores,
        wilson(scores.true_positives + scores.true_negatives, scores.questions),
        _f1_interval(measured.said, measured.labels),
        measured.ece,
        measured.median_seconds,
    )


def _published_row(entry: Published) -> Row:
    scores = entry.scores
    interval = wilson(scores.true_positives + scores.true_negatives, scores.questions)
    said = [True] * (scores.true_positives + scores.false_positives)
    said += [False] * (scores.false_negatives + scores.true_negatives)
    labels = [True] * scores.true_positives + [False] * scores.false_positives
    labels += [True] * scores.false_negatives + [False] * scores.true_negatives
    return Row(
        entry.name,
        scores,
        interval,
        _f1_interval(said, labels),
        None,
        entry.seconds,
    )


def _f1_interval(said: Sequence[bool], labels: Sequence[bool]) -> tuple[float, float]:
    """95 % interval of F1, which is no plain share: questions are drawn again."""
    pairs = list(zip(said, labels, strict=True))
    interval = bootstrap(pairs, lambda drawn: Scores.of(*zip(*drawn, strict=True)).f1)
    assert interval is not None  # there are questions
    return (interval.low, interval.high)


def _by_category(measured: Evaluation, questions: list[LabelledQuestion]) -> dict[str, float]:
    groups: defaultdict[str, list[int]] = defaultdict(list)
    for position, question in enumerate(questions):
        groups[question.category].append(position)
    return {
        category: Scores.of(
            [measured.said[position] for position in positions],
            [measured.labels[position] for position in positions],
        ).accuracy
        for category, positions in groups.items()
    }


def _overall(rows: list[Row], title: str) -> Table:
    table = Table(title=title, caption="[95 % intervals]: Wilson for accuracy, bootstrap for F1")
    for column in ("router", "accuracy", "precision", "recall", "F1", "false-positive rate", "ECE", "median"):
        table.add_column(column, justify="left" if column == "router" else "right")
    for row in rows:
        table.add_row(
            row.name,
            f"{row.scores.accuracy:.3f} {_interval(row.accuracy_interval)}",
            f"{row.scores.precision:.3f}",
            f"{row.scores.recall:.3f}",
            f"{row.scores.f1:.3f} {_interval(row.f1_interval)}",
            f"{row.scores.false_positive_rate:.3f}",
            "-" if row.ece is None else f"{row.ece:.3f}",
            f"{row.seconds * 1000:.2f} ms",
        )
    return table


def _categories(categories: dict[str, dict[str, float]], questions: list[LabelledQuestion]) -> Table:
    table = Table(title="Accuracy by category")
    table.add_column("category (questions, suitable)")
    for name in categories:
        table.add_column(name, justify="right")
    for category in dict.fromkeys(question.category for question in questions):
        labels = [question.suitable for question in questions if question.category == category]
        shares = (f"{accuracy[category]:.2f}" for accuracy in categories.values())
        table.add_row(f"{category} ({len(labels)}, {sum(labels)})", *shares)
    return table


def _interval(interval: tuple[float, float] | None) -> str:
    return "" if interval is None else f"[{interval[0]:.2f}, {interval[1]:.2f}]"


def _flat(row: Row) -> dict[str, object]:
    return {
        "router": row.name,
        "accuracy": row.scores.accuracy,
        "accuracy_interval": row.accuracy_interval,
        "precision": row.scores.precision,
        "recall": row.scores.recall,
        "f1": row.scores.f1,
        "f1_interval": row.f1_interval,
        "false_positive_rate": row.scores.false_positive_rate,
        "ece": row.ece,
        "median_seconds": row.seconds,
    }


if __name__ == "__main__":
    typer.run(main)
