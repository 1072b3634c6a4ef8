"""What a run produced and what it cost, in the shape all faces share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

from skeleton_of_thought.bill import Bill
from skeleton_of_thought.errors import ConfigurationError
from skeleton_of_thought.usage import Usage
from skeleton_of_thought.views import view

if TYPE_CHECKING:
    from collections.abc import Mapping

    from skeleton_of_thought.prices import Price
    from skeleton_of_thought.request import Stage
    from skeleton_of_thought.routing.decision import Route


PointStatus = Literal["ok", "failed", "skipped"]


@dataclass(frozen=True, slots=True)
class PointResult:
    """One point of an answer.

    Attributes:
        index: Its place in the skeleton, from 1.
        title: Its line in the skeleton.
        text: What the model wrote for it, cleaned; whatever had been written when it failed, often empty.
        status: `"ok"`; `"failed"` if it is marked in the answer; `"skipped"` if it failed and was left out.
        error: Why it failed, None if it did not.
        start: Seconds from the start of the answer, router included, to its first request.
        seconds: From its first request to its end, retries included.
        usage: Tokens of all its requests.
        form: Its form as planned, empty if the plan has none.
        after: The points whose texts its writer was given.
        finish_reason: Why its text ended, in the provider's word (`"length"` if a limit cut it off); None if the
            provider did not say.
    """

    index: int
    title: str
    text: str
    status: PointStatus = "ok"
    error: str | None = None
    start: float = 0.0
    seconds: float = 0.0
    usage: Usage = Usage()
    form: str = ""
    after: tuple[int, ...] = ()
    finish_reason: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """This point in the shape of the contract."""
        return {
            "index": self.index,
            "title": self.title,
            "text": self.text,
            "status": self.status,
            "error": self.error,
            "start": round(self.start, 6),
            "seconds": round(self.seconds, 6),
            "usage": {
                "input_tokens": self.usage.input_tokens,
                "output_tokens": self.usage.output_tokens,
            },
            "form": self.form,
            "after": list(self.after),
            "finish_reason": self.finish_reason,
        }


@dataclass(frozen=True, slots=True)
class Seconds:
    """Wall-clock seconds of a run.

    Attributes:
        route: The router's decision.
        skeleton: The skeleton request, retries included; 0 for a direct answer.
        points: From the first point request to the end of the last.
        total: From the start of the run to its end, plus `route`.
        first_token: From the start of the run to the first text of the answer, plus `route`.
    """

    route: float = 0.0
    skeleton: float = 0.0
    points: float = 0.0
    total: float = 0.0
    first_token: float = 0.0


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, its parts and its bill; Jupyter shows it as text with its skeleton and a timeline.

    Attributes:
        text: The assembled answer.
        route: What was done: `"sot"` or one plain answer, `"direct"`.
        reason: Why that route.
        skeleton: The numbered titles; empty if none was used.
        points: The points in order; empty for a direct answer.
        seconds: Where the time went.
        usage: Tokens of every request of the run.
        bill: The same per stage and point, with calls and retries.
        opening: What the answer begins with before its points; empty without one, and part of `text`.
        plan_notes: What had to be mended in the outline, a sentence each.
        finish_reason: Why a direct answer ended, in the provider's word (`"length"` if a limit cut it off); None if the
            provider did not say. In an answer with points each has its own.
        prices: What the model of a stage costs, where the caller named prices; the bill of `to_dict` then has money.
    """

    text: str
    route: Route
    reason: str
    skeleton: str = ""
    points: tuple[PointResult, ...] = ()
    seconds: Seconds = Seconds()
    usage: Usage = Usage()
    bill: Bill = field(default_factory=Bill)
    opening: str = ""
    plan_notes: tuple[str, ...] = ()
    finish_reason: str | None = None
    prices: Mapping[Stage, Price | None] | None = field(default=None, compare=False, repr=False)

    def to_dict(self, prices: Mapping[Stage, Price | None] | None = None) -> dict[str, Any]:
        """The contract of `response_metadata["sot"]` and `sot ask --json`: plain JSON types only.

        Args:
            prices: What the model of a stage costs; with them the bill names the money. None for the answer's own.
        """
        return {
            "route": self.route,
            "reason": self.reason,
            "opening": self.opening,
            "skeleton": self.skeleton,
            "plan_notes": list(self.plan_notes),
            "finish_reason": self.finish_reason,
            "points": [point.to_dict() for point in self.points],
            "seconds": {
                name: round(getattr(self.seconds, name), 6)
                for name in ("route", "skeleton", "points", "total", "first_token")
            },
            "usage": {
                "input_tokens": self.usage.input_tokens,
                "output_tokens": self.usage.output_tokens,
                "total_tokens": self.usage.total_tokens,
            },
            "bill": self.bill.to_dict(self.prices if prices is None else prices),
        }

    def _repr_html_(self) -> str:
        return view(self)._repr_html_()

    def _repr_markdown_(self) -> str:
        return view(self)._repr_markdown_()


FormatName = Literal["sections", "numbered", "headings", "prose"]
AnswerFormat = FormatName | Callable[[PointResult], str]
"""A name, or a function that renders one finished point (such a point is shown when it is complete)."""

SEPARATOR = "\n\n"
"""Between two points of an answer."""


def check_format(answer_format: object) -> None:
    """Refuse anything that is not an `AnswerFormat`.

    Raises:
        ConfigurationError: Naming the value and the formats there are.
    """
    if answer_format not in get_args(FormatName) and not callable(answer_format):
        names = ", ".join(map(repr, get_args(FormatName)))
        raise ConfigurationError(
            f"answer_format is {answer_format!r}; use {names}, or a function from a PointResult to text."
        )


def head(answer_format: FormatName, index: int, title: str) -> str:
    """The heading an answer format puts before a point's text; empty in prose."""
    if answer_format == "prose":
        return ""
    if answer_format == "sections":
        return f"**{title}**\n\n"
    if answer_format == "headings":
        return f"## {title}\n\n"
    return f"{index}. {title}{' ' if title.endswith(('?', '!', ':', '：', '？', '！')) else ': '}"
