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
from skeleton_of_thought.everyday import EverydayOptions, EverydayParameters, takes
from skeleton_of_thought.messages import Message
from skeleton_of_thought.prompts import get_prompts

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Unpack

    from llama_index.core.base.response.schema import RESPONSE_TYPE
    from llama_index.core.callbacks import CallbackManager
    from llama_index.core.llms import LLM
    from llama_index.core.prompts.mixin import PromptDictType, PromptMixinType
    from llama_index.core.schema import QueryBundle

    from llamaindex_sot.calls import LLMCalls
    from skeleton_of_thought.routing.decision import Decision


class SkeletonOfThoughtQueryEngine(BaseQueryEngine):
    """Answers from what the model knows, with a skeleton first and all points at the same time.

    Where a query engine is wanted and nothing is retrieved: as a tool of a router query engine or of an agent,
    or alone. Questions the router finds unsuitable are answered by one plain call of the LLM.

    `response.metadata["sot"]` holds route, reason, skeleton, points, seconds and usage.

    Args:
        llm: Any LlamaIndex LLM. None takes `Settings.llm`, or `TransformersLLM()` if no provider is installed.
        llm_kwargs: Passed to every call of the LLM.
        max_concurrency: Most requests at once; None for all points.
        streaming: Whether the responses stream.
        callback_manager: As in every LlamaIndex query engine.
        everyday: The options every face has, `skeleton_of_thought.EverydayOptions`: `router`, `prompts`,
            `skeleton_model`, `point_model`, `max_points`, `answer_format`, `timeout`, `limiter`, `prices`, ...

    Raises:
        ConfigurationError: An option is wrong.

    Example:
        ```python
        from llamaindex_sot import SkeletonOfThoughtQueryEngine, TransformersLLM

        engine = SkeletonOfThoughtQueryEngine(TransformersLLM())
        print(engine.query("How can I improve my time management skills?"))
        ```
    """

    @takes(EverydayOptions)
    def __init__(
        self,
        llm: LLM | None = None,
        *,
        llm_kwargs: Mapping[str, Any] | None = None,
        max_concurrency: int | None = None,
        streaming: bool = False,
        callback_manager: CallbackManager | None = None,
        **everyday: Unpack[EverydayParameters[LLM]],
    ) -> None:
        self._llm = llm or default_llm()
        super().__init__(callback_manager=callback_manager or self._llm.callback_manager)
        given = EverydayOptions(**everyday)
        chosen = get_prompts(given.prompts or family(self._llm, given))
        self._templates = Templates.of(classic(chosen) if given.router == "always" else chosen)
        self._everyday = Everyday.of(
            self._llm,
            self._templates.base,
            given,
            max_concurrency=max_concurrency,
            llm_kwargs=dict(llm_kwargs or {}),
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
            everyday=self._everyday,
            empty="Empty Response",
            describe=lambda answer: answer.to_dict(self._everyday.prices),
        )

    def _get_prompts(self) -> PromptDictType:
        return dict(self._templates.all)

    def _get_prompt_modules(self) -> PromptMixinType:
        return {}

    def _update_prompts(self, prompts_dict: PromptDictType) -> None:
        self._templates = self._templates.updated(prompts_dict, others=(), llm=self._llm)
