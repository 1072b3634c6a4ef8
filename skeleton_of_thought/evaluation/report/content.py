"""What a report says: the results of every model, read once, with only numbers and a few samples kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from skeleton_of_thought.evaluation.estimating import Comparison, LatencyTables, compare_estimates
from skeleton_of_thought.evaluation.measures import measure_points
from skeleton_of_thought.evaluation.quality import Quality, judge_results
from skeleton_of_thought.evaluation.results import ModelFolder, read_json
from skeleton_of_thought.evaluation.summary import ALL, Summary, summarise

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

SAMPLES: Final = 4
"""Answers of a model that are shown in full."""
FEW_QUESTIONS: Final = 20
"""Fewer are no ground for a headline."""
BUSY: Final = 0.5
"""Load per core at the start of a run above which other work must have slowed it."""


@dataclass(frozen=True, slots=True)
class ModelResults:
    """Everything measured for one model.

    Attributes:
        name: The model, as the user named it.
        key: A name for ids in the page.
        summary: Speed.
        quality: The judges' verdicts.
        measures: What was measured without a judge.
        estimates: What the latency tables predict, against the measurement; empty without tables.
        samples: A few rows in full, of different categories.
        conditions: What every figure stands under, on one line.
        runs: Machine and time of each run.
        warnings: Why the figures must not be relied on, a sentence each; empty where nothing speaks against them.
    """

    name: str
    key: str
    summary: Summary
    quality: Quality
    measures: Mapping[str, Any]
    estimates: Comparison | None
    samples: tuple[Mapping[str, Any], ...]
    conditions: str
    runs: tuple[Mapping[str, Any], ...]
    warnings: tuple[str, ...] = ()


def gather(out: Path) -> list[ModelResults]:
    """Read all results below a folder.

    Raises:
        ConfigurationError: There are none, or a file of them cannot be read.
    """
    return [_model(folder, number) for number, folder in enumerate(ModelFolder.all_in(out))]


def _model(folder: ModelFolder, number: int) -> ModelResults:
    conditions = folder.conditions
    experiment, runs = conditions["experiment"], tuple(conditions["runs"])
    summary = summarise(folder.speed)
    tables = read_json(folder.profile)
    return ModelResults(
        name=experiment["model"],
        key=f"model{number}",
        summary=summary,
        quality=judge_results(folder.quality),
        measures=read_json(folder.measures) or measure_points(folder.speed, embeddings=False).to_dict(),
        estimates=None
        if tables is None
        else compare_estimates(folder.speed, LatencyTables.from_dict(tables)),
        samples=_samples(folder.speed),
        conditions=_conditions(experiment, runs, summary),
        runs=runs,
        warnings=_warnings(runs, summary),
    )


def _warnings(runs: Iterable[Mapping[str, Any]], summary: Summary) -> tuple[str, ...]:
    """What a reader of the headline must know before its number."""
    questions = summary.categories[ALL].questions
    found = []
    if questions < FEW_QUESTIONS:
        some = "1 question" if questions == 1 else f"{questions} questions"
        found.append(
            f"Measured on {some} only: other questions may well say otherwise. Take {FEW_QUESTIONS} or more "
            "(sot eval speed --limit, or without it all)."
        )
    busy = max((run["load"] / run["cores"] for run in runs if run["load"] and run["cores"]), default=0.0)
    if busy > BUSY:
        found.append(
            f"The machine was busy when the run began (load {busy:.1f} per core): seconds of a local model, and so the "
            "speed-up, are not those of a quiet machine. Run it again when nothing else runs."
        )
    return tuple(found)


def _samples(rows: Iterable[Mapping[str, Any]]) -> tuple[Mapping[str, Any], ...]:
    """The first answer with points of each of the first few categories."""
    found: dict[str, Mapping[str, Any]] = {}
    for row in rows:
        category = row.get("category") or ""
        if (
            len(found) < SAMPLES
            and category not in found
            and not row["faults"]
            and row["ways"]["sot"]["points"]
        ):
            found[category] = row
    return tuple(found.values())


def _conditions(experiment: Mapping[str, Any], runs: tuple[Mapping[str, Any], ...], summary: Summary) -> str:
    last = runs[-1]
    questions = summary.categories["all"].questions
    data = "this project's questions" if experiment["data"] == "own" else experiment["data"]
    load = f"load {last['load']} at the start" if last["load"] is not None else ""
    parts = [
        experiment["model"],
        experiment.get("dtype") or "",
        f"{questions} of {data}",
        f"{last['processor']}, {last['cores']} cores",
        last["accelerator"] or "",
        "each question plainly, by Skeleton-of-Thought and routed, in turn, in one run",
        _at_once(experiment),
        f"router {experiment['router']}",
        load,
        last["started"][:10],
        ", ".join(
            f"{name} {last['packages'][name]}" for name in _packages(experiment) if name in last["packages"]
        ),
    ]
    return " · ".join(part for part in parts if part)


def _packages(experiment: Mapping[str, Any]) -> tuple[str, ...]:
    """What a model's speed may depend on."""
    kind = experiment["model"].partition(":")[0]
    return ("skeleton-of-thought", *(("torch", "transformers") if kind in {"local", "hf"} else (kind,)))


def _at_once(experiment: Mapping[str, Any]) -> str:
    if experiment["workers"] > 1:
        return f"{experiment['workers']} workers"
    many = experiment["concurrency"]
    return "one question at a time" if many == 1 else f"{many} questions at a time, so times are under load"
