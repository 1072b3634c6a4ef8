"""`SkeletonOfThoughtSynthesizer`: LlamaIndex's response synthesizer for answers from retrieved chunks."""

from __future__ import annotations

import inspect
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, Self, get_args
from weakref import WeakKeyDictionary

from llama_index.core.indices.prompt_helper import PromptHelper
from llama_index.core.instrumentation.events.synthesis import GetResponseEndEvent, GetResponseStartEvent
from llama_index.core.llms.structured_llm import StructuredLLM
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.response_synthesizers import BaseSynthesizer, CompactAndRefine
from llama_index_instrumentation import get_dispatcher

from llamaindex_sot.asked import Asked, Text, asked_nothing
from llamaindex_sot.everyday import Everyday, classic, family
from llamaindex_sot.llms.transformers_llm import TransformersLLM
from llamaindex_sot.messages import from_llamaindex
from llamaindex_sot.model_defaults import default_llm, is_packaged, sampling
from llamaindex_sot.prompts import CONTEXT, for_one_point, get_source_prompts
from llamaindex_sot.sources.choosing import Nearest
from llamaindex_sot.sources.requests import Direct, SourcedRequests
from llamaindex_sot.sources.sources import Sources, largest_request, pack
from llamaindex_sot.sources.titles import skeleton_of
from llamaindex_sot.templates import Templates
from skeleton_of_thought.answer import Answer
from skeleton_of_thought.errors import ConfigurationError
from skeleton_of_thought.everyday import EverydayOptions, EverydayParameters, takes
from skeleton_of_thought.messages import Message
from skeleton_of_thought.prompts import Prompts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Unpack

    from llama_index.core.base.embeddings.base import BaseEmbedding
    from llama_index.core.base.llms.types import ChatMessage
    from llama_index.core.base.response.schema import RESPONSE_TYPE
    from llama_index.core.callbacks import CallbackManager
    from llama_index.core.llms import LLM
    from llama_index.core.prompts.mixin import PromptDictType, PromptMixinType
    from llama_index.core.schema import NodeWithScore, QueryType
    from llama_index.core.types import RESPONSE_TEXT_TYPE

    from skeleton_of_thought.routing.decision import Decision

dispatcher = get_dispatcher(__name__)

_NO_OUTPUT_CLS = (
    "A skeleton and its points are text: output_cls and a StructuredLLM are not possible here. Use "
    "LlamaIndex's compact or tree_summarize for structured output."
)

ContextMode = Literal["shared", "per_point"]
SkeletonOf = Literal["model", "sources"]


