"""The options that every face takes as parameters: their names, defaults and words, once.

`EverydayOptions` explains and holds them; `EverydayParameters` says the same to type checkers and editors, for a
function that takes `**everyday: Unpack[EverydayParameters[...]]`; `takes` makes `help` show them.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Generic, TypedDict, TypeVar

from skeleton_of_thought.errors import ConfigurationError
from skeleton_of_thought.options import Options, RunSettings
from skeleton_of_thought.prices import Prices
from skeleton_of_thought.prompts import AnyPrompts, OpeningPrompts
from skeleton_of_thought.routing.fallback import FALLBACK, FallbackRouter
from skeleton_of_thought.routing.registry import get_router, weighs_gain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from skeleton_of_thought.answer import AnswerFormat
    from skeleton_of_thought.limits import Limiter
    from skeleton_of_thought.options import OnPointError
    from skeleton_of_thought.prices import Price
    from skeleton_of_thought.request import Request, Stage
    from skeleton_of_thought.routing.decision import Router
    from skeleton_of_thought.speeds import Speeds

Model = TypeVar("Model")
"""What a face calls a model: a LlamaIndex LLM, a LangChain runnable, a client or its name."""

Function = TypeVar("Function", bound="Callable[..., Any]")

SELF = "self"
"""The router that is none: the model decides, in the request that opens and plans its answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EverydayOptions(Generic[Model]):
    """The options that every face takes as parameters, with the same names, defaults and meanings.

    Attributes:
        router: Decides per question whether a skeleton pays: `"lexical"`, another name of `get_router`, or a
            `Router`. `"self"` lets the model decide in the request that also opens and plans the answer, `"always"`
            gives every question a skeleton, `"never"` none. None chooses by the model: `"self"` for a large hosted
            one, else `"lexical"`. `"gain"` asks `"lexical"` too, and answers plainly where a skeleton would not be
            faster, by the length a plain answer is expected to have and the speeds of the model's answers so far. A
            router that fails is replaced by `"lexical"` for that question.
        prompts: A family of `PROMPTS` (`"opening"`, `"instruction"`, `"partial"`, ...), a JSON file in the format of
            the paper's code, `Prompts` or `OpeningPrompts`. None chooses by the model.
        skeleton_model: Writes the skeleton, or the opening and the plan, instead of the model.
        point_model: Writes the points instead of the model, which still gives the direct answers.
        max_points: Points beyond this number are dropped; None takes what the prompts ask for.
        point_max_tokens: Longest point, in tokens; None takes what the prompts recommend.
        answer_format: `"sections"`, `"numbered"`, `"headings"`, `"prose"`, or a function from a `PointResult` to
            text; None takes what suits the prompts: `"sections"` after an opening, else `"numbered"`.
        on_point_error: What becomes of a point that failed for good. `"mark"` leaves a note in its place, `"skip"`
            leaves it out, `"raise"` raises `PointError`, which carries the other points.
        retries: How often a failed request is sent again.
        timeout: Seconds the answer may take; it is returned with the points that are there, the others failed.
            `DeadlineError` if there is none. None for no limit.
        point_timeout: Seconds a point may take, retries included; a late point has failed. None for no limit.
        hedge_after: Seconds after which a point that shows nothing yet is asked for a second time; whichever begins
            to answer first stays, the other is cancelled and paid for. Where nothing is streamed, a point shows
            nothing before its end. None never does.
        race: Start router, skeleton and direct answer together and cancel the loser, for a router that takes time
            because it asks a model. The loser's tokens are in the bill.
        limiter: What every request has to pass, a `skeleton_of_thought.limits.Limiter`; one object may serve
            everything in a process.
        prices: Makes the bill name money: a `Prices` table, a JSON file of one, or `"default"` for the small table
            that comes with the package.
        options: The rare options, `skeleton_of_thought.Options`.
    """

    router: Router | str | None = None
    prompts: AnyPrompts | Path | str | None = None
    skeleton_model: Model | None = None
    point_model: Model | None = None
    max_points: int | None = None
    point_max_tokens: int | None = None
    answer_format: AnswerFormat | None = None
    on_point_error: OnPointError = "mark"
    retries: int = 1
    timeout: float | None = None
    point_timeout: float | None = None
    hedge_after: float | None = None
    race: bool = False
    limiter: Limiter | None = None
    prices: Prices | Path | str | None = None
    options: Options = Options()

    def settings(
        self, *, max_stops: int | None, leads: Callable[[Sequence[Request]], bool] | None = None
    ) -> RunSettings:
        """What a run decides by, checked.

        Args:
            max_stops: How many stop sequences a request to these models may carry; None for no limit.
            leads: As in `RunSettings`.

        Raises:
            ConfigurationError: A value is out of range.
        """
        shared = {field.name for field in fields(RunSettings)}
        own = {field.name: getattr(self, field.name) for field in fields(self) if field.name in shared}
        return self.options.settings(**own, max_stops=max_stops, leads=leads)

    def opens(self, prompts: AnyPrompts) -> bool:
        """Whether these prompts and options are the opening protocol's: one request opens and plans the answer."""
        return isinstance(prompts, OpeningPrompts) and self.options.points_per_call == 1

    def decides_itself(self, prompts: AnyPrompts) -> bool:
        """Whether the model decides in its first request, and no router is asked.

        Raises:
            ConfigurationError: The router is `"self"`, and these prompts cannot do that.
        """
        opens = self.opens(prompts)
        if self.router == SELF and not opens:
            raise ConfigurationError(
                "router is 'self', which the opening protocol alone can do: use prompts='opening' and "
                "points_per_call=1, or router='lexical'."
            )
        return opens and (self.router is None or self.router == SELF)

    def chosen_router(self, speeds: Speeds, load: Callable[[], float]) -> Router:
        """The router, or the default one; it answers even where it fails.

        Args:
            speeds: What is known of the model that writes the points.
            load: Share of what the points may use that is in use.

        Raises:
            ConfigurationError: No router has that name, or the object is none.
        """
        chosen = FALLBACK if self.router is None or self.router == SELF else self.router
        return FallbackRouter(get_router(chosen, speeds=speeds, load=load), timeout=self.timeout)

    @property
    def load_aware(self) -> bool:
        """Whether no router is asked while no gain is to be expected; the gain router weighs that per question."""
        return self.options.load_aware and not weighs_gain(self.router)

    def stage_prices(self, models: Mapping[Stage, str | None]) -> dict[Stage, Price | None] | None:
        """What each stage costs by the name of its model; None if nobody asked.

        Raises:
            ConfigurationError: The file cannot be read, or is no table of prices.
        """
        if self.prices is None:
            return None
        table = self.prices
        if not isinstance(table, Prices):
            table = Prices.load(None if table == "default" else table)
        return {stage: table.of(name) for stage, name in models.items()}


class EverydayParameters(TypedDict, Generic[Model], total=False):
    """The attributes of `EverydayOptions` as keyword parameters."""

    router: Router | str | None
    prompts: AnyPrompts | Path | str | None
    skeleton_model: Model | None
    point_model: Model | None
    max_points: int | None
    point_max_tokens: int | None
    answer_format: AnswerFormat | None
    on_point_error: OnPointError
    retries: int
    timeout: float | None
    point_timeout: float | None
    hedge_after: float | None
    race: bool
    limiter: Limiter | None
    prices: Prices | Path | str | None
    options: Options


def takes(source: Callable[..., Any]) -> Callable[[Function], Function]:
    """Let `help` and `inspect` show a function's `**others` as the keyword parameters of what they are passed to."""

    def shown(function: Function) -> Function:
        signature = inspect.signature(function)
        own = [each for each in signature.parameters.values() if each.kind is not each.VAR_KEYWORD]
        others = [
            each for each in inspect.signature(source).parameters.values() if each.kind is each.KEYWORD_ONLY
        ]
        function.__signature__ = signature.replace(parameters=[*own, *others])  # type: ignore[attr-defined]
        return function

    return shown
