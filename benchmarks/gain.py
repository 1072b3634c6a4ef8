"""The route by its gain: the ninety questions, each answered plainly and by skeleton, in turn, in one run.

What each router would have chosen is decided before its question is answered, from nothing but the answers that router
had chosen until then; so every router's total is that of somebody who used it. The best choice in hindsight takes the
faster of the two answers each time. Lengths differ, so they stand beside the times.

    python benchmarks/gain.py --json gain.json                       the packaged model, a quarter of an hour
    python benchmarks/gain.py --model openai:NAME --base-url URL
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from skeleton_of_thought import Message, Options
from skeleton_of_thought.asking import Asker
from skeleton_of_thought.clients import open_client
from skeleton_of_thought.evaluation.questions import read_evaluation_questions
from skeleton_of_thought.routing import get_router
from skeleton_of_thought.speeds import Speeds

if TYPE_CHECKING:
    from skeleton_of_thought.answer import Answer
    from skeleton_of_thought.routing import Router

ROUTERS = ("lexical", "gain:lexical", "gain:always")
"""By suitability, by suitability and gain, by gain alone."""


def routers() -> dict[str, tuple[Router, Speeds]]:
    """Who is compared, and what each learns from the answers it chose."""
    return {name: (get_router(name, speeds=(own := Speeds())), own) for name in ROUTERS}


def measure(model: str, base_url: str | None, most: int | None) -> list[dict[str, Any]]:
    """Both answers to every question, and what the routers chose."""
    client = open_client(model, base_url=base_url)
    options = Options(load_aware=False)
    askers = {
        "direct": Asker(client, router="never", options=options),
        "sot": Asker(client, router="always", options=options),
    }
    questions = list(read_evaluation_questions("own"))
    random.Random(1).shuffle(questions)
    chosen_by = routers()
    for asker in askers.values():
        asker.ask("What are the benefits of a walk?")
    rows = []
    for place, question in enumerate(questions[:most]):
        messages = [Message("user", question.request)]
        chosen = {name: router.route(messages).route for name, (router, _) in chosen_by.items()}
        ways = ("direct", "sot") if place % 2 else ("sot", "direct")
        answers = {way: askers[way].ask(question.request) for way in ways}
        for name, (_, speeds) in chosen_by.items():
            speeds.observe(answers[chosen[name]])
        rows.append(
            {"question": question.request, "chosen": chosen, **{way: told(answers[way]) for way in ways}}
        )
        print(
            f"{place + 1}. {question.request[:60]!r}: " + ", ".join(f"{way} {rows[-1][way]}" for way in ways),
            flush=True,
        )
    return rows


def told(answer: Answer) -> dict[str, Any]:
    """What counts of one answer."""
    return {
        "route": answer.route,
        "seconds": round(answer.seconds.total, 3),
        "first": round(answer.seconds.first_token, 3),
        "words": len(answer.text.split()),
    }


def totals(rows: list[dict[str, Any]]) -> dict[str, tuple[float, int, int]]:
    """Seconds and words in all, and answers by skeleton, of every way to choose."""

    def total(choose: Any) -> tuple[float, int, int]:
        taken = [row[choose(row)] for row in rows]
        by_skeleton = sum(each["route"] == "sot" for each in taken)
        return sum(each["seconds"] for each in taken), sum(each["words"] for each in taken), by_skeleton

    found = {"always plain": total(lambda _: "direct"), "always by skeleton": total(lambda _: "sot")}
    for name in rows[0]["chosen"]:
        found[name] = total(lambda row, name=name: row["chosen"][name])
    found["in hindsight"] = total(lambda row: min(("direct", "sot"), key=lambda way: row[way]["seconds"]))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="local")
    parser.add_argument("--base-url")
    parser.add_argument("--limit", type=int, help="so many questions")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    rows = measure(given.model, given.base_url, given.limit)
    found = totals(rows)
    plain, words, _ = found["always plain"]
    best = plain - found["in hindsight"][0]
    table = Table("chosen by", "seconds", "times as fast", "of the best gain", "length", "by skeleton")
    for name, (seconds, written, by_skeleton) in found.items():
        share = (plain - seconds) / best if best else 0.0
        table.add_row(
            name,
            f"{seconds:.0f}",
            f"{plain / seconds:.2f}",
            f"{share:.2f}",
            f"{written / words:.2f}",
            f"{by_skeleton} of {len(rows)}",
        )
    Console(width=110).print(table)
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
