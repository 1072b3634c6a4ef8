"""What the judges' verdicts come to: net win rates, and how far the judges can be trusted."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean
from typing import TYPE_CHECKING, Any, Final

from skeleton_of_thought.evaluation.judge_prompts import GENERAL, METRICS
from skeleton_of_thought.evaluation.statistics import Interval, bootstrap, cohens_kappa, intercept
from skeleton_of_thought.evaluation.summary import ALL

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_POINTS: Final = {"win": 1, "tie": 0, "lose": -1}


@dataclass(frozen=True, slots=True)
class Judgement:
    """How one judge, in one form, by one metric, saw the pairs of one category.

    Attributes:
        way: Which answer was compared with the plain one, `"sot"` or `"routed"`.
        judge: The model.
        form: `"scores"` or `"ranking"`.
        metric: What was compared.
        category: The kind of question, or `"all"`.
        wins: Pairs won by the answer with the skeleton.
        ties: Pairs without a winner.
        losses: Pairs lost.
        unparsable: Pairs with an opinion that could not be read. They are no ties, and no part of a rate.
        failed: Pairs with an opinion that could not be had.
        net_win_rate: (wins - losses) / pairs judged.
        at_equal_length: The same, as a line through win or loss over the logarithm of the ratio of the lengths
            has it where both answers are equally long.
    """

    way: str
    judge: str
    form: str
    metric: str
    category: str
    wins: int
    ties: int
    losses: int
    unparsable: int
    failed: int
    net_win_rate: Interval | None
    at_equal_length: Interval | None


@dataclass(frozen=True, slots=True)
class Reliability:
    """How one judge, in one form, behaves, over all categories and metrics.

    Attributes:
        judge: The model.
        form: `"scores"` or `"ranking"`.
        opinions: Opinions that could be read.
        first: Share of them for the answer that came first.
        second: Share of them for the answer that came second.
        consistent: Share of the pairs with the same verdict in both orders.
        unparsable: Share of the opinions that could not be read, of all that were had.
        failed: Opinions that could not be had.
    """

    judge: str
    form: str
    opinions: int
    first: float
    second: float
    consistent: float | None
    unparsable: float
    failed: int

    @property
    def position_bias(self) -> float:
        """Share for the first answer minus share for the second: 0 for a fair judge, 1 if always the first."""
        return self.first - self.second


@dataclass(frozen=True, slots=True)
class Agreement:
    """How two judges, or two forms of one, agree on the verdicts of the general metric.

    Attributes:
        first: Judge and form.
        second: The other ones.
        pairs: Pairs both of them judged.
        same: Share with the same verdict.
        kappa: The same beyond chance; None if chance explains all.
    """

    first: str
    second: str
    pairs: int
    same: float
    kappa: float | None


@dataclass(frozen=True, slots=True)
class Quality:
    """All verdicts of a model.

    Attributes:
        judgements: Of each judge, form, metric and category, `"all"` first.
        reliability: Of each judge and form.
        agreement: Of each two judges and forms with pairs in common.
    """

    judgements: tuple[Judgement, ...]
    reliability: tuple[Reliability, ...]
    agreement: tuple[Agreement, ...]

    def line(self) -> str:
        """The result in one sentence per judge and form."""
        told = []
        for found in self.judgements:
            if found.category == ALL and found.metric == GENERAL:
                rate = (
                    "none could be judged"
                    if found.net_win_rate is None
                    else f"net win rate {found.net_win_rate.value:+.2f}"
                )
                told.append(
                    f"{found.judge}, {found.form}: {rate} ({found.wins} won, {found.ties} tied, {found.losses} lost, "
                    f"{found.unparsable} unparsable, {found.failed} failed)"
                )
        return "\n".join(told) or "Nothing was judged."


def judge_results(rows: Iterable[Mapping[str, Any]]) -> Quality:
    """Add up the rows of a judged run; of each row only verdicts and lengths stay in memory."""
    groups: defaultdict[tuple[str, str, str, str], list[tuple[str, str, float]]] = defaultdict(list)
    opinions: defaultdict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    general: defaultdict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    for row in rows:
        ratio = math.log(max(1, row["lengths"]["other"]) / max(1, row["lengths"]["plain"]))
        group = (row["way"], row["judge"], row["form"], row["metric"])
        groups[group].append((row.get("category") or "other", row["verdict"], ratio))
        first, second = row["orders"]  # with the skeleton's answer first, and second
        opinions[row["judge"], row["form"]].append((first["verdict"], second["verdict"]))
        if row["metric"] == GENERAL:
            general[row["judge"], row["form"]][f"{row['way']}|{row['id']}"] = row["verdict"]
    return Quality(
        tuple(found for group in sorted(groups, key=_order) for found in _judgements(group, groups[group])),
        tuple(_reliability(judge, form, said) for (judge, form), said in sorted(opinions.items())),
        tuple(
            found
            for one, other in combinations(sorted(general), 2)
            if (found := _agreement(one, other, general[one], general[other])) is not None
        ),
    )


def _order(group: tuple[str, str, str, str]) -> tuple[str, str, str, int]:
    """Scores before rankings, and metrics as they are listed: the same however the rows came."""
    way, judge, form, metric = group
    return way, judge, "" if form == "scores" else form, [*METRICS].index(metric)


def _judgements(
    group: tuple[str, str, str, str], pairs: Sequence[tuple[str, str, float]]
) -> Iterable[Judgement]:
    way, judge, form, metric = group
    by_category: dict[str, list[tuple[str, float]]] = {ALL: []}
    for category, verdict, ratio in pairs:
        by_category[ALL].append((verdict, ratio))
        by_category.setdefault(category, []).append((verdict, ratio))
    for category, found in sorted(by_category.items(), key=lambda named: (named[0] != ALL, named[0])):
        counts = Counter(verdict for verdict, _ in found)
        judged = [(ratio, float(_POINTS[verdict])) for verdict, ratio in found if verdict in _POINTS]
        yield Judgement(
            way,
            judge,
            form,
            metric,
            category,
            wins=counts["win"],
            ties=counts["tie"],
            losses=counts["lose"],
            unparsable=counts["unparsable"],
            failed=counts["failed"],
            net_win_rate=bootstrap(judged, lambda drawn: fmean(points for _, points in drawn)),
            at_equal_length=bootstrap(judged, lambda drawn: max(-1.0, min(1.0, intercept(drawn)))),
        )


def _reliability(judge: str, form: str, said: Sequence[tuple[str, str]]) -> Reliability:
    preferred = [
        place
        for first, second in said
        for verdict, win, lose in ((first, "first", "second"), (second, "second", "first"))
        if verdict in _POINTS
        for place in [{"win": win, "lose": lose, "tie": "neither"}[verdict]]
    ]
    both = [first == second for first, second in said if first in _POINTS and second in _POINTS]
    every = [verdict for pair in said for verdict in pair]
    had = [verdict for verdict in every if verdict != "failed"]
    return Reliability(
        judge,
        form,
        opinions=len(preferred),
        first=preferred.count("first") / max(1, len(preferred)),
        second=preferred.count("second") / max(1, len(preferred)),
        consistent=fmean(both) if both else None,
        unparsable=had.count("unparsable") / max(1, len(had)),
        failed=len(every) - len(had),
    )


def _agreement(
    one: tuple[str, str], other: tuple[str, str], first: Mapping[str, str], second: Mapping[str, str]
) -> Agreement | None:
    pairs = [
        (first[name], second[name])
        for name in first
        if first[name] in _POINTS and second.get(name) in _POINTS
    ]
    if not pairs:
        return None
    same = sum(a == b for a, b in pairs) / len(pairs)
    return Agreement(" ".join(one), " ".join(other), len(pairs), same, cohens_kappa(pairs))
