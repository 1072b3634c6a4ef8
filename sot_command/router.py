"""`sot router`: measure routers, find thresholds, see why, train."""

from __future__ import annotations

import json
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from sot_command.ask import BaseUrl, Dtype, Question
from sot_command.terminal import Console

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from skeleton_of_thought.routing.decision import Router
    from skeleton_of_thought.routing.gain import Saving
    from skeleton_of_thought.routing.labels import LabelledQuestion
    from skeleton_of_thought.routing.linear import LinearModel
    from skeleton_of_thought.routing.training.calibration import Threshold
    from skeleton_of_thought.routing.training.classifier import TrainingStep
    from skeleton_of_thought.routing.training.metrics import Evaluation, Scores

app = typer.Typer(no_args_is_help=True, help="Routers: which questions are worth a skeleton?")

RouterOption = Annotated[
    str,
    typer.Option(
        help="lexical, embedding, gain, always, never, classifier:FOLDER, gain:ROUTER, labels:FILE, lexical:FILE "
        "or prompting:MODEL."
    ),
]
DataOption = Annotated[
    Path,
    typer.Option(help="CSV (, or ;) or JSON lines with label, request and perhaps category."),
]
ThresholdOption = Annotated[float | None, typer.Option(help="Probability from which the route is sot.")]
ShareOption = Annotated[float | None, typer.Option(help="Share of suitable questions in your traffic.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_ROWS_OF_THE_CURVE = 19
_FEATURES_SHOWN = 15


@app.command()
def evaluate(
    data: DataOption,
    router: RouterOption = "auto",
    threshold: ThresholdOption = None,
    share: ShareOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Measure a router on labelled questions."""
    from skeleton_of_thought.routing.labels import read_questions
    from skeleton_of_thought.routing.registry import get_router
    from skeleton_of_thought.routing.training.metrics import evaluate as measure

    result = _figures(measure(get_router(router, threshold=threshold, share=share), read_questions(data)))
    if as_json:
        typer.echo(json.dumps({"router": router, "data": data.name, **result}))
        return
    table = Table("measure", "value", title=f"{router} on {data.name}")
    table.columns[1].justify = "right"
    for name, value in result.items():
        shown = f"{value * 1000:.2f} ms" if name.endswith("seconds") else f"{value:.3f}"
        table.add_row(
            name.removesuffix("_seconds").replace("_", " "), str(value) if isinstance(value, int) else shown
        )
    Console().print(table)


@app.command()
def calibrate(
    data: DataOption,
    router: RouterOption = "auto",
    cost_yes: Annotated[float, typer.Option(help="Price of a wrong sot.")] = 1.0,
    cost_no: Annotated[float, typer.Option(help="Price of a wrong direct.")] = 1.0,
    *,
    as_json: JsonOption = False,
) -> None:
    """Find the threshold at which mistakes cost least."""
    from skeleton_of_thought.routing.labels import read_questions
    from skeleton_of_thought.routing.registry import get_router
    from skeleton_of_thought.routing.training.calibration import calibrate as find
    from skeleton_of_thought.routing.training.metrics import calibration_error, probability

    questions = read_questions(data)
    chosen = get_router(router)
    stated = [probability(chosen.route(question.messages)) for question in questions]
    labels = [question.suitable for question in questions]
    found = find(stated, labels, cost_yes=cost_yes, cost_no=cost_no)
    ece = calibration_error(stated, labels)
    if as_json:
        curve = [_point(point) for point in found.curve]
        typer.echo(json.dumps({"router": router, "best": _point(found.best), "ece": ece, "curve": curve}))
        return
    table = Table(
        "threshold", "accuracy", "precision", "recall", "F1", "false-positive rate", "cost per question"
    )
    step = max(1, len(found.curve) // _ROWS_OF_THE_CURVE)
    for point in sorted({*found.curve[::step], found.best}, key=lambda point: point.threshold):
        best = point is found.best
        table.add_row(
            *(f"{value:.3f}" for value in _point(point).values()),
            style="bold green" if best else None,
        )
    console = Console()
    console.print(table)
    console.print(f"Expected calibration error: {ece:.3f} on {len(questions)} questions.")
    console.print(f"Best threshold at these prices: {found.best.threshold:.3f}")


@app.command()
def explain(
    question: Question,
    threshold: ThresholdOption = None,
    share: ShareOption = None,
    *,
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="Time this model, and say what a skeleton would save with it."),
    ] = None,
    base_url: BaseUrl = None,
    dtype: Dtype = "auto",
    as_json: JsonOption = False,
) -> None:
    """Show which features of a question decided, with the default router, and what a skeleton would save."""
    from skeleton_of_thought.messages import Message
    from skeleton_of_thought.routing.decision import Question as Asked
    from skeleton_of_thought.routing.gain import PlainLength
    from skeleton_of_thought.routing.lexical import LexicalRouter

    expected = None if model is None else _saving(question, model, base_url, dtype)
    words = round(PlainLength.shipped().words(Asked(question)))
    found = LexicalRouter(threshold=threshold, share=share).explain([Message("user", question)])
    features = {item.feature: round(item.log_odds, 3) for item in found.contributions}
    if as_json:
        summary = {
            "route": found.decision.route,
            "probability": found.probability,
            "threshold": found.threshold,
        }
        reason = {"reason": found.decision.reason, "bias": found.bias, "features": features}
        reason["plain_words"] = words
        if expected is not None:
            reason["plain_seconds"], reason["sot_seconds"] = round(expected.plain, 3), round(expected.sot, 3)
        typer.echo(json.dumps(summary | reason))
        return
    console = Console()
    console.print(
        f"[bold]{found.decision.route}[/bold]: probability that a skeleton pays {found.probability:.2f}, "
        f"threshold {found.threshold:.2f}; a plain answer has about {words} words",
    )
    if expected is not None:
        no_gain = "" if expected.pays else "; router=gain would answer plainly"
        console.print(f"[bold]{escape(str(model))}[/bold]: {expected}{no_gain}")
    table = Table("feature", "log-odds")
    table.columns[1].justify = "right"
    for feature, log_odds in list(features.items())[:_FEATURES_SHOWN]:
        table.add_row(feature, f"{log_odds:+.2f}", style="green" if log_odds > 0 else "red")
    if len(features) > _FEATURES_SHOWN:
        rest = list(features.values())[_FEATURES_SHOWN:]
        table.add_row(f"{len(rest)} more", f"{sum(rest):+.2f}")
    table.add_row("before any feature", f"{found.bias:+.2f}")
    console.print(table)


@app.command()
def train(
    *,
    base: Annotated[
        str, typer.Option(help="lexical, embedding, or an encoder to fine-tune (folder or Hub name).")
    ],
    out: Annotated[Path, typer.Option(help="File for weights, folder for a classifier.")],
    data: Annotated[
        Path | None, typer.Option(help="Labelled questions; default: those of this project.")
    ] = None,
    test: Annotated[Path | None, typer.Option(help="Labelled questions to measure the result on.")] = None,
    model: Annotated[str | None, typer.Option(help="Encoder under --base embedding.")] = None,
    epochs: Annotated[int, typer.Option(help="Passes over the questions.")] = 2,
    batch: Annotated[int, typer.Option(help="Questions per step.")] = 32,
    learning_rate: Annotated[float, typer.Option(help="Of AdamW.")] = 5e-5,
    weight_decay: Annotated[float, typer.Option(help="Of AdamW.")] = 0.01,
    warm_up: Annotated[
        float, typer.Option(help="Share of the steps in which the learning rate rises.")
    ] = 0.01,
    longest: Annotated[int, typer.Option(help="Tokens of a question that are read.")] = 512,
    alpha: Annotated[float, typer.Option(help="Tversky weight of a wrong sot.")] = 0.7,
    beta: Annotated[float, typer.Option(help="Tversky weight of a wrong direct.")] = 0.3,
    smoothing: Annotated[float, typer.Option(help="Label smoothing.")] = 0.2,
    cross_entropy: Annotated[float, typer.Option(help="Share of cross-entropy in the loss.")] = 0.0,
    checkpoint_every: Annotated[int, typer.Option(help="Steps between checkpoints.")] = 100,
    seed: Annotated[int, typer.Option(help="Of order, new layers and dropout.")] = 0,
    device: Annotated[str | None, typer.Option(help="Of torch; default: CUDA if there is one.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint in --out.")] = False,
) -> None:
    """Train a router: the weights of lexical or embedding, or a classifier by the paper's recipe."""
    from skeleton_of_thought.routing.labels import read_questions, shipped_questions
    from skeleton_of_thought.routing.training.classifier import FinetuningOptions, finetune
    from skeleton_of_thought.routing.training.metrics import evaluate as measure

    questions = read_questions(data or shipped_questions())
    console = Console()
    if base in {"lexical", "embedding"}:
        with console.status(f"Training {base} on {len(questions)} questions ..."):
            weights = _train_weights(base, questions, out, model)
        console.print_json(data=dict(weights.about))
        console.print(f"Wrote {len(weights.weights)} weights to {out}")
    else:
        options = FinetuningOptions(
            epochs=epochs,
            batch=batch,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            warm_up=warm_up,
            longest=longest,
            alpha=alpha,
            beta=beta,
            smoothing=smoothing,
            cross_entropy=cross_entropy,
            checkpoint_every=checkpoint_every,
            seed=seed,
        )
        with _progress(console) as report:
            finetune(base, questions, out, options=options, resume=resume, device=device, progress=report)
        console.print(f"Wrote the classifier to {out}. Use it: --router classifier:{out}")
    if test is not None:
        result = measure(_trained(base, out, model, device), read_questions(test))
        console.print(f"On {test.name}: {_line(result.scores)}, ECE {result.ece:.3f}")


def _saving(question: str, model: str, base_url: str | None, dtype: str) -> Saving:
    """What a skeleton would save with a model, which is timed for that."""
    from skeleton_of_thought.clients import open_client
    from skeleton_of_thought.errors import SkeletonOfThoughtError
    from skeleton_of_thought.probing import probe
    from skeleton_of_thought.routing.decision import Question as Asked

    console = Console(stderr=True)
    with console.status("Timing the model ...") if console.is_terminal else nullcontext():
        report = probe(open_client(model, base_url=base_url, dtype=dtype), only_times=True)
    expected = report.saving(Asked(question))
    if expected is None:
        raise SkeletonOfThoughtError(
            f"{model} could not be timed: {report.problem}. Ask sot doctor about it."
        )
    return expected


def _train_weights(base: str, questions: list[LabelledQuestion], out: Path, model: str | None) -> LinearModel:
    from skeleton_of_thought.routing.training.linear import train_embedding, train_lexical

    trained = train_lexical(questions) if base == "lexical" else train_embedding(questions, model=model)
    trained.model.save(out)
    return trained.model


@contextmanager
def _progress(console: Console) -> Iterator[Callable[[TrainingStep], None]]:
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]:.3f}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("", loss=float("nan"))
        yield lambda step: bar.update(task, total=step.of, completed=step.number, loss=step.loss)


def _trained(base: str, out: Path, model: str | None, device: str | None) -> Router:
    from skeleton_of_thought.routing import ClassifierRouter, EmbeddingRouter, LexicalRouter

    if base == "lexical":
        return LexicalRouter(weights=out)
    if base == "embedding":
        return EmbeddingRouter(model=model, weights=out)
    return ClassifierRouter(out, device=device)


def _figures(measured: Evaluation) -> dict[str, float]:
    scores = measured.scores
    return {
        "questions": scores.questions,
        "accuracy": scores.accuracy,
        "precision": scores.precision,
        "recall": scores.recall,
        "f1": scores.f1,
        "false_positive_rate": scores.false_positive_rate,
        "ece": measured.ece,
        "median_seconds": measured.median_seconds,
        "p95_seconds": measured.p95_seconds,
    }


def _point(point: Threshold) -> dict[str, float]:
    scores = point.scores
    return {
        "threshold": point.threshold,
        "accuracy": scores.accuracy,
        "precision": scores.precision,
        "recall": scores.recall,
        "f1": scores.f1,
        "false_positive_rate": scores.false_positive_rate,
        "cost": point.cost,
    }


def _line(scores: Scores) -> str:
    return (
        f"accuracy {scores.accuracy:.3f}, precision {scores.precision:.3f}, recall {scores.recall:.3f}, "
        f"F1 {scores.f1:.3f}, false-positive rate {scores.false_positive_rate:.3f}"
    )
