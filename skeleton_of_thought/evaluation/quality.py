"""What the judges' verdicts come to: net win rates, and how far the judges can be trusted."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean
from typing import TYPE_CHECKING, Any, Final

from skeleton_of_thought.evaluation.judge_prompts import CRITERIA, GENERAL, METRICS, OVERALL
from skeleton_of_thought.evaluation.statistics import Interval, bootstrap, cohens_kappa, intercept
from skeleton_of_thought.evaluation.summary import ALL
from skeleton_of_thought.evaluation.verdicts import combine, pair_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

_POINTS: Final = {"win": 1, "tie": 0, "lose": -1}


@dataclass(frozen=True, slots=True)
class Judgement:
    """How one judge, in one form, by one metric, saw the pairs of one category.

    Attributes:
        way: What was compared, as `pair_name` has it: `"sot"`, `"routed"`, or two names out of a file.
        judge: The model, or a person.
        form: `"scores"`, `"ranking"` or `"criteria"`.
        metric: What was compared by.
        category: The kind of question, or `"all"`.
        wins: Pairs won by the answer with the skeleton.
        ties: Pairs without a winner.
        losses: Pairs lost.
        unparsable: Pairs with an opinion that could not be read. They are no ties, and no part of a rate.
        failed: Pairs with an opinion that could not be had.
        net_win_rate: (wins - losses) / pairs judged.
        at_equal_length: The same, as a line through win or loss over the logarithm of the ratio of the lengths
            has it where both answers are equally long.
        shown_first: Single opinions, won, tied and lost, with the way that is compared shown first.
        shown_second: The same with it shown second.
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
    shown_first: tuple[int, int, int] = (0, 0, 0)
    shown_second: tuple[int, int, int] = (0, 0, 0)


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
    """Add up the rows of a judged run; of each row only verdicts and lengths stay in memory.

    A row of the form "criteria" counts for each criterion, and "overall" is what other forms call the general metric.
    A person reads a pair in one order only, a model in both.
    """
    groups: defaultdict[tuple[str, str, str, str], list[_Pair]] = defaultdict(list)
    opinions: defaultdict[tuple[str, str], list[tuple[str | None, str | None]]] = defaultdict(list)
    general: defaultdict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    for row in by_criterion(rows):
        ratio = math.log(max(1, row["lengths"]["other"]) / max(1, row["lengths"]["plain"]))
        way = pair_name(row["way"], row.get("against", "direct"))
        group = (way, row["judge"], row["form"], row["metric"])
        first, second = _in_order(row["orders"])
        groups[group].append(_Pair(row.get("category") or "other", row["verdict"], ratio, first, second))
        opinions[row["judge"], row["form"]].append((first, second))
        if row["metric"] == GENERAL:
            general[row["judge"], row["form"]][f"{way}|{row['id']}"] = row["verdict"]
    return Quality(
        tuple(found for group in sorted(groups, key=_order) for found in _judgements(group, groups[group])),
        tuple(_reliability(judge, form, said) for (judge, form), said in sorted(opinions.items())),
        tuple(
            found
            for one, other in combinations(sorted(general), 2)
            if (found := _agreement(one, other, general[one], general[other])) is not None
        ),
    )


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a reader found what they found by one criterion.

    Attributes:
        judge: The reader.
        criterion: What was compared by, `"overall"` included.
        verdict: `"win"`, `"tie"` or `"lose"`, from the point of view of the way that is compared.
        id: The question.
        text: The reason, with the ways' names in place of the letters.
    """

    judge: str
    criterion: str
    verdict: str
    id: str
    text: str


def reasons_of(rows: Iterable[Mapping[str, Any]]) -> list[Reason]:
    """The reasons in judged rows of the form "criteria", by criterion; lost before tied before won."""
    found = [
        Reason(
            row["judge"],
            OVERALL if row["metric"] == GENERAL else row["metric"],
            order["verdict"],
            row["id"],
            order["reason"],
        )
        for row in by_criterion(row for row in rows if row["form"] == "criteria")
        for order in row["orders"]
        if order.get("reason") and order["verdict"] in _POINTS
    ]
    places = [*CRITERIA]
    return sorted(found, key=lambda one: (places.index(one.criterion), _POINTS[one.verdict]))


def _order(group: tuple[str, str, str, str]) -> tuple[str, str, str, int]:
    """Scores before rankings, and metrics as they are listed: the same however the rows came."""
    way, judge, form, metric = group
    names = [*CRITERIA, GENERAL] if form == "criteria" else [*METRICS]
    return way, judge, "" if form == "scores" else form, names.index(metric)


@dataclass(frozen=True, slots=True)
class _Pair:
    """A pair as one judge saw it by one metric; the single opinions are None where there is none."""

    category: str
    verdict: str
    ratio: float
    first: str | None
    second: str | None


def by_criterion(rows: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Each row of the form "criteria" as one row per criterion, with the verdict of both orders; others as they are."""
    for row in rows:
        if row["form"] != "criteria":
            yield row
            continue
        for criterion in CRITERIA:
            orders = [
                {**order, **order.get("criteria", {}).get(criterion, {"reason": ""})}
                for order in row["orders"]
            ]
            yield {
                **row,
                "metric": GENERAL if criterion == OVERALL else criterion,
                "orders": orders,
                "verdict": combine([order["verdict"] for order in orders]),
            }


def _in_order(orders: Sequence[Mapping[str, Any]]) -> tuple[str | None, str | None]:
    """The verdicts with the way that is compared shown first, and second; None for an order nobody read."""
    found = {
        order.get("skeleton_first", place == 0): str(order["verdict"]) for place, order in enumerate(orders)
    }
    return found.get(True), found.get(False)


def _counts(verdicts: Iterable[str | None]) -> tuple[int, int, int]:
    counts = Counter(verdicts)
    return counts["win"], counts["tie"], counts["lose"]


def _judgements(group: tuple[str, str, str, str], pairs: Sequence[_Pair]) -> Iterable[Judgement]:
    way, judge, form, metric = group
    by_category: dict[str, list[_Pair]] = {ALL: [*pairs]}
    for pair in pairs:
        by_category.setdefault(pair.category, []).append(pair)
    for category, found in sorted(by_category.items(), key=lambda named: (named[0] != ALL, named[0])):
        counts = Counter(pair.verdict for pair in found)
        judged = [(pair.ratio, float(_POINTS[pair.verdict])) for pair in found if pair.verdict in _POINTS]
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
            shown_first=_counts(pair.first for pair in found),
            shown_second=_counts(pair.second for pair in found),
        )


def _reliability(judge: str, form: str, said: Sequence[tuple[str | None, str | None]]) -> Reliability:
    preferred = [
        place
        for first, second in said
        for verdict, win, lose in ((first, "first", "second"), (second, "second", "first"))
        if verdict in _POINTS
        for place in [{"win": win, "lose": lose, "tie": "neither"}[verdict]]
    ]
    both = [first == second for first, second in said if first in _POINTS and second in _POINTS]
    every = [verdict for pair in said for verdict in pair if verdict is not None]
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
