"""`SkeletonOfThoughtQueryEngine`: questions without retrieval."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.base.response.schema import AsyncStreamingResponse, Response, StreamingResponse
from llama_index.core.callbacks.schema import CBEventType, EventPayload

from llamaindex_sot.answering import Answering
from llamaindex_sot.calls import Calls
from llamaindex_sot.model_defaults import default_llm, family, max_stops, quirks
from llamaindex_sot.templates import Templates
from skeleton_of_thought.answer import Answer
from skeleton_of_thought.messages import Message
from skeleton_of_thought.method import SkeletonOfThought
from skeleton_of_thought.options import OnPointError, RunSettings
from skeleton_of_thought.prompts import Prompts, get_prompts
from skeleton_of_thought.routing import get_router

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from llama_index.core.base.response.schema import RESPONSE_TYPE
    from llama_index.core.callbacks import CallbackManager
    from llama_index.core.llms import LLM
    from llama_index.core.prompts.mixin import PromptDictType, PromptMixinType
    from llama_index.core.schema import QueryBundle

    from skeleton_of_thought.answer import AnswerFormat
    from skeleton_of_thought.routing.decision import Decision, Router


class SkeletonOfThoughtQueryEngine(BaseQueryEngine):
    """Answers from what the model knows, with a skeleton first and all points at the same time.

    Where a query engine is wanted and nothing is retrieved: as a tool of a router query engine or of an agent,
    or alone. `response.metadata["sot"]` holds route, reason, skeleton, points, seconds and usage.

    Args:
        llm: Any LlamaIndex LLM. None takes `Settings.llm`, or `TransformersLLM()` if no provider is installed.
        router: Decides per question whether a skeleton pays; None gives every question one. Unsuitable
            questions are answered by one plain call of the LLM.
        prompts: A family of `skeleton_of_thought.PROMPTS`, a JSON file, or `Prompts`. None chooses by the LLM.
        max_points: Points beyond this number are dropped; None takes what the prompts ask for.
        retries: How often a failed request is sent again.
        on_point_error: `"mark"`, `"skip"` or `"raise"`.
        answer_format: `"sections"`, `"numbered"`, `"headings"`, `"prose"`, or a function from a `PointResult` to
            text; None takes what suits the prompts.
        points_per_call: How many points one request writes, one after the other: fewer prompts to pay for, and a
            longer wait.
        point_max_tokens: Longest point; passed to the LLM as `max_tokens`.
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
        prompts: Prompts | Path | str | None = None,
        max_points: int | None = None,
        retries: int = 1,
        on_point_error: OnPointError = "mark",
        answer_format: AnswerFormat | None = None,
        points_per_call: int = 1,
        point_max_tokens: int | None = None,
        llm_kwargs: Mapping[str, Any] | None = None,
        max_concurrency: int | None = None,
        streaming: bool = False,
        callback_manager: CallbackManager | None = None,
    ) -> None:
        self._llm = llm or default_llm()
        super().__init__(callback_manager=callback_manager or self._llm.callback_manager)
        self._router = get_router(router or "always")
        chosen = get_prompts(prompts or family(self._llm))
        self._templates = Templates.of(chosen if isinstance(chosen, Prompts) else chosen.classic)
        self._options = RunSettings(
            max_points=max_points,
            retries=retries,
            on_point_error=on_point_error,
            answer_format=answer_format,
            points_per_call=points_per_call,
            point_max_tokens=point_max_tokens,
            max_stops=max_stops(self._llm),
        )
        self._llm_kwargs = dict(llm_kwargs or {})
        self._max_concurrency = max_concurrency
        self._streaming = streaming

    def _query(self, query_bundle: QueryBundle) -> RESPONSE_TYPE:
        payload: dict[str, Any] = {EventPayload.QUERY_STR: query_bundle.query_str}
        with self.callback_manager.event(CBEventType.QUERY, payload=payload) as event:
            question = Message("user", query_bundle.query_str)
            answering = self._answering(question, self._router.route([question]))
            texts = answering.texts(self._calls().send)
            response: Any
            if self._streaming:
                response = StreamingResponse(texts, metadata={"sot": answering.metadata})
            else:
                response = Response("".join(texts), metadata={"sot": answering.metadata})
            event.on_end(payload={EventPayload.RESPONSE: response})
        return response  # type: ignore[no-any-return]

    async def _aquery(self, query_bundle: QueryBundle) -> RESPONSE_TYPE:
        payload: dict[str, Any] = {EventPayload.QUERY_STR: query_bundle.query_str}
        with self.callback_manager.event(CBEventType.QUERY, payload=payload) as event:
            question = Message("user", query_bundle.query_str)
            answering = self._answering(question, await self._router.aroute([question]))
            texts = answering.atexts(self._calls().asend)
            response: Any
            if self._streaming:
                response = AsyncStreamingResponse(texts, metadata={"sot": answering.metadata})
            else:
                response = Response(
                    "".join([text async for text in texts]), metadata={"sot": answering.metadata}
                )
            event.on_end(payload={EventPayload.RESPONSE: response})
        return response  # type: ignore[no-any-return]

    def _calls(self) -> Calls:
        return Calls(self._llm, streaming=self._streaming, kwargs=self._llm_kwargs)

    def _answering(self, question: Message, decision: Decision) -> Answering:
        prompts = self._templates.prompts(self._llm, {})
        run = SkeletonOfThought(
            [question], prompts, self._options, decision=decision, quirks=quirks(self._llm)
        )
        return Answering(
            run, empty="Empty Response", max_concurrency=self._max_concurrency, describe=Answer.to_dict
        )

    def _get_prompts(self) -> PromptDictType:
        return dict(self._templates.all)

    def _get_prompt_modules(self) -> PromptMixinType:
        return {}

    def _update_prompts(self, prompts_dict: PromptDictType) -> None:
        self._templates = self._templates.updated(prompts_dict, others=(), llm=self._llm)
