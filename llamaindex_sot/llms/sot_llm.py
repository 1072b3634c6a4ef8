"""`SkeletonOfThoughtLLM`: an LLM in front of any LLM, for whoever builds on `Settings.llm`."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
    CompletionResponse,
    CompletionResponseAsyncGen,
    CompletionResponseGen,
    LLMMetadata,
    MessageRole,
    TextBlock,
)
from llama_index.core.bridge.pydantic import ConfigDict, PrivateAttr, SerializeAsAny
from llama_index.core.llms import LLM  # noqa: TC002 - pydantic reads it
from llama_index.core.llms.function_calling import FunctionCallingLLM

from llamaindex_sot.answer_run import AnswerRun
from llamaindex_sot.everyday import Everyday, classic, family
from llamaindex_sot.llms.delta_llm import completion
from llamaindex_sot.llms.purpose import question_in
from llamaindex_sot.messages import from_llamaindex, reported
from skeleton_of_thought.errors import ConfigurationError
from skeleton_of_thought.everyday import EverydayOptions, EverydayParameters, takes
from skeleton_of_thought.messages import Message
from skeleton_of_thought.prompts import get_prompts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Unpack

    from skeleton_of_thought.answer import Answer


class SkeletonOfThoughtLLM(FunctionCallingLLM):
    """An LLM whose long answers are written with a skeleton first and all points at the same time.

    For `Settings.llm`, chat engines, agents and workflows: wherever LlamaIndex is given an LLM and a person reads the
    answer. What no person reads goes to the LLM behind it as it is, and comes back as it is: calls with tools or a
    response format, structured predictions, and prompts for steps such as condensing a question, refining, judging.

    The router reads the question found in the usual prompts (`Query: ...`), not the context pasted around it.

    `response.additional_kwargs["sot"]` holds route, reason, skeleton, points, seconds and usage, the last piece of a
    stream included. Callbacks, token counters and instrumentation see the calls of the LLM behind it, once each.

    Args:
        llm: Any LlamaIndex LLM. Its own options, such as a system prompt, hold.
        llm_kwargs: Passed to every call of the LLM.
        max_concurrency: Most requests at once; None for all points.
        everyday: The options every face has, `skeleton_of_thought.EverydayOptions`: `router`, `prompts`,
            `skeleton_model`, `point_model`, `max_points`, `answer_format`, `timeout`, `limiter`, `prices`, ...

    Raises:
        ConfigurationError: An option is wrong.

    Example:
        ```python
        from llama_index.core import Settings
        from llamaindex_sot import SkeletonOfThoughtLLM, TransformersLLM

        Settings.llm = SkeletonOfThoughtLLM(TransformersLLM())
        engine = index.as_chat_engine(chat_mode="condense_plus_context")
        ```
    """

    llm: SerializeAsAny[LLM]

    _everyday: Any = PrivateAttr()
    _prompts: Any = PrivateAttr()

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True, protected_namespaces=())

    @takes(EverydayOptions)
    def __init__(
        self,
        llm: LLM,
        *,
        llm_kwargs: Mapping[str, Any] | None = None,
        max_concurrency: int | None = None,
        **everyday: Unpack[EverydayParameters[LLM]],
    ) -> None:
        super().__init__(
            llm=llm,
            callback_manager=llm.callback_manager,
            messages_to_prompt=llm.messages_to_prompt,
            completion_to_prompt=llm.completion_to_prompt,
            output_parser=llm.output_parser,
        )
        given = EverydayOptions(**everyday)
        chosen = get_prompts(given.prompts or family(llm, given))
        self._prompts = classic(chosen) if given.router == "always" else chosen
        self._everyday = Everyday.of(
            llm,
            self._prompts,
            given,
            max_concurrency=max_concurrency,
            llm_kwargs=dict(llm_kwargs or {}),
        )

    @classmethod
    def class_name(cls) -> str:
        """Name in traces and serialized components."""
        return "SkeletonOfThoughtLLM"

    @property
    def metadata(self) -> LLMMetadata:
        """What LlamaIndex plans with: that of the LLM behind it."""
        return self.llm.metadata

    def _extend_prompt(self, formatted_prompt: str) -> str:
        """A prompt with what the LLM behind puts around every one."""
        return self.llm._extend_prompt(formatted_prompt)  # noqa: SLF001 - it stands for that LLM

    def _extend_messages(self, messages: list[ChatMessage]) -> list[ChatMessage]:
        """Messages with what the LLM behind puts before every conversation."""
        return self.llm._extend_messages(messages)  # noqa: SLF001 - it stands for that LLM

    def _bare(self, messages: Sequence[ChatMessage]) -> Sequence[ChatMessage]:
        """Messages without what `_extend_messages` puts before them: every request of an answer gets that anyway."""
        own = self.llm._extend_messages([])  # noqa: SLF001
        return messages[len(own) :] if list(messages[: len(own)]) == own else messages

    # No callback decorators: the calls inside are told, and would be counted twice.

    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Answer a conversation."""
        question = question_in(self._bare(messages), kwargs)
        if question is None:
            return self._inner.chat(messages, **kwargs)
        writing = _Writing(self, messages, question, kwargs, streaming=False)
        *_, whole = writing.responses()
        return whole

    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Answer a conversation."""
        question = question_in(self._bare(messages), kwargs)
        if question is None:
            return await self._inner.achat(messages, **kwargs)
        writing = _Writing(self, messages, question, kwargs, streaming=False)
        *_, whole = [response async for response in writing.aresponses()]
        return whole

    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        """Answer a conversation piece by piece, in reading order."""
        question = question_in(self._bare(messages), kwargs)
        if question is None:
            return self._inner.stream_chat(messages, **kwargs)
        return _Writing(self, messages, question, kwargs, streaming=True).responses()

    async def astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseAsyncGen:
        """Answer a conversation piece by piece, in reading order."""
        question = question_in(self._bare(messages), kwargs)
        if question is None:
            return await self._inner.astream_chat(messages, **kwargs)
        return _Writing(self, messages, question, kwargs, streaming=True).aresponses()

    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """Answer a prompt; one that is formatted already is the LLM's own."""
        if (asked := self._question_in(prompt, kwargs, formatted=formatted)) is None:
            return self._inner.complete(prompt, formatted=formatted, **kwargs)
        return completion(self.chat(asked, **kwargs))

    async def acomplete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """Answer a prompt; one that is formatted already is the LLM's own."""
        if (asked := self._question_in(prompt, kwargs, formatted=formatted)) is None:
            return await self._inner.acomplete(prompt, formatted=formatted, **kwargs)
        return completion(await self.achat(asked, **kwargs))

    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponseGen:
        """Answer a prompt piece by piece."""
        if (asked := self._question_in(prompt, kwargs, formatted=formatted)) is None:
            return self._inner.stream_complete(prompt, formatted=formatted, **kwargs)
        return (completion(response) for response in self.stream_chat(asked, **kwargs))

    async def astream_complete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponseAsyncGen:
        """Answer a prompt piece by piece."""
        if (asked := self._question_in(prompt, kwargs, formatted=formatted)) is None:
            return await self._inner.astream_complete(prompt, formatted=formatted, **kwargs)
        return (completion(response) async for response in await self.astream_chat(asked, **kwargs))

    # Tools and structured output are the LLM's own.

    def chat_with_tools(self, tools: Any, *args: Any, **kwargs: Any) -> ChatResponse:
        """The LLM's own answer, which may be a tool call."""
        return self._caller.chat_with_tools(tools, *args, **kwargs)

    async def achat_with_tools(self, tools: Any, *args: Any, **kwargs: Any) -> ChatResponse:
        """The LLM's own answer, which may be a tool call."""
        return await self._caller.achat_with_tools(tools, *args, **kwargs)

    def stream_chat_with_tools(self, tools: Any, *args: Any, **kwargs: Any) -> ChatResponseGen:
        """The LLM's own answer, which may be a tool call."""
        return self._caller.stream_chat_with_tools(tools, *args, **kwargs)

    async def astream_chat_with_tools(self, tools: Any, *args: Any, **kwargs: Any) -> ChatResponseAsyncGen:
        """The LLM's own answer, which may be a tool call."""
        return await self._caller.astream_chat_with_tools(tools, *args, **kwargs)

    def get_tool_calls_from_response(self, response: ChatResponse, *args: Any, **kwargs: Any) -> list[Any]:
        """The tool calls in a response of the LLM."""
        return self._caller.get_tool_calls_from_response(response, *args, **kwargs)

    def predict_and_call(self, tools: Any, *args: Any, **kwargs: Any) -> Any:
        """The LLM's own choice of a tool, called."""
        return self._inner.predict_and_call(tools, *args, **kwargs)

    async def apredict_and_call(self, tools: Any, *args: Any, **kwargs: Any) -> Any:
        """The LLM's own choice of a tool, called."""
        return await self._inner.apredict_and_call(tools, *args, **kwargs)

    def _prepare_chat_with_tools(self, tools: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        return self._caller._prepare_chat_with_tools(tools, *args, **kwargs)  # noqa: SLF001

    def as_structured_llm(self, output_cls: Any, **kwargs: Any) -> Any:
        """The LLM's own structured LLM."""
        return self._inner.as_structured_llm(output_cls, **kwargs)

    def structured_predict(self, output_cls: Any, *args: Any, **kwargs: Any) -> Any:
        """The LLM's own structured prediction."""
        return self._inner.structured_predict(output_cls, *args, **kwargs)

    async def astructured_predict(self, output_cls: Any, *args: Any, **kwargs: Any) -> Any:
        """The LLM's own structured prediction."""
        return await self._inner.astructured_predict(output_cls, *args, **kwargs)

    def stream_structured_predict(self, output_cls: Any, *args: Any, **kwargs: Any) -> Any:
        """The LLM's own structured prediction."""
        return self._inner.stream_structured_predict(output_cls, *args, **kwargs)

    async def astream_structured_predict(self, output_cls: Any, *args: Any, **kwargs: Any) -> Any:
        """The LLM's own structured prediction."""
        return await self._inner.astream_structured_predict(output_cls, *args, **kwargs)

    @property
    def _inner(self) -> LLM:
        """The LLM behind it, with the callbacks LlamaIndex has given to this one; the caller's own stays as it is."""
        return _told(self.llm, self)

    @property
    def _caller(self) -> FunctionCallingLLM:
        if not isinstance(self.llm, FunctionCallingLLM):
            raise ConfigurationError(
                f"{self.llm.class_name()} calls no tools, so neither does SkeletonOfThoughtLLM in front of it; use an "
                "LLM whose metadata say is_function_calling_model, or a ReActAgent."
            )
        inner = self._inner
        assert isinstance(inner, FunctionCallingLLM)
        return inner

    def _question_in(
        self, prompt: str, options: Mapping[str, Any], *, formatted: bool
    ) -> list[ChatMessage] | None:
        asked = [ChatMessage(content=prompt)]
        return None if formatted or question_in(asked, options) is None else asked


class _Writing:
    """One answer on its way."""

    def __init__(
        self,
        front: SkeletonOfThoughtLLM,
        messages: Sequence[ChatMessage],
        question: str,
        options: dict[str, Any],
        *,
        streaming: bool,
    ) -> None:
        self._everyday: Everyday = front._everyday.told(lambda llm: _told(llm, front))  # noqa: SLF001
        self._prompts = front._prompts  # noqa: SLF001
        self._messages = from_llamaindex(front._bare(messages))  # noqa: SLF001
        self._to_route = [*self._messages[:-1], Message("user", question)]
        self._calls = self._everyday.calls(self._to_route, streaming=streaming, kwargs=options)
        self._text: list[str] = []
        self._answer: Answer | None = None

    def responses(self) -> ChatResponseGen:
        """The answer growing, and at last the whole of it."""
        run = self._answer_run(self._everyday.decide(self._to_route))
        with contextlib.closing(run.texts(self._calls.send)) as texts:
            for text in texts:
                yield from self._grown(text)
        yield self._whole(run)

    async def aresponses(self) -> ChatResponseAsyncGen:
        """Like `responses`, with asyncio."""
        run = self._answer_run(await self._everyday.adecide(self._to_route))
        async with contextlib.aclosing(run.atexts(self._calls.asend)) as texts:
            async for text in texts:
                for response in self._grown(text):
                    yield response
        yield self._whole(run)

    def _answer_run(self, decision: Any) -> AnswerRun:
        return AnswerRun(
            self._everyday.run(self._messages, self._prompts, decision),
            everyday=self._everyday,
            empty="",
            describe=self._described,
        )

    def _described(self, answer: Answer) -> dict[str, Any]:
        self._answer = answer
        return answer.to_dict(self._everyday.prices)

    def _grown(self, text: str) -> ChatResponseGen:
        if text:
            self._text.append(text)
            yield ChatResponse(message=self._message(), delta=text)

    def _whole(self, run: AnswerRun) -> ChatResponse:
        """The last response: all of the text, and what it cost; a direct answer's is the LLM's own."""
        assert self._answer is not None
        own = run.direct if self._answer.route == "direct" else None
        sot = {"sot": run.metadata}
        if isinstance(own, ChatResponse):
            changed: dict[str, Any] = {"delta": "", "additional_kwargs": {**own.additional_kwargs, **sot}}
            if (own.message.content or "") != self._answer.text:  # it holds the rest of a text that broke off
                others = [block for block in own.message.blocks if not isinstance(block, TextBlock)]
                blocks = [TextBlock(text=self._answer.text), *others]
                changed["message"] = own.message.model_copy(update={"blocks": blocks})
            return own.model_copy(update=changed)
        raw = reported(self._answer.usage) or None
        return ChatResponse(message=self._message(), delta="", raw=raw, additional_kwargs=sot)

    def _message(self) -> ChatMessage:
        return ChatMessage(role=MessageRole.ASSISTANT, content="".join(self._text))


def _told(llm: LLM, front: LLM) -> LLM:
    """The LLM with the callbacks of the one in front of it, if those are others and there are any."""
    callbacks = front.callback_manager
    if callbacks is llm.callback_manager or not callbacks.handlers:
        return llm
    return llm.model_copy(update={"callback_manager": callbacks})
