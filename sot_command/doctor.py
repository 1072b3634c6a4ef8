"""`sot doctor`: what a server does with many requests at once, and what Skeleton-of-Thought would gain."""

from __future__ import annotations

import http.client
import json
import urllib.request
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Final

import typer

from skeleton_of_thought.clients import open_client
from skeleton_of_thought.clients.keys import without_password
from skeleton_of_thought.engines import ENGINES, EngineProfile, engine_of
from skeleton_of_thought.probing import Report, probe
from sot_command.ask import AsJson, BaseUrl, Dtype, Model
from sot_command.terminal import Console, say

if TYPE_CHECKING:
    from skeleton_of_thought.probing.report import Works

_SECONDS_FOR_MODELS = 10
_NO_LIST: Final = (
    OSError,
    ValueError,
    AttributeError,
    LookupError,
    TypeError,
    RecursionError,
    http.client.HTTPException,
)
"""What is raised where an address, or what answers there, is something else."""
_WORDS: Final[dict[str, str]] = {
    "yes": "yes",
    "no": "no, and without a word",
    "refused": "no, refused with an error",
    "unknown": "could not be told",
    "not tried": "not tried",
}


def doctor(
    *, model: Model = "local", base_url: BaseUrl = None, dtype: Dtype = "auto", as_json: AsJson = False
) -> None:
    """Ask a model's server a dozen small things: is it reachable, are points written at once, what is to be gained."""
    console = Console(stderr=True)
    owner, names = listed(base_url) if base_url else (None, ())
    engine = engine_of(owner)
    with console.status("Asking ...") if console.is_terminal and not as_json else nullcontext():
        client = open_client(model, base_url=base_url, dtype=dtype)
        report = probe(client, engine=engine.name if engine else None)
    name = model.partition(":")[2]
    listed_there = None if not names else name in names
    line = chain_line(model, without_password(base_url), report, dtype=dtype)
    if as_json:
        print(json.dumps({**report.to_dict(), "listed": listed_there, "chain": line}))
    else:
        say("\n".join(describe(report, engine, listed_there=listed_there, line=line)))
    if not report.reachable:
        raise typer.Exit(1)


def listed(base_url: str) -> tuple[str | None, tuple[str, ...]]:
    """Who owns the models of a server, and their names; None and nothing from one that does not say."""
    try:
        address = f"{(without_password(base_url) or '').rstrip('/')}/models"
        if not address.startswith(("http://", "https://")):
            return None, ()
        with urllib.request.urlopen(address, timeout=_SECONDS_FOR_MODELS) as response:  # noqa: S310 - checked above
            models: Any = json.load(response).get("data") or []
            owner = models[0].get("owned_by") if models else None
            names = tuple(str(each.get("id")) for each in models)
            return (owner if isinstance(owner, str) else None), names
    except _NO_LIST:
        return None, ()


def describe(
    report: Report, engine: EngineProfile | None, *, listed_there: bool | None, line: str
) -> list[str]:
    """The report for a person: a screen at most."""
    if not report.reachable:
        return [
            f"{report.model} does not answer: {report.problem}",
            "Check that the server runs, --base-url (it ends in /v1) and the model's name.",
        ]
    known = f", {engine.name}" if engine else ""
    lines = [f"{report.model} answers{known}."]
    if listed_there is False:
        lines.append("Its list of models does not have that name; it answers all the same.")
    lines += ["", *_timings(report)]
    lines += ["", "What works", *_abilities(report)]
    gain = report.gain()
    if gain is not None:
        lengths = report.typical
        lines += [
            "",
            f"To expect from Skeleton-of-Thought: {gain:.1f} times as fast as a plain answer,",
            f"for {lengths.points} points of {lengths.point} tokens (the paper's formula).",
        ]
        if gain < 1:
            lines.append("A plain answer is faster there.")
    if report.problem:
        lines += ["", f"The probe ended early: {report.problem}"]
    return [*lines, "", "In Python:", f"  {line}"]


def _timings(report: Report) -> list[str]:
    lines = [
        f"{batch.requests} at once: first token after {batch.first_token:.2f} s, "
        f"{batch.tokens_per_second:.0f} tokens a second, {batch.seconds:.2f} s in all"
        for batch in report.batches
    ]
    if report.in_turn is None:
        return lines
    one, most = report.batches[0], report.batches[-1]
    if report.in_turn:
        lines.append(f"They are answered one after another: start it with {start_of(report.engine)}")
    else:
        lines.append(f"{most.requests} at once take {most.seconds / one.seconds:.1f} times as long as one.")
    return lines


def start_of(engine: str | None) -> str:
    """How to start a server so that it answers several requests at once; all ways if the engine is not known."""
    if engine in ENGINES:
        return ENGINES[engine].start.text
    ways = ("llama.cpp", "Ollama", "transformers serve")
    return "; or ".join(f"{ENGINES[name].start.text} ({name})" for name in ways)


def _abilities(report: Report) -> list[str]:
    told: list[tuple[str, Works]] = [
        ("a shared prefix is read once, by requests in a row", report.shared_prefix),
        ("a shared prefix is read once, by requests at the same time", report.shared_at_once),
        ("partial answers are continued", report.partial_answers),
        ("stop sequences end an answer", report.stops),
        ("answers follow a JSON schema", report.schemas),
        ("an answer nobody reads stops being written", report.cancellation),
    ]
    lines = [f"  {what}: {_WORDS[works]}" for what, works in told]
    if report.continue_fields:
        lines.append(f"  (with these fields alone: {json.dumps(dict(report.continue_fields))})")
    return lines


def chain_line(model: str, base_url: str | None, report: Report, *, dtype: str = "auto") -> str:
    """The line of Python that sets a chain up for what was found."""
    kind, _, name = model.partition(":")
    if kind == "openai":
        address = f', base_url="{base_url}", api_key="none"' if base_url else ""
        inside = f'ChatOpenAI(model="{name}"{address})'
    elif kind == "anthropic":
        inside = f'ChatAnthropic(model="{name}")'
    else:
        given = {"model": name or "local", "dtype": dtype}
        own = [f'{key}="{value}"' for key, value in given.items() if value not in {"local", "auto"}]
        inside = f"ChatTransformers({', '.join(own)})"
    options, rare = [], []
    if kind == "openai" and report.partial_answers == "yes":
        options.append('prompts="partial"')
        if report.continue_fields:
            rare.append(f"continue_fields={dict(report.continue_fields)}")
    gain = report.gain()
    if gain is not None and gain < 1.2:  # noqa: PLR2004 - within what a busy moment changes
        rare.append("load_aware=True")
    if rare:
        options.append(f"options=Options({', '.join(rare)})")
    return f"SkeletonOfThoughtChain({', '.join([f'model={inside}', *options])})"
