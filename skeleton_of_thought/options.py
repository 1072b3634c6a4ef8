"""What a user can decide about a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from skeleton_of_thought.answer import AnswerFormat, check_format
from skeleton_of_thought.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from skeleton_of_thought.request import Request

OnPointError = Literal["raise", "skip", "mark"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a run behaves; checked when made, before any token is paid for.

    Attributes:
        max_points: Points of the skeleton beyond this number are dropped; None takes what the prompts ask for.
        retries: How often a failed request is sent again before the policy applies.
        on_point_error: What a point that failed for good does. `"mark"` leaves a note in its place, `"skip"`
            leaves it out, `"raise"` raises `PointError` once the other points are complete, and carries them.
        answer_format: `"numbered"`, `"headings"`, `"prose"`, or a function from a `PointResult` to text.
        points_per_call: How many points one request writes, one after the other: fewer prompts to pay for, and a
            longer wait.
        point_max_tokens: Longest point; None takes what the prompts recommend.
        point_timeout: Seconds a point may take from its first turn, retries included; a late point fails for
            good. None for no limit.
        hedge_after: Seconds after which a point that shows no text yet is asked for a second time; whichever
            answer begins first stays, the other is cancelled and paid for. None never does.
        leads: Says of the requests for all points whether the first goes alone and the others follow when it
            begins to answer: what they share is then in the provider's prompt cache, and the answer waits for
            one first token more. None never does.
        timeout: Seconds the whole answer may take. Points that are late fail, and the answer is returned with
            what is there; `DeadlineError` is raised if nothing is. None for no limit.
        max_stops: How many stop sequences one request may carry (4 at OpenAI); None for no limit.

    Raises:
        ConfigurationError: A value is out of range.
    """

    max_points: int | None = None
    retries: int = 1
    on_point_error: OnPointError = "mark"
    answer_format: AnswerFormat = "numbered"
    points_per_call: int = 1
    point_max_tokens: int | None = None
    point_timeout: float | None = None
    hedge_after: float | None = None
    leads: Callable[[Sequence[Request]], bool] | None = None
    timeout: float | None = None
    max_stops: int | None = 4

    def __post_init__(self) -> None:
        if self.max_points is not None:
            _at_least("max_points", self.max_points, 2)
        _at_least("retries", self.retries, 0)
        _at_least("points_per_call", self.points_per_call, 1)
        if self.point_max_tokens is not None:
            _at_least("point_max_tokens", self.point_max_tokens, 1)
        if self.max_stops is not None:
            _at_least("max_stops", self.max_stops, 0)
        _positive("point_timeout", self.point_timeout)
        _positive("hedge_after", self.hedge_after)
        _positive("timeout", self.timeout)
        if self.on_point_error not in get_args(OnPointError):
            allowed = ", ".join(map(repr, get_args(OnPointError)))
            raise ConfigurationError(f"on_point_error is {self.on_point_error!r}; use one of {allowed}.")
        check_format(self.answer_format)


def _at_least(name: str, value: object, smallest: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < smallest:
        raise ConfigurationError(f"{name} is {value!r}; it must be a whole number of at least {smallest}.")


def _positive(name: str, value: object) -> None:
    if value is not None and (not isinstance(value, (int, float)) or isinstance(value, bool) or value <= 0):
        raise ConfigurationError(f"{name} is {value!r}; it must be a number of seconds above 0, or None.")
