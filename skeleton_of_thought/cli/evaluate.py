"""`sot eval`: measure Skeleton-of-Thought on your model and your questions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from skeleton_of_thought.cli.ask import BaseUrl, MaxPoints, Model

app = typer.Typer(no_args_is_help=True, help="Measure speed and quality on your model and your questions.")

Data = Annotated[str, typer.Option(help="own, a .jsonl, .json or .csv file, or hf:DATASET[:CONFIG[:SPLIT]].")]
Limit = Annotated[int | None, typer.Option(min=1, help="Only the first so many questions.")]
Out = Annotated[Path, typer.Option(help="Folder for the results; the same folder again continues.")]
Concurrency = Annotated[
    int, typer.Option(min=1, help="Questions at the same time; times are then taken under load.")
]
MaxRequests = Annotated[int | None, typer.Option(min=1, help="Most requests at the same time.")]
PerMinute = Annotated[int | None, typer.Option(min=1, help="Most requests in a minute.")]
TokensPerMinute = Annotated[int | None, typer.Option(min=1, help="Most tokens in a minute.")]
Workers = Annotated[int | None, typer.Option(min=1, help="Spread the run over so many Ray workers.")]
Ray = Annotated[
    str | None, typer.Option(help="Address of a Ray cluster; without it --workers starts a local one.")
]


@app.command()
def speed(
    *,
    model: Model = "local",
    base_url: BaseUrl = None,
    data: Data = "own",
    limit: Limit = None,
    out: Out = Path("sot-eval"),
    router: Annotated[str, typer.Option(help="Router of SoT-R; see sot router.")] = "auto",
    max_points: MaxPoints = 10,
    concurrency: Concurrency = 1,
    max_requests: MaxRequests = None,
    requests_per_minute: PerMinute = None,
    tokens_per_minute: TokensPerMinute = None,
    workers: Workers = None,
    ray: Ray = None,
) -> None:
    """Answer each question plainly, by Skeleton-of-Thought and as the router decides, on a real clock."""
    from skeleton_of_thought.evaluation import ModelFolder, Questions, SpeedWork, continue_with
    from skeleton_of_thought.evaluation.machine import describe_machine
    from skeleton_of_thought.evaluation.summary import summarise

    questions = Questions.survey(data, limit=limit)
    folder = ModelFolder(out, model)
    work = SpeedWork(
        model=model,
        base_url=base_url,
        router=router,
        max_points=max_points,
        measure_memory=concurrency == 1,
        max_concurrency=max_requests,
        requests_per_minute=requests_per_minute,
        tokens_per_minute=tokens_per_minute,
    )
    experiment = {
        "model": model,
        "base_url": base_url,
        "data": data,
        "router": router,
        "max_points": max_points,
        "concurrency": concurrency,
        "workers": workers or 1,
    }
    folder.begin(experiment, describe_machine())
    with _progress("Answering", questions.count) as progress:
        continue_with(
            folder.speed,
            questions.tasks(),
            lambda tasks: _spread(work, tasks, concurrency=concurrency, workers=workers, ray=ray),
            progress=progress,
        )
    console = Console()
    found = summarise(folder.speed)
    console.print(found.line(), markup=False, highlight=False)
    console.print(f"Results: {folder.path}. The report: sot report {out}", markup=False, highlight=False)


def _spread(
    work: Any, tasks: Iterator[dict[str, Any]], *, concurrency: int, workers: int | None, ray: str | None
) -> Iterator[dict[str, Any]]:
    """Here, or on Ray."""
    from skeleton_of_thought.evaluation.work import in_threads

    if workers is None and ray is None:
        return in_threads(work, tasks, concurrency=concurrency)
    from skeleton_of_thought.evaluation.spreading import on_ray

    return on_ray(work, tasks, workers=workers or 2, address=ray)


@contextmanager
def _progress(what: str, total: int) -> Iterator[Callable[[Any], None]]:
    """A bar with the time left, on the error output; faults are counted."""
    columns = (
        TextColumn(what),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[faults]}", style="red"),
    )
    faults = 0
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(what, total=total, faults="")

        def advance(row: Any) -> None:
            nonlocal faults
            faults += bool(row and row["faults"])
            if row is None:  # done before: no measure of the time left
                bar.update(task, total=(bar.tasks[0].total or 1) - 1)
            bar.update(task, advance=row is not None, faults=f"{faults} with faults" if faults else "")

        yield advance
