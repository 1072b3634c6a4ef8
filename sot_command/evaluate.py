"""`sot eval`: measure Skeleton-of-Thought on your model and your questions."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from skeleton_of_thought.clients import without_password
from skeleton_of_thought.clients.opening import kind_and_name
from skeleton_of_thought.errors import ConfigurationError
from skeleton_of_thought.evaluation.work import Work, in_threads
from sot_command.ask import AsJson, BaseUrl, Dtype, MaxPoints, Model
from sot_command.terminal import Console, say


class FormChoice(StrEnum):
    """What a judge is asked for."""

    scores = "scores"
    ranking = "ranking"
    criteria = "criteria"


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
    dtype: Dtype = "auto",
    data: Data = "own",
    limit: Limit = None,
    out: Out = Path("sot-eval"),
    router: Annotated[str, typer.Option(help="Router of SoT-R; see sot router.")] = "auto",
    max_points: MaxPoints = None,
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

    workers = _workers(workers, ray, concurrency)
    kind_and_name(model, base_url, dtype)  # before anything is written
    folder = ModelFolder(out, model)
    questions = Questions.survey(data, folder.speed, limit=limit)
    work = SpeedWork(
        model=model,
        base_url=base_url,
        dtype=dtype,
        router=router,
        max_points=max_points,
        measure_memory=concurrency == 1,
        max_concurrency=max_requests,
        requests_per_minute=requests_per_minute,
        tokens_per_minute=tokens_per_minute,
    )
    experiment = {
        "model": model,
        "base_url": without_password(base_url),
        "dtype": None if dtype == "auto" else dtype,  # as in results of before there was a choice
        "data": data,
        "router": router,
        "max_points": max_points or "the prompts' own",
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


@app.command()
def quality(
    *,
    judge: Annotated[
        list[str] | None,
        typer.Option(help="A chat model that judges, as for --model; may be given several times."),
    ] = None,
    judge_base_url: Annotated[str | None, typer.Option(help="Address of the judges' API server.")] = None,
    out: Out = Path("sot-eval"),
    way: Annotated[
        str | None,
        typer.Option(help="Whose wins are counted: sot or routed, or a name in --answers; default: sot."),
    ] = None,
    against: Annotated[
        str | None, typer.Option(help="What they are compared with; default: the plain answers.")
    ] = None,
    answers: Annotated[
        Path | None,
        typer.Option(help="Judge this file of answers, JSON lines, and not those of sot eval speed."),
    ] = None,
    export: Annotated[
        Path | None,
        typer.Option(help="Write blind pairs of --answers into this folder, for people who judge."),
    ] = None,
    verdicts: Annotated[
        list[Path] | None,
        typer.Option(help="Read people's verdicts on exported pairs; may be given several times."),
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option(help="The key to the letters of --verdicts.", show_default="beside the exported folder"),
    ] = None,
    form: Annotated[
        list[FormChoice] | None,
        typer.Option(
            help="Scores for both answers, a ranking by each metric, or every criterion in one reading with reasons; "
            "default: the first two, and with --answers the last."
        ),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(help="Rank by this only; default: all six. May be given several times."),
    ] = None,
    concurrency: Concurrency = 1,
    max_requests: MaxRequests = None,
    requests_per_minute: PerMinute = None,
    tokens_per_minute: TokensPerMinute = None,
    workers: Workers = None,
    ray: Ray = None,
    as_json: AsJson = False,
) -> None:
    """Let chat models or people compare answers, those of sot eval speed or any; and measure what needs no judge."""
    from skeleton_of_thought.evaluation import ModelFolder, ResultLines, continue_with
    from skeleton_of_thought.evaluation.answering import Way
    from skeleton_of_thought.evaluation.judge_prompts import METRICS
    from skeleton_of_thought.evaluation.judging import JudgeWork, pairs_to_judge
    from skeleton_of_thought.evaluation.measures import measure_points
    from skeleton_of_thought.evaluation.quality import judge_results
    from skeleton_of_thought.evaluation.results import write_json
    from sot_command.judged import judge_answers, print_verdicts

    workers = _workers(workers, ray, concurrency)
    unknown = sorted({*(metric or ())} - METRICS.keys())
    if unknown:
        raise ConfigurationError(f"There is no metric {unknown[0]!r}; use {', '.join(METRICS)}.")
    work = JudgeWork(
        judges=tuple(judge or ()),
        base_url=judge_base_url,
        max_concurrency=max_requests,
        requests_per_minute=requests_per_minute,
        tokens_per_minute=tokens_per_minute,
    )

    def judge_rows(rows: Any, lines: ResultLines, *, way: str, against: str, forms: list[FormChoice]) -> None:
        def tasks() -> Iterator[dict[str, Any]]:
            return pairs_to_judge(
                rows,
                judges=work.judges,
                way=way,
                against=against,
                forms=[choice.value for choice in forms],
                metrics=metric or tuple(METRICS),
            )

        with _progress("Judging", sum(1 for _ in tasks())) as progress:
            continue_with(
                lines,
                tasks(),
                lambda tasks: _spread(work, tasks, concurrency=concurrency, workers=workers, ray=ray),
                name=lambda task: str(task["key"]),
                progress=progress,
            )

    if answers is not None or export is not None or verdicts:
        judge_answers(
            answers,
            out=out,
            way=way,
            against=against,
            export=export,
            verdicts=verdicts or [],
            key=key,
            judge=partial(judge_rows, forms=form or [FormChoice.criteria]) if work.judges else None,
            as_json=as_json,
        )
        return
    if as_json:
        raise ConfigurationError("--json goes with --answers or --verdicts; the rest is shown by sot report.")
    way, against = way or "sot", against or "direct"
    unknown = sorted({way, against} - {*get_args(Way)})
    if unknown or way == against:
        raise ConfigurationError(
            f"--way {way} --against {against}: choose two of {', '.join(get_args(Way))}, or pass --answers FILE."
        )
    console = Console()
    for folder in ModelFolder.all_in(out):
        measures = measure_points(folder.speed)
        write_json(folder.measures, measures.to_dict())
        console.print(f"{folder.path.name}: {measures.line()}", markup=False, highlight=False)
        if not work.judges:
            continue
        judge_rows(
            folder.speed,
            folder.quality,
            way=way,
            against=against,
            forms=form or [FormChoice.scores, FormChoice.ranking],
        )
        console.print(judge_results(folder.quality).line(), markup=False, highlight=False)
        print_verdicts([row for row in folder.quality if row["form"] == "criteria"], console)


@app.command()
def profile(
    *,
    model: Model = "local",
    dtype: Dtype = "auto",
    out: Out = Path("sot-eval"),
    batches: Annotated[str, typer.Option(help="Batch sizes to time.")] = "1,2,4,6,8,10",
    longest: Annotated[
        int, typer.Option(help="Tokens of prompt and answer together the tables reach to.")
    ] = 1024,
    repeats: Annotated[int, typer.Option(help="How often each is timed; the median counts.")] = 3,
) -> None:
    """Build the paper's latency tables for a local model: seconds to read prompts and to write a token."""
    kind, name = kind_and_name(model, None, dtype)
    if kind != "local":
        raise ConfigurationError(
            f"Only a local model can be timed, local or hf:FOLDER_OR_HUB_ID, and not {model!r}."
        )
    from skeleton_of_thought.decoding import get_engine
    from skeleton_of_thought.evaluation import ModelFolder
    from skeleton_of_thought.evaluation.machine import describe_machine
    from skeleton_of_thought.evaluation.profiling import ProfileOptions
    from skeleton_of_thought.evaluation.profiling import profile as build
    from skeleton_of_thought.evaluation.results import write_json

    try:
        sizes = tuple(sorted({int(size) for size in batches.split(",")}))
    except ValueError:
        raise ConfigurationError(
            f"--batches is {batches!r}; use whole numbers with commas, such as 1,2,4,8."
        ) from None
    options = ProfileOptions(batches=sizes, longest=longest, repeats=repeats)
    engine = get_engine(name, dtype=dtype)
    with Progress(*_COLUMNS, console=Console(stderr=True)) as bar:
        task = bar.add_task("Timing", total=None)
        tables = build(
            engine,
            options,
            about={"model": model, "dtype": dtype, **describe_machine()},
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    folder = ModelFolder(out, model)
    write_json(folder.profile, tables.to_dict())
    table = Table("batch", "reads 128 tokens", "writes a token, 256 before it", box=None)
    for size in sizes:
        table.add_row(
            str(size),
            *(
                f"{1000 * value:.1f} ms"
                for value in (
                    tables.request(min(128, longest - 1), 0, size),
                    tables.step(min(256, longest), size),
                )
            ),
        )
    Console().print(table)
    say(f"Tables: {folder.profile}")


@app.command()
def estimate(
    tables: Annotated[
        Path | None, typer.Option(help="Latency tables; default: those of sot eval profile in --out.")
    ] = None,
    *,
    model: Model = "local",
    out: Out = Path("sot-eval"),
    as_json: AsJson = False,
) -> None:
    """Predict, by the paper's formula, what the questions of sot eval speed take, and compare with what they took."""
    from skeleton_of_thought.evaluation import ModelFolder
    from skeleton_of_thought.evaluation.estimating import LatencyTables, compare_estimates
    from skeleton_of_thought.evaluation.results import read_json

    folder = ModelFolder(out, model)
    file = folder.profile if tables is None else tables
    content = read_json(file)
    if content is None:
        raise ConfigurationError(
            f"There are no latency tables in {str(file)!r}. Make some: sot eval profile -m {model}"
        )
    found = compare_estimates(folder.speed, LatencyTables.from_dict(content))
    if not found.estimates:
        raise ConfigurationError(
            f"There are no answers with points in {str(folder.path)!r} within the tables ({found.beyond} are beyond). "
            f"Make some: sot eval speed -m {model} --out {out}"
        )
    if as_json:
        print(json.dumps([asdict(one) for one in found.estimates]))
        return
    table = Table("what", "estimated", "measured", "median distance", "all together", box=None)
    for what, predicted, measured in (
        ("plain answer", "plain", "plain_measured"),
        ("with a skeleton, this engine", "sot", "sot_measured"),
        ("with a skeleton, the paper's formula", "sot_paper", "sot_measured"),
    ):
        seconds = (sum(getattr(one, name) for one in found.estimates) for name in (predicted, measured))
        table.add_row(
            what,
            *(f"{value:.1f} s" for value in seconds),
            f"{found.error(predicted, measured):.1%}",
            f"{found.bias(predicted, measured):+.1%}",
        )
    Console().print(table)
    print(
        f"{len(found.estimates)} questions" + (f", {found.beyond} beyond the tables" if found.beyond else "")
    )


def report(
    folder: Annotated[Path, typer.Argument(help="The folder given to sot eval as --out.")] = Path("sot-eval"),
) -> None:
    """Write what was measured as one HTML file that needs nothing else, and as Markdown."""
    from skeleton_of_thought.evaluation.report import write_report

    for file in write_report(folder):
        say(file)


def _workers(workers: int | None, ray: str | None, concurrency: int) -> int | None:
    """How many workers of Ray; None for none."""
    if workers is None and ray is None:
        return None
    if concurrency > 1:
        raise ConfigurationError(
            f"--concurrency {concurrency} is for one process; a worker of Ray answers one question at a time. "
            f"Use --workers {concurrency} alone."
        )
    return workers or 2


def _spread(
    work: Work, tasks: Iterator[dict[str, Any]], *, concurrency: int, workers: int | None, ray: str | None
) -> Iterator[dict[str, Any]]:
    """Here, or on Ray."""
    if workers is None:
        return in_threads(work, tasks, concurrency=concurrency)
    from skeleton_of_thought.evaluation.spreading import on_ray

    return on_ray(work, tasks, workers=workers, address=ray)


_COLUMNS = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())


@contextmanager
def _progress(what: str, total: int) -> Iterator[Callable[[Any], None]]:
    """A bar with the time left, on the error output; faults are counted."""
    faults = 0
    with Progress(
        *_COLUMNS, TextColumn("{task.fields[faults]}", style="red"), console=Console(stderr=True)
    ) as bar:
        task = bar.add_task(what, total=total, faults="")

        def advance(row: Any) -> None:
            nonlocal faults
            faults += bool(row and row["faults"])
            if row is None:  # done before: no measure of the time left
                bar.update(task, total=(bar.tasks[0].total or 1) - 1)
            bar.update(task, advance=row is not None, faults=f"{faults} with faults" if faults else "")

        yield advance
