"""`SkeletonOfThoughtQueryEngine`: questions without retrieval."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.base.response.schema import AsyncStreamingResponse, Response, StreamingResponse
from llama_index.core.callbacks.schema import CBEventType, EventPayload

from llamaindex_sot.answer_run import AnswerRun
from llamaindex_sot.everyday import Everyday, classic, family
from llamaindex_sot.model_defaults import default_llm
from llamaindex_sot.templates import Templates
from skeleton_of_thought.messages import Message
from skeleton_of_thought.options import OnPointError, Options
from skeleton_of_thought.prompts import get_prompts

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from llama_index.core.base.response.schema import RESPONSE_TYPE
    from llama_index.core.callbacks import CallbackManager
    from llama_index.core.llms import LLM
    from llama_index.core.prompts.mixin import PromptDictType, PromptMixinType
    from llama_index.core.schema import QueryBundle

    from llamaindex_sot.calls import LLMCalls
    from skeleton_of_thought.answer import AnswerFormat
    from skeleton_of_thought.limits import Limiter
    from skeleton_of_thought.prices import Prices
    from skeleton_of_thought.prompts import AnyPrompts
    from skeleton_of_thought.routing.decision import Decision, Router


class SkeletonOfThoughtQueryEngine(BaseQueryEngine):
    """Answers from what the model knows, with a skeleton first and all points at the same time.

    Where a query engine is wanted and nothing is retrieved: as a tool of a router query engine or of an agent,
    or alone. `response.metadata["sot"]` holds route, reason, skeleton, points, seconds and usage.

    Args:
        llm: Any LlamaIndex LLM. None takes `Settings.llm`, or `TransformersLLM()` if no provider is installed.
        router: Decides per question whether a skeleton pays: `"lexical"`, any name of `get_router`, or a `Router`;
            `"self"` leaves it to the request that opens the answer, `"always"` gives every question a skeleton. None
            chooses by the LLM: `"self"` where it is a large hosted one, else `"lexical"`. Unsuitable
            questions are answered by one plain call of the LLM.
            A router that fails is replaced by `"lexical"` for that question.
        prompts: A family of `skeleton_of_thought.PROMPTS`, a JSON file, or `Prompts`. None chooses by the LLM.
        skeleton_model: Writes skeletons, or openings and plans, instead of `llm`.
        point_model: Writes points instead of `llm`, which still gives the direct answers.
        max_points: Points beyond this number are dropped; None takes what the prompts ask for.
        point_max_tokens: Longest point; passed to the LLM as `max_tokens`.
        answer_format: `"sections"`, `"numbered"`, `"headings"`, `"prose"`, or a function from a `PointResult` to
            text; None takes what suits the prompts.
        on_point_error: `"mark"` leaves a note in the place of a failed point, `"skip"` leaves it out,
            `"raise"` raises `PointError`, which carries the other points.
        retries: How often a failed request is sent again.
        timeout: Seconds the answer may take; it is returned with the points that are there, the others failed.
            `DeadlineError` if there is none.
        point_timeout: Seconds a point may take, retries included; a late point has failed.
        hedge_after: Seconds after which a point that shows nothing yet is asked for a second time; whichever begins
            to answer first stays. Without `streaming` a point shows nothing before its end.
        race: Start router, skeleton and direct answer together and cancel the loser, for a router that takes time
            because it asks a model. The loser's tokens are in the bill.
        limiter: What every request has to pass, a `skeleton_of_thought.limits.Limiter`; one object may serve
            everything in a process.
        prices: Makes the bill name money: a `Prices` table, a JSON file of one, or `"default"` for the small table
            that comes with the package.
        options: The rare options, `skeleton_of_thought.Options`.
        llm_kwargs: Passed to every call of the LLM.
        max_concurrency: Most requests at once; None for all points.
        streaming: Whether the responses stream.
        callback_manager: As in every LlamaIndex query engine.

    Raises:
        ConfigurationError: An option is wrong.

    Example:
        ```python
        from llamaindex_sot import SkeletonOfThoughtQueryEngine, TransformersLLM

        engine = SkeletonOfThoughtQueryEngine(TransformersLLM())
        print(engine.query("How can I improve my time management skills?"))
        ```
    """

    def __init__(
        self,
        llm: LLM | None = None,
        *,
        router: str | Router | None = None,
        prompts: AnyPrompts | Path | str | None = None,
        skeleton_model: LLM | None = None,
        point_model: LLM | None = None,
        max_points: int | None = None,
        point_max_tokens: int | None = None,
        answer_format: AnswerFormat | None = None,
        on_point_error: OnPointError = "mark",
        retries: int = 1,
        timeout: float | None = None,
        point_timeout: float | None = None,
        hedge_after: float | None = None,
        race: bool = False,
        limiter: Limiter | None = None,
        prices: Prices | Path | str | None = None,
        options: Options = Options(),
        llm_kwargs: Mapping[str, Any] | None = None,
        max_concurrency: int | None = None,
        streaming: bool = False,
        callback_manager: CallbackManager | None = None,
    ) -> None:
        self._llm = llm or default_llm()
        super().__init__(callback_manager=callback_manager or self._llm.callback_manager)
        chosen = get_prompts(prompts or family(skeleton_model or self._llm, router=router, options=options))
        self._templates = Templates.of(classic(chosen) if router == "always" else chosen)
        self._everyday = Everyday.of(
            self._llm,
            self._templates.base,
            router=router,
            skeleton_model=skeleton_model,
            point_model=point_model,
            race=race,
            limiter=limiter,
            prices=prices,
            options=options,
            max_concurrency=max_concurrency,
            llm_kwargs=dict(llm_kwargs or {}),
            max_points=max_points,
            point_max_tokens=point_max_tokens,
            answer_format=answer_format,
            on_point_error=on_point_error,
            retries=retries,
            timeout=timeout,
            point_timeout=point_timeout,
            hedge_after=hedge_after,
        )
        self._streaming = streaming

    def _query(self, query_bundle: QueryBundle) -> RESPONSE_TYPE:
        payload: dict[str, Any] = {EventPayload.QUERY_STR: query_bundle.query_str}
        with self.callback_manager.event(CBEventType.QUERY, payload=payload) as event:
            question = Message("user", query_bundle.query_str)
            run = self._answer_run(question, self._everyday.decide([question]))
            texts = run.texts(self._calls(question).send)
            response: Any
            if self._streaming:
                response = StreamingResponse(texts, metadata={"sot": run.metadata})
            else:
                response = Response("".join(texts), metadata={"sot": run.metadata})
            event.on_end(payload={EventPayload.RESPONSE: response})
        return response  # type: ignore[no-any-return]

    async def _aquery(self, query_bundle: QueryBundle) -> RESPONSE_TYPE:
        payload: dict[str, Any] = {EventPayload.QUERY_STR: query_bundle.query_str}
        with self.callback_manager.event(CBEventType.QUERY, payload=payload) as event:
            question = Message("user", query_bundle.query_str)
            run = self._answer_run(question, await self._everyday.adecide([question]))
            texts = run.atexts(self._calls(question).asend)
            response: Any
            if self._streaming:
                response = AsyncStreamingResponse(texts, metadata={"sot": run.metadata})
            else:
                response = Response("".join([text async for text in texts]), metadata={"sot": run.metadata})
            event.on_end(payload={EventPayload.RESPONSE: response})
        return response  # type: ignore[no-any-return]

    def _calls(self, question: Message) -> LLMCalls:
        return self._everyday.calls([question], streaming=self._streaming)

    def _answer_run(self, question: Message, decision: Decision | None) -> AnswerRun:
        prompts = self._templates.prompts(self._llm, {})
        return AnswerRun(
            self._everyday.run([question], prompts, decision),
            empty="Empty Response",
            max_concurrency=self._everyday.max_concurrency,
            turns=self._everyday.turns(),
            describe=lambda answer: answer.to_dict(self._everyday.prices),
        )

    def _get_prompts(self) -> PromptDictType:
        return dict(self._templates.all)

    def _get_prompt_modules(self) -> PromptMixinType:
        return {}

    def _update_prompts(self, prompts_dict: PromptDictType) -> None:
        self._templates = self._templates.updated(prompts_dict, others=(), llm=self._llm)
