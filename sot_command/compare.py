"""`sot compare`: one question, both ways, one run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rich.table import Table

from skeleton_of_thought.asking import Asker, splitting_router
from skeleton_of_thought.clients import open_client, warm_up
from sot_command.ask import AsJson, BaseUrl, Dtype, MaxPoints, Model, PromptsFile, Question
from sot_command.terminal import Console, plain

if TYPE_CHECKING:
    from skeleton_of_thought.answer import Answer


def compare(
    question: Question,
    *,
    model: Model = "local",
    base_url: BaseUrl = None,
    dtype: Dtype = "auto",
    max_points: MaxPoints = None,
    prompts: PromptsFile = None,
    as_json: AsJson = False,
) -> None:
    """Answer a question plainly and by Skeleton-of-Thought, one after the other, and print the speed-up."""
    client = open_client(model, base_url=base_url, dtype=dtype)
    splitting = splitting_router(client, prompts)
    by_skeleton = Asker(client, router=splitting, prompts=prompts, max_points=max_points)
    plainly = Asker(client, router="never")
    warm_up(client)
    direct = plainly.ask(question)
    sot = by_skeleton.ask(question)
    if as_json:
        print(json.dumps(_as_dict(question, client.name, direct, sot)))
    else:
        _print(Console(), direct, sot)


def _as_dict(question: str, model: str, direct: Answer, sot: Answer) -> dict[str, Any]:
    return {
        "question": question,
        "model": model,
        "speedup": direct.seconds.total / sot.seconds.total,
        "length_ratio": len(sot.text) / max(1, len(direct.text)),
        "direct": {"answer": direct.text, **direct.to_dict()},
        "sot": {"answer": sot.text, **sot.to_dict()},
    }


def _print(console: Console, direct: Answer, sot: Answer) -> None:
    for title, result in (("Plain answer", direct), ("Skeleton-of-Thought", sot)):
        console.rule(title)
        console.print(plain(result.text), markup=False, highlight=False)
    table = Table("", "plain", "skeleton-of-thought", box=None, pad_edge=False)
    table.add_row("seconds", f"{direct.seconds.total:.2f}", f"{sot.seconds.total:.2f}")
    table.add_row(
        "seconds to first text", f"{direct.seconds.first_token:.2f}", f"{sot.seconds.first_token:.2f}"
    )
    table.add_row("characters", str(len(direct.text)), str(len(sot.text)))
    table.add_row("tokens in", *(_count(each.usage.input_tokens) for each in (direct, sot)))
    table.add_row("tokens out", *(_count(each.usage.output_tokens) for each in (direct, sot)))
    console.rule()
    console.print(table)
    if sot.route == "direct":
        said = f"No skeleton ({sot.reason}): both are plain answers."
    else:
        speedup = direct.seconds.total / sot.seconds.total
        length = len(sot.text) / max(1, len(direct.text))
        said = f"Speed-up {speedup:.2f}x at {length:.2f} times the length (route: {sot.route}, {sot.reason})."
    console.print(said, markup=False, highlight=False)


def _count(tokens: int | None) -> str:
    return "unknown" if tokens is None else str(tokens)
