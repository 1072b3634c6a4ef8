"""What an answer cost: requests and tokens per stage and point, and what a plain answer would have cost."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from skeleton_of_thought.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from skeleton_of_thought.prices import Price
    from skeleton_of_thought.request import Stage


@dataclass(frozen=True, slots=True)
class BillLine:
    """The requests of a stage, or of one point.

    Attributes:
        calls: Requests sent, those that failed or were refused included.
        retries: Those of them that repeated another.
        hedges: Those of them that were sent beside another that was slow to begin.
        usage: The tokens they reported. A request that breaks off or is given up reports none, or only its
            prompt, and counts so much; where one that was answered reports none, they are not known: None.
    """

    calls: int = 0
    retries: int = 0
    hedges: int = 0
    usage: Usage = Usage()

    def __add__(self, other: BillLine) -> BillLine:
        return BillLine(
            self.calls + other.calls,
            self.retries + other.retries,
            self.hedges + other.hedges,
            self.usage + other.usage,
        )

    def again(self, usage: Usage, *, hedge: bool = False, attempt: int = 1) -> BillLine:
        """The line with one more request for the same text; the first may be a retry, if others shared its request."""
        retry = not hedge and (attempt > 1 or self.calls > self.hedges)
        return BillLine(self.calls + 1, self.retries + retry, self.hedges + hedge, self.usage + usage)

    def to_dict(self) -> dict[str, int | None]:
        """The line as plain numbers; tokens that are not known are None."""
        return {
            "calls": self.calls,
            "retries": self.retries,
            "hedges": self.hedges,
            "input_tokens": self.usage.input_tokens,
            "output_tokens": self.usage.output_tokens,
            "cache_read_tokens": self.usage.cache_read_tokens,
            "cache_write_tokens": self.usage.cache_write_tokens,
        }


@dataclass(frozen=True, slots=True)
class Bill:
    """Every request of a run.

    Attributes:
        route: Tokens the router used; it counts no calls.
        skeleton: The skeleton.
        points: The points, by their number.
        direct: The direct answer.
        plain: An estimate of what one plain answer to the same conversation would use: the prompt without
            what was added to it, and as much text as all points together. For a direct answer, its own usage.
    """

    route: BillLine = BillLine()
    skeleton: BillLine = BillLine()
    points: Mapping[int, BillLine] = field(default_factory=dict)
    direct: BillLine = BillLine()
    plain: Usage = Usage()

    @property
    def stages(self) -> dict[str, BillLine]:
        """One line per stage."""
        return {
            "route": self.route,
            "skeleton": self.skeleton,
            "points": total(self.points.values()),
            "direct": self.direct,
        }

    def to_dict(self, prices: Mapping[Stage, Price | None] | None = None) -> dict[str, Any]:
        """The bill in plain JSON types.

        Args:
            prices: What the model of a stage costs. With them the bill says `"cost"`: the money for this answer and
                for a plain one; None where a price, or what was used, is not known. The router is not in it.
        """
        whole = total(self.stages.values())
        bill: dict[str, Any] = {
            **whole.to_dict(),
            "stages": {name: line.to_dict() for name, line in self.stages.items()},
            "points": [{"index": index, **line.to_dict()} for index, line in sorted(self.points.items())],
            "plain": {
                "input_tokens": self.plain.input_tokens,
                "output_tokens": self.plain.output_tokens,
            },
        }
        if prices is not None:
            bill["cost"] = self._cost(prices)
        return bill

    def _cost(self, prices: Mapping[Stage, Price | None]) -> dict[str, Any]:
        lines: dict[Stage, Usage] = {
            "skeleton": self.skeleton.usage,
            "point": total(self.points.values()).usage,
            "direct": self.direct.usage,
        }
        known = [price for stage in lines if (price := prices[stage]) is not None]
        paid = [(prices[stage], usage) for stage, usage in lines.items() if usage != Usage()]
        direct = prices["direct"]
        money = [None if price is None else price.of(usage) for price, usage in paid]
        return {
            "total": _rounded(money),
            "plain": _rounded([None if direct is None else direct.of(self.plain)]),
            "currency": known[0].currency if known else None,
            "as_of": min(price.as_of for price in known) if known else None,
        }


def _rounded(money: Sequence[float | None]) -> float | None:
    """Amounts added up; None if one is not known."""
    known = [amount for amount in money if amount is not None]
    return round(sum(known), 9) if len(known) == len(money) else None


def total(lines: Iterable[BillLine]) -> BillLine:
    """Several lines added up."""
    return sum(lines, BillLine())
