"""What everything in this package that answers by skeleton has in common: its options, and what they mean."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from langchain_core.messages import BaseMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.runnables import Runnable
from langchain_core.runnables.utils import ConfigurableFieldSpec, get_unique_config_specs
from pydantic import BaseModel, ConfigDict, model_validator

from langchain_sot.models import chat_model, is_local, kind_of, name_of, structured
from langchain_sot.route import CONFIG_KEY, QUESTION_KEY, RouterLike, check_router
from skeleton_of_thought.answer import AnswerFormat
from skeleton_of_thought.everyday import EverydayOptions
from skeleton_of_thought.limits import Limiter
from skeleton_of_thought.options import OnPointError, Options, RunSettings, no_fields
from skeleton_of_thought.prices import Price, Prices
from skeleton_of_thought.prompts import PROMPTS, AnyPrompts, OpeningPrompts, Prompts, family_for, get_prompts

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool

    from skeleton_of_thought.request import Request, Stage


class SkeletonOfThoughtBase(BaseModel):
    """The options of the chain, the router and the chat model.

    Attributes that are not explained here are those of every face, `skeleton_of_thought.EverydayOptions`.

    Attributes:
        model: A chat model, or any runnable around one (`bind`, `with_retry`, `with_fallbacks`, `prompt | model`).
        router: Decides per question whether a skeleton pays: `"lexical"`, a `Router`, a chat model, which is
            asked for one letter, or a runnable that returns "sot" or "direct"; `"self"` and `"always"` as in every
            face. None chooses by the model: `"self"` for hosted ones.
        prompts: As in every face. None gives a local model worked examples and a partial answer to continue, a hosted
            one the opening protocol, any other an instruction.
        point_model: Writes the points instead of `model`: often a smaller one, or the same with less thinking:
            `model.bind(reasoning_effort="low")`, or a `ChatAnthropic` with a smaller `thinking` budget. `model`
            still gives the direct answers.
        limiter: As in every face. With it, or with a deadline or `max_concurrency`, points go out one by one. The
            config's `max_concurrency` holds for all chains of a batch, and of a parent run, together.
        question: Finds the question for the router in the messages of a call, where it stands in a place the
            package does not know. One call names its own with `{"configurable": {"sot_question": "..."}}`.
    """

    model: Runnable[Any, Any]
    router: RouterLike | None = None
    prompts: AnyPrompts | Path | str | None = None
    skeleton_model: Runnable[Any, Any] | None = None
    point_model: Runnable[Any, Any] | None = None
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
    question: Callable[[Sequence[BaseMessage]], str] | None = None
    options: Options = Options()

    model_config: ClassVar[ConfigDict] = ConfigDict(
        extra="forbid", arbitrary_types_allowed=True, protected_namespaces=()
    )

    routes_by_default: ClassVar[bool] = False
    """Whether `router=None` means a router, where the model does not decide by itself; else every question is split."""

    @model_validator(mode="after")
    def _check(self) -> Any:
        """Find mistakes before any token is paid for."""
        self.run_settings()
        self.stage_models()
        self.stage_prompts()
        self.stage_prices()
        self._check_fields()
        check_router(self.router)
        return self

    def _check_fields(self) -> None:
        for stage in ("skeleton", "point") if self.options.continue_fields else ():
            model = chat_model(self.stage_models()[stage])
            if model is not None and not hasattr(model, "extra_body"):
                raise no_fields(self.options.continue_fields, type(model).__name__)

    def stage_models(self) -> dict[Stage, Runnable[Any, Any]]:
        """Which model answers a stage."""
        skeleton = self.skeleton_model or self.model
        return {
            "opening": skeleton,
            "skeleton": structured(skeleton) if self.options.structured_skeleton else skeleton,
            "point": self.point_model or self.model,
            "direct": self.model,
        }

    def stage_prompts(self) -> AnyPrompts:
        """The prompts: the user's, or those that suit the models."""
        if self.prompts is not None:
            prompts = get_prompts(self.prompts)
            if self.options.structured_skeleton and isinstance(prompts, Prompts):
                return replace(prompts, skeleton_start="")
            return prompts
        if self.options.structured_skeleton:
            return PROMPTS["instruction-json"]
        if self.router == "self":
            return PROMPTS["opening"]
        models = self.stage_models()
        local = is_local(models["skeleton"]) and is_local(models["point"])
        suited = PROMPTS[family_for(kind_of(models["skeleton"]), local=local)]
        # Where somebody else decides, the model is asked for a skeleton, and not to decide once more.
        return suited.classic if self.router is not None and isinstance(suited, OpeningPrompts) else suited

    def stage_prices(self) -> dict[Stage, Price | None] | None:
        """What each stage costs; None if nobody asked."""
        return self.everyday().stage_prices(
            {stage: name_of(model) for stage, model in self.stage_models().items()}
        )

    def everyday(self) -> EverydayOptions[Runnable[Any, Any]]:
        """The options that every face has."""
        return EverydayOptions(**{each.name: getattr(self, each.name) for each in fields(EverydayOptions)})

    def run_settings(
        self, max_stops: int | None = None, leads: Callable[[Sequence[Request]], bool] | None = None
    ) -> RunSettings:
        """What a run decides by, checked.

        Raises:
            ConfigurationError: A value is out of range.
        """
        return self.everyday().settings(max_stops=max_stops, leads=leads)

    def chosen_router(self) -> RouterLike | None:
        """The router of a question; None where every question goes to the model that writes skeletons.

        In the opening protocol that model decides by itself.
        """
        if self.router in ("always", "self"):
            return None
        if self.router is None and self.routes_by_default and isinstance(self.stage_prompts(), Prompts):
            return "lexical"
        return self.router

    def load(self) -> float:
        """Share of what the points may use that is in use: of the local engine's batch, of the limiter's places."""
        points = self.stage_models()["point"]
        local = chat_model(points).occupancy if is_local(points) else 0.0
        return max(local, 0.0 if self.limiter is None else self.limiter.load)

    def as_tool(
        self,
        args_schema: type[BaseModel] | None = None,
        *,
        name: str | None = None,
        description: str | None = None,
        arg_types: dict[str, type] | None = None,
    ) -> BaseTool:
        """A tool that answers a question with the answer's text; arguments of another kind as in every runnable."""
        own: Any = self
        if args_schema is None and arg_types is None:
            own = (own | StrOutputParser()).with_types(input_type=str)
            name = name or cast("Any", self).get_name()
            description = description or "Answers a question in full."
            tool: BaseTool = own.as_tool(name=name, description=description)
            return tool
        made: BaseTool = Runnable.as_tool(
            own, args_schema, name=name, description=description, arg_types=arg_types
        )
        return made

    def own_config_specs(self) -> list[ConfigurableFieldSpec]:
        """What can be configured per call: the models' own fields, the route, and which part is the question."""
        own = [
            ConfigurableFieldSpec(
                id=CONFIG_KEY,
                annotation=str,
                name="Route",
                description="'sot' or 'direct' decides for one call; 'auto' asks the router.",
                default="auto",
            ),
            ConfigurableFieldSpec(
                id=QUESTION_KEY,
                annotation=str,
                name="Question",
                description="The question in the messages of one call, for the router.",
                default=None,
            ),
        ]
        models = {id(model): model for model in self.stage_models().values()}
        return get_unique_config_specs([*(spec for m in models.values() for spec in m.config_specs), *own])
