"""`sot eval quality --answers`: any two ways on any file of answers, before models or people."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Any

from rich.table import Table

from skeleton_of_thought.errors import ConfigurationError
from skeleton_of_thought.evaluation.answer_files import pairs_of, read_answers, two_ways
from skeleton_of_thought.evaluation.blind_pairs import export_pairs, read_verdicts
from skeleton_of_thought.evaluation.judge_prompts import GENERAL, OVERALL
from skeleton_of_thought.evaluation.measures import measure_points
from skeleton_of_thought.evaluation.quality import judge_results, reasons_of
from skeleton_of_thought.evaluation.results import ModelFolder
from skeleton_of_thought.evaluation.summary import ALL
from sot_command.terminal import Console

_PLAINLY: dict[str, Any] = {"markup": False, "highlight": False, "soft_wrap": True}
_SHOWN = 3
"""Reasons of a verdict that are printed; all of them are in the file."""


def judge_answers(
    answers: Path | None,
    *,
    out: Path,
    way: str | None,
    against: str | None,
    export: Path | None,
    verdicts: Sequence[Path],
    key: Path | None,
    judge: Callable[..., None] | None,
    as_json: bool,
) -> None:
    """Measure, judge, export or import; then print who won.

    Args:
        answers: The file; may be missing where only verdicts are read.
        out: Folder for what the judges say.
        way: Whose wins are counted.
        against: The way it is compared with.
        export: Folder for blind pairs.
        verdicts: People's verdicts.
        key: The key to their letters.
        judge: Judges rows into a file; None without judges.
        as_json: Print one JSON object, and nothing else.

    Raises:
        ConfigurationError: The file or the verdicts cannot be used.
    """
    console = Console(quiet=as_json)
    judged: list[dict[str, Any]] = []
    measures: dict[str, Any] = {}
    if answers is None:
        if export is not None or judge is not None:
            raise ConfigurationError(
                "--export and --judge need something to compare: pass --answers FILE, JSON lines with a question and "
                "two named answers."
            )
        folder = out
    else:
        read = read_answers(answers)
        way, against = two_ways(read, way=way, against=against)
        rows = pairs_of(read, way=way, against=against)
        store = ModelFolder(out, f"answers-{answers.stem}")
        folder = store.path
        words = [sum(len(row["ways"][name]["text"].split()) for row in rows) for name in (way, against)]
        console.print(
            f"{len(rows)} of {len(read)} questions have both answers: {way} against {against}, "
            f"{words[0] / max(1, words[1]):.2f} times the words",
            **_PLAINLY,
        )
        for name in (way, against):
            if any(row["ways"][name]["points"] for row in rows):
                found = measure_points(rows, way=name)
                measures[name] = found.to_dict()
                console.print(f"{name}: {found.line()}", **_PLAINLY)
        if export is not None:
            written = export_pairs(rows, export, way=way, against=against)
            console.print(
                f"{len(rows)} blind pairs: {export}. Keep the key from the readers: {written}. Their verdicts: "
                f"sot eval quality --verdicts {export / 'verdicts.csv'}",
                **_PLAINLY,
            )
        if judge is not None:
            judge(rows, store.quality, way=way, against=against)
        judged += _of_these(rows, store, way=way, against=against)
    for file in verdicts:
        judged += read_verdicts(file, key=key)
    if as_json:
        content = {
            "measures": measures,
            **asdict(judge_results(judged)),
            "reasons": [asdict(one) for one in reasons_of(judged)],
        }
        print(json.dumps(content))
        return
    if judged:
        print_verdicts(judged, console)
        file = folder / "reasons.md"
        _write_reasons(judged, file)
        console.print(f"All reasons: {file}", **_PLAINLY)


def _of_these(
    rows: list[dict[str, Any]], store: ModelFolder, *, way: str, against: str
) -> list[dict[str, Any]]:
    """What judges said of these texts, now or before; verdicts on other versions of the file stay out."""
    known = {(row["id"], *row["version"]) for row in rows}
    return [
        row
        for row in store.quality
        if (row["way"], row["against"]) == (way, against)
        and (row["id"], row["key"].rpartition("|")[2]) in known
    ]


def print_verdicts(rows: Sequence[dict[str, Any]], console: Console) -> None:
    """A table per reader: won, tied and lost by each criterion, together and by order; then how they read, and why."""
    found = judge_results(rows)
    everything = [one for one in found.judgements if one.category == ALL]
    for (way, judge, form), judgements in groupby(everything, key=lambda one: (one.way, one.judge, one.form)):
        table = Table(
            "criterion",
            "won",
            "tied",
            "lost",
            "net win\nrate",
            "95 %",
            "shown\nfirst",
            "shown\nsecond",
            "unread",
            box=None,
        )
        table.title, table.title_justify = f"{way}, by {judge}, {form}", "left"
        for one in sorted(judgements, key=lambda one: one.metric == GENERAL):
            rate = one.net_win_rate
            table.add_row(
                OVERALL if one.metric == GENERAL else one.metric,
                *(str(count) for count in (one.wins, one.ties, one.losses)),
                "–" if rate is None else f"{rate.value:+.2f}",
                "" if rate is None else f"{rate.low:+.2f} to {rate.high:+.2f}",
                *("/".join(map(str, counts)) for counts in (one.shown_first, one.shown_second)),
                str(one.unparsable + one.failed),
            )
        console.print(table)
    for how in found.reliability:
        consistent = (
            "read in one order" if how.consistent is None else f"{how.consistent:.0%} the same in both orders"
        )
        console.print(
            f"{how.judge}, {how.form}: {consistent}, {how.first:.0%} for the first answer, {how.second:.0%} for the "
            "second",
            **_PLAINLY,
        )
    for both in found.agreement:
        kappa = "" if both.kappa is None else f", kappa {both.kappa:.2f}"
        console.print(
            f"{both.first} and {both.second} agree on {both.same:.0%} of {both.pairs}{kappa}", **_PLAINLY
        )
    for (criterion, verdict), reasons in groupby(
        reasons_of(rows), key=lambda one: (one.criterion, one.verdict)
    ):
        for reason in [*reasons][:_SHOWN]:
            console.print(
                f"{criterion}, {_SAID[verdict]}: {reason.text} ({reason.id}, {reason.judge})", **_PLAINLY
            )


_SAID = {"win": "won", "tie": "tied", "lose": "lost"}


def _write_reasons(rows: Sequence[dict[str, Any]], file: Path) -> None:
    lines: list[str] = []
    for criterion, of_criterion in groupby(reasons_of(rows), key=lambda one: one.criterion):
        lines += [f"## {escape(criterion, quote=False)}", ""]
        for verdict, reasons in groupby(of_criterion, key=lambda one: one.verdict):
            lines += [f"### {_SAID[verdict]}", ""]
            lines += [escape(f"- {one.text} ({one.id}, {one.judge})", quote=False) for one in reasons]
            lines.append("")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(lines), encoding="utf-8", errors="replace")
