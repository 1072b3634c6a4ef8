"""The everyday options, which mean the same for the synthesizer, the query engine and the LLM in front of LLMs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from llamaindex_sot.calls import LLMCalls
from llamaindex_sot.llms.transformers_llm import TransformersLLM
from llamaindex_sot.model_defaults import is_local, kind_of, max_stops, own_fields, own_stops, quirks, speeds
from skeleton_of_thought.drivers.turns import Turns
from skeleton_of_thought.errors import ConfigurationError
from skeleton_of_thought.method import SkeletonOfThought
from skeleton_of_thought.options import no_fields
from skeleton_of_thought.prompts import Prompts, family_for
from skeleton_of_thought.request import as_stops

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from llama_index.core.llms import LLM

    from skeleton_of_thought.everyday import EverydayOptions
    from skeleton_of_thought.limits import Limiter
    from skeleton_of_thought.messages import Message
    from skeleton_of_thought.options import RunSettings
    from skeleton_of_thought.prices import Price
    from skeleton_of_thought.prompts import AnyPrompts
    from skeleton_of_thought.request import Stage
    from skeleton_of_thought.routing.decision import Decision, Router
    from skeleton_of_thought.speeds import Speeds


@dataclass(frozen=True, slots=True, kw_only=True)
class Everyday:
    """The options of a face, resolved and checked.

    Attributes:
        llm: Answers.
        skeleton_llm: Writes skeletons, or openings and plans.
        point_llm: Writes points.
        router: Decides per question.
        decides_itself: Whether the request that opens the answer decides, and the router is not asked.
        race: Whether router, skeleton and direct answer start together.
        limiter: What every request has to pass.
        prices: Money per token, by stage.
        speeds: What is known of the LLM that writes the points.
        load_aware: Whether answers are direct while no gain is to be expected of a skeleton.
        settings: What a run decides by.
        max_concurrency: Most requests at once.
        llm_kwargs: Passed to every call.
    """

    llm: LLM
    skeleton_llm: LLM
    point_llm: LLM
    router: Router
    decides_itself: bool
    race: bool
    limiter: Limiter | None
    prices: Mapping[Stage, Price | None] | None
    speeds: Speeds
    load_aware: bool
    settings: RunSettings
    max_concurrency: int | None
    llm_kwargs: Mapping[str, Any]

    @classmethod
    def of(
        cls,
        llm: LLM,
        prompts: AnyPrompts,
        given: EverydayOptions[LLM],
        *,
        max_concurrency: int | None,
        llm_kwargs: Mapping[str, Any],
        from_sources: bool = False,
    ) -> Everyday:
        """Resolve what a constructor was given.

        Args:
            llm: Answers.
            prompts: Of the opening or the skeleton.
            given: The options.
            max_concurrency: Most requests at once.
            llm_kwargs: Passed to every call.
            from_sources: Whether answers come from chunks.

        Raises:
            ConfigurationError: An option is wrong.
        """
        options = given.options
        if options.prompt_cache:
            raise ConfigurationError(
                "prompt_cache is True; LlamaIndex's LLMs mark prompts for caching themselves: use a CachePoint in the "
                "messages or the options of the LLM's class, or langchain_sot."
            )
        skeletons, points = given.skeleton_model or llm, given.point_model or llm
        for each in (skeletons, points) if options.continue_fields else ():
            if own_fields(each) is None:
                raise no_fields(options.continue_fields, each.class_name())
        stages: dict[Stage, LLM] = {
            "opening": skeletons,
            "skeleton": skeletons,
            "point": points,
            "direct": llm,
        }
        known = speeds(points, from_sources=from_sources)
        stops = [
            max(0, most - len(as_stops(llm_kwargs.get("stop") or own_stops(each))))
            for each in (skeletons, points)
            if (most := max_stops(each)) is not None
        ]
        return cls(
            llm=llm,
            skeleton_llm=skeletons,
            point_llm=points,
            router=given.chosen_router(known, lambda: _load(points, given.limiter)),
            decides_itself=given.decides_itself(prompts),
            race=given.race and given.router != "always",
            limiter=given.limiter,
            prices=given.stage_prices(
                {stage: each.metadata.model_name.rpartition(":")[2] for stage, each in stages.items()}
            ),
            speeds=known,
            load_aware=given.load_aware,
            settings=given.settings(max_stops=min(stops, default=None)),
            max_concurrency=max_concurrency,
            llm_kwargs=llm_kwargs,
        )

    def told(self, tell: Callable[[LLM], LLM]) -> Everyday:
        """The same with other LLM objects, such as copies with other callbacks."""
        told = {id(llm): tell(llm) for llm in self.llms.values()}
        return replace(
            self,
            llm=told[id(self.llm)],
            skeleton_llm=told[id(self.skeleton_llm)],
            point_llm=told[id(self.point_llm)],
        )

    @property
    def llms(self) -> dict[Stage, LLM]:
        """Which LLM answers a stage."""
        return {
            "opening": self.skeleton_llm,
            "skeleton": self.skeleton_llm,
            "point": self.point_llm,
            "direct": self.llm,
        }

    def known(self) -> tuple[Decision | None, bool]:
        """The decision for which no router has to be asked, and whether there is nobody to ask."""
        load = _load(self.point_llm, self.limiter)
        plain = self.speeds.decide(load) if self.load_aware else None
        return plain, plain is not None or self.decides_itself or self.race

    def decide(self, messages: Sequence[Message]) -> Decision | None:
        """What is decided before the run; None where the model or a race decides."""
        decision, final = self.known()
        return decision if final else self.router.route(messages)

    async def adecide(self, messages: Sequence[Message]) -> Decision | None:
        """Like `decide`, with asyncio."""
        decision, final = self.known()
        return decision if final else await self.router.aroute(messages)

    def run(
        self, messages: Sequence[Message], prompts: AnyPrompts, decision: Decision | None
    ) -> SkeletonOfThought:
        """A run for a conversation."""
        known: dict[Stage, Any] = {stage: quirks(llm) for stage, llm in self.llms.items()}
        return SkeletonOfThought(messages, prompts, self.settings, decision=decision, quirks=known)

    def turns(self) -> Turns:
        """What the requests of one run wait for."""
        return Turns(self.limiter, longest_wait=self.settings.longest_wait)

    def calls(
        self, messages: Sequence[Message], *, streaming: bool, kwargs: Mapping[str, Any] | None = None
    ) -> LLMCalls:
        """How the requests of one run reach the LLMs, and the router in a race."""
        return LLMCalls(
            self.llms,
            streaming=streaming,
            kwargs={**self.llm_kwargs, **(kwargs or {})},
            route=lambda: self.router.route(messages),
            aroute=lambda: self.router.aroute(messages),
        )


def _load(points: LLM, limiter: Limiter | None) -> float:
    """Share of what the points may use that is in use: of the local engine's batch, of the limiter's places."""
    local = points.occupancy if isinstance(points, TransformersLLM) else 0.0
    return max(local, 0.0 if limiter is None else limiter.load)


def family(llm: LLM, given: EverydayOptions[LLM]) -> str:
    """The family of prompts for whoever writes the skeleton where nobody chose one.

    The opening protocol decides by itself whether to split an answer, so who wants every answer split, or JSON, or
    several points per request, gets the classic protocol.
    """
    llm = given.skeleton_model or llm
    if given.options.structured_skeleton:
        return "instruction-json"
    if not llm.metadata.is_chat_model:
        return "partial"
    chosen = family_for(kind_of(llm), local=is_local(llm))
    return (
        "instruction"
        if chosen == "opening" and (given.router == "always" or given.options.points_per_call > 1)
        else chosen
    )


def classic(prompts: AnyPrompts) -> Prompts:
    """The prompts of the classic protocol among these."""
    return prompts if isinstance(prompts, Prompts) else prompts.classic
