"""What the results of a speed run come to: per category and together."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from statistics import fmean, median
from typing import TYPE_CHECKING, Any, Final

from skeleton_of_thought.evaluation.measures import point_measures
from skeleton_of_thought.evaluation.statistics import Interval, balance, bootstrap, speed_up
from skeleton_of_thought.routing.training.metrics import Scores

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ALL: Final = "all"
"""The name under which all categories are taken together."""

_STAGES = ("route", "skeleton", "points", "other")


@dataclass(frozen=True, slots=True)
class Category:
    """The figures of one category, or of all.

    A mean is None where nothing was measured. Speed-ups compare the ways of one question in one run.

    Attributes:
        name: The category.
        questions: Questions answered in every way.
        speed_up: Plain seconds to those with a skeleton, geometric mean.
        routed_speed_up: The same with the router (SoT-R).
        labelled_speed_up: The same if the labels had decided (the paper's human router): the measured seconds
            of the way the label names.
        time_saved: All plain seconds over all seconds with a skeleton.
        first_token_speed_up: The same for the seconds to the first text.
        length_ratio: Characters with a skeleton to plain ones, mean.
        points: Points of a skeleton, mean.
        balance: Mean length of a point over the longest one's, mean.
        input_ratio: Prompt tokens with a skeleton to plain ones, of all questions.
        output_ratio: The same for the answers.
        cost: Money per question and way, mean of those where every way's is known; None without any.
        memory: Peak memory per way in bytes, the largest.
        stages: Seconds of each stage with a skeleton, mean.
        seconds: Seconds per way, mean.
        first_token: Seconds to the first text per way, mean.
        parsed: Share of the skeletons that gave at least two points.
        stays: Share of the points that stay in their point.
        overlap: Word 3-grams two points of an answer share (Jaccard index), mean.
        truncated: Plain answers the model's length limit cut off.
    """

    name: str
    questions: int
    speed_up: Interval | None
    routed_speed_up: Interval | None
    labelled_speed_up: Interval | None
    time_saved: float | None
    first_token_speed_up: Interval | None
    length_ratio: float | None
    points: float | None
    balance: float | None
    input_ratio: float | None
    output_ratio: float | None
    cost: Mapping[str, float | None]
    memory: Mapping[str, int | None]
    stages: Mapping[str, float]
    seconds: Mapping[str, float]
    first_token: Mapping[str, float]
    parsed: float | None
    stays: float | None
    overlap: float | None
    truncated: int


@dataclass(frozen=True, slots=True)
class Summary:
    """A speed run.

    Attributes:
        categories: By name; `"all"` is all of them together and comes first.
        faults: How often each way failed.
        fallbacks: Why a skeleton was not used, and how often.
        router: The router against the labels; None without labels.
        router_seconds: Median seconds of a decision; None if none was made.
    """

    categories: Mapping[str, Category]
    faults: Mapping[str, int]
    fallbacks: Mapping[str, int]
    router: Scores | None
    router_seconds: float | None

    def line(self) -> str:
        """The result in one sentence."""
        found = self.categories[ALL]
        if found.speed_up is None:
            return f"No question was answered in every way ({sum(self.faults.values())} faults)."
        told = (
            f"Speed-up {found.speed_up.value:.2f}x (95 % interval {found.speed_up.low:.2f} to "
            f"{found.speed_up.high:.2f}) at {found.length_ratio:.2f} times the length, {found.questions} questions"
        )
        if found.routed_speed_up is not None:
            told += f"; with the router {found.routed_speed_up.value:.2f}x"
        faults = sum(self.faults.values())
        return f"{told}; {faults} faults." if faults else f"{told}."


def summarise(rows: Iterable[Mapping[str, Any]]) -> Summary:
    """Add up a run; of each row only its numbers stay in memory."""
    kept: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    faults: Counter[str] = Counter()
    fallbacks: Counter[str] = Counter()
    said: list[bool] = []
    labels: list[bool] = []
    router_seconds: list[float] = []
    for row in rows:
        faults.update(row["faults"].keys())
        ways = row["ways"]
        if "sot" in ways and ways["sot"]["route"] == "direct":
            fallbacks[ways["sot"]["reason"]] += 1
        if "routed" in ways:
            router_seconds.append(ways["routed"]["decision"]["seconds"])
            if row.get("label") is not None:
                said.append(ways["routed"]["decision"]["route"] == "sot")
                labels.append(bool(row["label"]))
        if {"direct", "sot", "routed"} <= ways.keys():
            kept[row.get("category") or "other"].append(_numbers(row))
    everything = [numbers for group in kept.values() for numbers in group]
    categories = {ALL: _category(ALL, everything)} | {
        name: _category(name, kept[name]) for name in sorted(kept)
    }
    return Summary(
        categories,
        dict(faults),
        dict(fallbacks),
        Scores.of(said, labels) if labels else None,
        median(router_seconds) if router_seconds else None,
    )


def _numbers(row: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers of a question."""
    ways = row["ways"]
    sot = ways["sot"]
    seconds = sot["seconds"]
    points = sot["points"]
    measured = point_measures(points) if points else None
    label = row.get("label")
    return {
        "label": None if label is None else bool(label),
        "seconds": {way: told["seconds"]["total"] for way, told in ways.items()},
        "first_token": {way: told["seconds"]["first_token"] for way, told in ways.items()},
        "length": {way: len(told["text"]) for way, told in ways.items()},
        "input": {way: told["usage"]["input_tokens"] for way, told in ways.items()},
        "output": {way: told["usage"]["output_tokens"] for way, told in ways.items()},
        "cost": {way: told["bill"].get("cost", {}).get("total") for way, told in ways.items()},
        "memory": {way: told.get("peak_memory") for way, told in ways.items()},
        "stages": {
            "route": ways["routed"]["seconds"]["route"],
            "skeleton": seconds["skeleton"],
            # Points that start early are written while the skeleton is; only what comes after it is shown as theirs.
            "points": min(seconds["points"], max(0.0, seconds["total"] - seconds["skeleton"])),
            "other": max(0.0, seconds["total"] - seconds["skeleton"] - seconds["points"]),
        },
        "parsed": sot["route"] == "sot",
        "points": len(points),
        "balance": balance([len(point["text"]) for point in points]),
        "stays": [] if measured is None else measured.stays,
        "overlap": None if measured is None else measured.overlap,
        "truncated": ways["direct"]["truncated"],
    }


def _category(name: str, group: list[dict[str, Any]]) -> Category:
    def pairs(figure: str, way: str) -> list[tuple[float, float]]:
        found = [(row[figure]["direct"], row[figure][way]) for row in group]
        return [(plain, other) for plain, other in found if plain > 0 and other > 0]

    labelled = [
        (row["seconds"]["direct"], row["seconds"]["sot" if row["label"] else "direct"])
        for row in group
        if row["label"] is not None
    ]
    with_points = [row for row in group if row["parsed"]]
    ways = ("direct", "sot", "routed")
    known_costs = [row["cost"] for row in group if None not in row["cost"].values()]
    return Category(
        name=name,
        questions=len(group),
        speed_up=bootstrap(pairs("seconds", "sot"), speed_up),
        routed_speed_up=bootstrap(pairs("seconds", "routed"), speed_up),
        labelled_speed_up=bootstrap(labelled, speed_up),
        time_saved=_ratio(group, "seconds", "direct", "sot"),
        first_token_speed_up=bootstrap(pairs("first_token", "sot"), speed_up),
        length_ratio=_mean([row["length"]["sot"] / max(1, row["length"]["direct"]) for row in group]),
        points=_mean([row["points"] for row in with_points]),
        balance=_mean([row["balance"] for row in with_points if row["balance"] is not None]),
        input_ratio=_ratio(group, "input", "sot", "direct"),
        output_ratio=_ratio(group, "output", "sot", "direct"),
        cost={way: _mean([costs[way] for costs in known_costs]) for way in ways},
        memory={way: max((row["memory"][way] or 0 for row in group), default=0) or None for way in ways},
        stages={stage: _mean([row["stages"][stage] for row in with_points]) or 0.0 for stage in _STAGES},
        seconds={way: _mean([row["seconds"][way] for row in group]) or 0.0 for way in ways},
        first_token={way: _mean([row["first_token"][way] for row in group]) or 0.0 for way in ways},
        parsed=_mean([float(row["parsed"]) for row in group]),
        stays=_mean([float(stays) for row in group for stays in row["stays"]]),
        overlap=_mean([row["overlap"] for row in group if row["overlap"] is not None]),
        truncated=sum(row["truncated"] for row in group),
    )


def _mean(values: list[float]) -> float | None:
    return fmean(values) if values else None


def _ratio(group: list[dict[str, Any]], figure: str, above: str, below: str) -> float | None:
    """How many times as much one way took, of the questions where both are known."""
    pairs = [(row[figure][above], row[figure][below]) for row in group]
    known = [pair for pair in pairs if None not in pair]
    whole = sum(other for _, other in known)
    return sum(one for one, _ in known) / whole if whole else None
