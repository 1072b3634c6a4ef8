"""Pairs of answers before a judge, each in both orders."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from skeleton_of_thought.clients import Client, open_client
from skeleton_of_thought.drivers import stream
from skeleton_of_thought.drivers.turns import Turns
from skeleton_of_thought.evaluation.judge_prompts import METRICS, Form, applies, judge_messages
from skeleton_of_thought.evaluation.verdicts import (
    Verdict,
    combine,
    opinions,
    pair_name,
    preference,
    verdict_of,
)
from skeleton_of_thought.limits import Limiter
from skeleton_of_thought.method import SkeletonOfThought
from skeleton_of_thought.provider_errors import describe
from skeleton_of_thought.routing.decision import Decision

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from skeleton_of_thought.evaluation.verdicts import Opinion
    from skeleton_of_thought.evaluation.work import Row, Task
    from skeleton_of_thought.messages import Message

_KEPT: Final = ("id", "key", "category", "way", "against", "judge", "form", "metric")
_JUDGED = Decision("direct", 1.0, "a judge answers plainly")
_LETTER = re.compile(r"\b[Aa]nswer\s+\W?([AB])\b")
_LONGEST_REPLY: Final = 2000
"""Characters of a judge's reply that are kept, from its end, where the verdict stands."""


def pairs_to_judge(
    rows: Iterable[Mapping[str, Any]],
    *,
    judges: Sequence[str],
    way: str = "sot",
    against: str = "direct",
    forms: Sequence[Form] = ("scores", "ranking"),
    metrics: Sequence[str] = tuple(METRICS),
) -> Iterator[Task]:
    """What there is to judge in the results of a speed run: questions, judges, forms and metrics that apply.

    Questions with faults are left out; they are answered again by the next `sot eval speed`.

    Args:
        rows: The results, or an answers file as `read_answers` gives it.
        judges: What `open_client` takes, for each judge.
        way: Whose wins are counted.
        against: The way it is compared with.
        forms: What the judges are asked for.
        metrics: What rankings go by.
    """
    pair = pair_name(way, against)
    for row in rows:
        if row["faults"]:
            continue
        category = row.get("category") or ""
        for judge in judges:
            for form in forms:
                for metric in metrics:
                    if applies(form, metric, category):
                        yield {
                            "id": row["id"],
                            "key": "|".join((pair, judge, form, metric, row["id"], *row.get("version", ()))),
                            "category": category,
                            "request": row["request"],
                            "plain": row["ways"][against]["text"],
                            "other": row["ways"][way]["text"],
                            "way": way,
                            "against": against,
                            "judge": judge,
                            "form": form,
                            "metric": metric,
                        }


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeWork:
    """How pairs are judged.

    Attributes:
        judges: What `open_client` takes, for each judge.
        base_url: Address of the API server of those judges that are on one.
        max_concurrency: Most requests at once; None for no limit.
        requests_per_minute: Most requests in a minute.
        tokens_per_minute: Most tokens in a minute.
    """

    judges: tuple[str, ...]
    base_url: str | None = None
    max_concurrency: int | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None

    def open(self) -> Callable[[Task], Row]:
        """Load the judges."""
        clients = {name: open_client(name, base_url=self._address(name)) for name in self.judges}
        limiter = Limiter(
            max_concurrency=self.max_concurrency,
            requests_per_minute=self.requests_per_minute,
            tokens_per_minute=self.tokens_per_minute,
        )

        def judge(task: Task) -> Row:
            row = {name: task[name] for name in _KEPT}
            row |= {
                "lengths": {"plain": len(task["plain"]), "other": len(task["other"])},
                "orders": [],
                "faults": {},
            }
            for skeleton_first in (True, False):
                said, fault = _opinion(
                    clients[task["judge"]], task, Turns(limiter), skeleton_first=skeleton_first
                )
                row["orders"].append(said)
                if fault is not None:
                    row["faults"]["skeleton first" if skeleton_first else "plain first"] = fault
            row["verdict"] = combine([order["verdict"] for order in row["orders"]])
            return row

        return judge

    def _address(self, name: str) -> str | None:
        return self.base_url if name.partition(":")[0] in {"openai", "anthropic"} else None


def _opinion(client: Client, task: Task, turns: Turns, *, skeleton_first: bool) -> tuple[Row, str | None]:
    """One judgement: the verdict, the end of the reply, and the tokens; or a fault."""
    first, second = ("other", "plain") if skeleton_first else ("plain", "other")
    messages = judge_messages(
        task["request"],
        task[first],
        task[second],
        form=task["form"],
        metric=task["metric"],
        category=task["category"],
    )
    verdict: Verdict
    try:
        reply, tokens = _ask(client, messages, turns)
    except Exception as error:  # noqa: BLE001 - one opinion's fault is not the run's
        return {"skeleton_first": skeleton_first, "verdict": "failed", "reply": "", "tokens": 0}, describe(
            error
        )
    verdict = verdict_of(preference(reply, task["form"]), skeleton_first=skeleton_first)
    said: Row = {
        "skeleton_first": skeleton_first,
        "verdict": verdict,
        "reply": reply[-_LONGEST_REPLY:],
        "tokens": tokens,
    }
    if task["form"] == "criteria":
        names = (task["way"], task["against"]) if skeleton_first else (task["against"], task["way"])
        said["criteria"] = told_by_criterion(opinions(reply), names, skeleton_first=skeleton_first)
    return said, None


def told_by_criterion(
    found: Mapping[str, Opinion], names: tuple[str, str], *, skeleton_first: bool
) -> dict[str, dict[str, str]]:
    """The verdict and the reason by each criterion, with the ways' names in place of the letters.

    Args:
        found: What was read.
        names: The ways that were shown as A and as B.
        skeleton_first: Whether the way that is compared was A.
    """
    return {
        criterion: {
            "verdict": verdict_of(opinion.preferred, skeleton_first=skeleton_first),
            "reason": _LETTER.sub(lambda found: names["AB".index(found[1])], opinion.reason),
        }
        for criterion, opinion in found.items()
    }


def _ask(client: Client, messages: tuple[Message, ...], turns: Turns) -> tuple[str, int | None]:
    """A plain answer, with the retries of a run, and its tokens where they are known."""
    run = SkeletonOfThought(messages, decision=_JUDGED)
    for _ in stream(run, client.stream, turns=turns):
        pass
    return run.answer.text, run.answer.usage.total_tokens