class SkeletonOfThoughtSynthesizer(BaseSynthesizer):
    """Answers from retrieved chunks with a skeleton first and all points at the same time (arXiv 2307.15337).

    The chunks are numbered and stand at the beginning of the question, byte for byte the same in the skeleton
    request and in all point requests, so an engine or a provider with a prefix cache reads them once. Points
    cite them as `[n]`; a citation of a chunk that was not given is removed.

    `response.metadata["sot"]` holds route, reason, skeleton, points, seconds and usage, and beyond that
    `citations` (node ids by the number cited), `removed_citations`, `removed_sentences` (with
    `skeleton="sources"`: those not about their source, and repetitions), and `context` (the numbers of the chunks
    that were given, shortened, left out). For a streamed answer it is filled when the stream ends.

    Args:
        llm: Any LlamaIndex LLM: chat or completion, with real or pretended async methods. None takes
            `Settings.llm`, or `TransformersLLM()` if no provider is installed.
        fallback: Answers questions a router finds unsuitable, and those whose skeleton failed; LlamaIndex's
            `compact` if None.
        skeleton: `"model"` asks the LLM for the skeleton. `"sources"` makes every chunk a point, titled with
            its beginning: for models too small to outline, and a request less for all. None takes `"sources"`
            for the packaged model, unless an option is given that needs a skeleton of the model's own
            (`prompts`, `skeleton_model`, `embed_model`, `points_per_call`), and `"model"` for every other LLM.
        context: `"shared"` gives every point all chunks; `"per_point"` gives each the ones that serve it:
            those nearest to its title with `embed_model`, else those the skeleton names behind it. None takes
            `"per_point"` where each chunk is a point, and `"shared"` otherwise.
        embed_model: For `context="per_point"`.
        chunks_per_point: For `context="per_point"`: most chunks a point is given.
        llm_kwargs: Passed to every call of the LLM, such as `{"temperature": 0}`.
        max_concurrency: Most requests at once; None for all points.
        streaming: Whether answers are streamed, as in every LlamaIndex synthesizer.
        callback_manager: As in every LlamaIndex synthesizer.
        prompt_helper: Measures whether the chunks fit the LLM's context.
        empty_response: What to answer without chunks.
        output_cls: Refused: an answer of points is text.
        everyday: The options every face has, `skeleton_of_thought.EverydayOptions`: `router`, `prompts`,
            `skeleton_model`, `point_model`, `max_points`, `answer_format`, `timeout`, `limiter`, `prices`, ...
            `prompts` is here a family of `SOURCE_PROMPTS` or an object; None gives the local LLM a worked example and
            a beginning to continue, other chat models an instruction. Questions `router="self"` finds unsuitable are
            answered by that same request, from the same sources. Without `streaming`, `hedge_after` sees nothing of a
            point before its end.

    Raises:
        ConfigurationError: An option is wrong.

    Example:
        ```python
        from llama_index.core.query_engine import RetrieverQueryEngine
        from llamaindex_sot import SkeletonOfThoughtSynthesizer

        synthesizer = SkeletonOfThoughtSynthesizer(llm)
        engine = RetrieverQueryEngine(index.as_retriever(similarity_top_k=8), response_synthesizer=synthesizer)
        print(engine.query("How do I make good compost?"))
        ```
    """

    @takes(EverydayOptions)
    def __init__(
        self,
        llm: LLM | None = None,
        *,
        fallback: BaseSynthesizer | None = None,
        skeleton: SkeletonOf | None = None,
        context: ContextMode | None = None,
        embed_model: BaseEmbedding | None = None,
        chunks_per_point: int = 3,
        llm_kwargs: Mapping[str, Any] | None = None,
        max_concurrency: int | None = None,
        streaming: bool = False,
        callback_manager: CallbackManager | None = None,
        prompt_helper: PromptHelper | None = None,
        empty_response: str | None = None,
        output_cls: Any = None,
        **everyday: Unpack[EverydayParameters[LLM]],
    ) -> None:
        llm = llm or default_llm()
        if output_cls is not None or isinstance(llm, StructuredLLM):
            raise ConfigurationError(_NO_OUTPUT_CLS)
        given = EverydayOptions(**everyday)
        points_per_call = given.options.points_per_call
        own = (given.prompts, given.skeleton_model, embed_model)
        if skeleton is None:
            asks_for_one = any(option is not None for option in own) or points_per_call != 1
            skeleton = "sources" if is_packaged(llm) and not asks_for_one else "model"
        if context is None:
            context = "per_point" if skeleton == "sources" else "shared"
        _one_of("context", context, get_args(ContextMode))
        _one_of("skeleton", skeleton, get_args(SkeletonOf))
        if skeleton == "sources" and points_per_call != 1:
            raise ConfigurationError(
                f"points_per_call is {points_per_call}; with skeleton='sources' every point has a source, "
                "and a call, of its own."
            )
        if chunks_per_point < 1:
            raise ConfigurationError(f"chunks_per_point is {chunks_per_point}; it must be at least 1.")
        if prompt_helper is None and isinstance(llm, TransformersLLM):
            prompt_helper = PromptHelper.from_llm_metadata(llm.metadata, tokenizer=llm.token_ids)
        super().__init__(
            llm=llm,
            callback_manager=callback_manager,
            prompt_helper=prompt_helper,
            streaming=streaming,
            empty_response=empty_response,
        )
        self._fallback = fallback or CompactAndRefine(
            llm=llm, callback_manager=callback_manager, prompt_helper=self._prompt_helper, streaming=streaming
        )
        self._from_sources = skeleton == "sources"
        self._per_point = context == "per_point"
        named = family(llm, given)
        suffix = "-sources" if self._from_sources and named == "partial-examples" else ""
        chosen = get_source_prompts(given.prompts or named + suffix)
        # A plan is made of all sources, and an opening is an answer already: neither goes with sources per point.
        whole = given.router == "always" or self._from_sources or self._per_point
        self._templates = Templates.of(classic(chosen) if whole else chosen, CONTEXT)
        self._embed_model = embed_model
        self._chunks_per_point = chunks_per_point
        decided = Everyday.of(
            llm,
            self._templates.base,
            given,
            max_concurrency=max_concurrency,
            llm_kwargs={
                **sampling(llm, retelling=self._from_sources and self._per_point),
                **(llm_kwargs or {}),
            },
            from_sources=True,
        )
        # A plain answer is written by another synthesizer, whose prompt has the chunks and cannot be gone on with.
        self._everyday = replace(decided, settings=replace(decided.settings, resumed=("opening",)))
        self._streams: WeakKeyDictionary[Any, Asked] = WeakKeyDictionary()

    @classmethod
    def from_defaults(cls, llm: LLM | None = None, **options: Any) -> Self:
        """The same as the constructor, under the name LlamaIndex's users look for."""
        return cls(llm, **options)

    def __bool__(self) -> bool:
        """True. LlamaIndex asks where it has a choice of synthesizers, and ignores an `output_cls` given beside ours.

        Raises:
            ConfigurationError: It was about to: `index.as_query_engine(response_synthesizer=..., output_cls=...)`.
        """
        caller = sys._getframe(1)  # noqa: SLF001 - nothing else tells that the option is there
        asking = inspect.unwrap(RetrieverQueryEngine.from_args).__code__
        if caller.f_code is asking and caller.f_locals["output_cls"] is not None:
            raise ConfigurationError(_NO_OUTPUT_CLS)
        return True

    def synthesize(
        self, query: QueryType, nodes: list[NodeWithScore], *args: Any, **kwargs: Any
    ) -> RESPONSE_TYPE:
        """Answer a query from nodes; as in every LlamaIndex synthesizer."""
        return self._described(super().synthesize(query, nodes, *args, **kwargs))

    async def asynthesize(
        self, query: QueryType, nodes: list[NodeWithScore], *args: Any, **kwargs: Any
    ) -> RESPONSE_TYPE:
        """Like `synthesize`, without blocking the event loop."""
        return self._described(await super().asynthesize(query, nodes, *args, **kwargs))

    def get_response(
        self,
        query_str: str,
        text_chunks: Sequence[str],
        *,
        chat_history: Sequence[ChatMessage] = (),
        **response_kwargs: Any,
    ) -> RESPONSE_TEXT_TYPE:
        """Answer a question from chunks.

        Args:
            query_str: The question.
            text_chunks: What it is answered from, best first.
            chat_history: The conversation before the question.
            **response_kwargs: Values for further fields of the prompts.
        """
        dispatcher.event(GetResponseStartEvent(query_str=query_str, text_chunks=list(text_chunks)))
        messages = _conversation(query_str, chat_history)
        decision = self._everyday.decide(messages)
        asked = self._ask(messages, text_chunks, decision, response_kwargs)
        if asked.nearest is not None and asked.sources.texts:
            asked.nearest.learn(asked.sources.texts)
        texts = asked.answer_run.texts(asked.requests.send)
        response = texts if self._streaming else Text("".join(texts))
        self._remember(response, asked)
        dispatcher.event(GetResponseEndEvent())
        return response

    async def aget_response(
        self,
        query_str: str,
        text_chunks: Sequence[str],
        *,
        chat_history: Sequence[ChatMessage] = (),
        **response_kwargs: Any,
    ) -> RESPONSE_TEXT_TYPE:
        """Like `get_response`, without blocking the event loop."""
        dispatcher.event(GetResponseStartEvent(query_str=query_str, text_chunks=list(text_chunks)))
        messages = _conversation(query_str, chat_history)
        decision = await self._everyday.adecide(messages)
        asked = self._ask(messages, text_chunks, decision, response_kwargs)
        if asked.nearest is not None and asked.sources.texts:
            await asked.nearest.alearn(asked.sources.texts)
        texts = asked.answer_run.atexts(asked.requests.asend)
        response = texts if self._streaming else Text("".join([text async for text in texts]))
        self._remember(response, asked)
        dispatcher.event(GetResponseEndEvent())
        return response

    def _ask(
        self,
        messages: list[Message],
        chunks: Sequence[str],
        decision: Decision | None,
        variables: Mapping[str, Any],
    ) -> Asked:
        """Everything one question needs, before anything is sent."""
        llm = self._llm
        prompts = self._templates.prompts(llm, variables)
        if self._per_point:
            prompts = for_one_point(classic(prompts), name_sources=self._embed_model is None)
        sources = Sources({})
        if decision is None or decision.route == "sot":
            most = self._everyday.settings.max_points or prompts.max_points
            # Whatever it turns out to be asked: a model that does not manage the opening is asked for a skeleton.
            asked = (prompts,) if isinstance(prompts, Prompts) else (prompts, prompts.classic)
            requests = (largest_request(each, messages, most) for each in asked)
            room = max(requests, key=lambda request: len(request.template))
            sources = pack(chunks, room, helper=self._prompt_helper, llm=llm)
        run = self._everyday.run(messages, prompts, decision)
        calls = self._everyday.calls(messages, streaming=self._streaming)
        embed = self._embed_model if self._per_point and not self._from_sources else None
        nearest = None if embed is None else Nearest(embed, messages[-1].text)
        examples = classic(prompts).examples
        sourced = SourcedRequests(
            calls,
            run,
            sources,
            render=lambda text: self._templates.context(llm, text, variables),
            turn=len(examples) + len(messages) - 1,
            chunks_per_point=self._chunks_per_point if self._per_point else None,
            nearest=nearest,
            skeleton=skeleton_of(sources.texts) if self._from_sources else None,
            direct=Direct(
                self._fallback,
                messages[-1].text,
                chunks,
                dict(variables),
                asked=_asked_again(messages),
                blocking=calls.blocking,
            ),
        )
        return Asked(run, sources, sourced, nearest, empty=self._empty_response, everyday=self._everyday)

    # What LlamaIndex's base class asks for.

    def _described(self, response: RESPONSE_TYPE) -> RESPONSE_TYPE:
        """The response; one for which no node was found says so where others say how they came about."""
        if "sot" not in (response.metadata or {}):
            nothing = Answer(text=self._empty_response, route="direct", reason="no node was retrieved")
            sot = {**nothing.to_dict(self._everyday.prices), **asked_nothing()}
            response.metadata = {**(response.metadata or {}), "sot": sot}
        return response

    def _remember(self, response: Any, asked: Asked) -> None:
        """Keep what belongs to a response until LlamaIndex wraps it."""
        if isinstance(response, Text):
            response.asked = asked
        else:
            self._streams[response] = asked

    def _prepare_response_output(
        self, response_str: RESPONSE_TEXT_TYPE | None, source_nodes: list[NodeWithScore]
    ) -> RESPONSE_TYPE:
        response = super()._prepare_response_output(response_str, source_nodes)
        asked = (
            response_str.asked if isinstance(response_str, Text) else self._streams.pop(response_str, None)
        )
        if asked is not None:
            asked.node_ids = [source.node.node_id for source in source_nodes]
            asked.answer_run.describe()
            response.metadata = {**(response.metadata or {}), "sot": asked.answer_run.metadata}
        return response

    def _get_prompts(self) -> PromptDictType:
        return dict(self._templates.all)

    def _get_prompt_modules(self) -> PromptMixinType:
        return {"fallback": self._fallback}

    def _update_prompts(self, prompts_dict: PromptDictType) -> None:
        others = [f"fallback:{key}" for key in self._fallback.get_prompts()]
        self._templates = self._templates.updated(prompts_dict, others=others, llm=self._llm)


def _one_of(name: str, value: object, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise ConfigurationError(f"{name} is {value!r}; use {' or '.join(map(repr, allowed))}.")


def _asked_again(messages: Sequence[Message]) -> str:
    """The question for a synthesizer that knows nothing of a conversation: with what was said before it."""
    *before, question = messages
    if not before:
        return question.text
    said = "\n".join(f"{message.role}: {message.text}" for message in before if message.text.strip())
    return f"The conversation so far:\n{said}\n\nThe question now: {question.text}"


def _conversation(question: str, history: Sequence[ChatMessage]) -> list[Message]:
    return [*from_llamaindex(history), Message("user", question)]
