"""Sends a run's requests through a LlamaIndex LLM: chat or completion, whole or streamed, sync or async."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from llama_index.core.base.llms.types import ChatResponse
from llama_index_instrumentation.dispatcher import active_instrument_tags, instrument_tags
from llama_index_instrumentation.span import active_span_id

from llamaindex_sot.llms.blocking import blocks_event_loop, in_thread
from llamaindex_sot.messages import (
    end_of,
    has_other_content,
    to_llamaindex,
    usage_of,
    was_filtered,
    was_truncated,
)
from llamaindex_sot.model_defaults import is_local, max_stops, own_fields, own_stops
from skeleton_of_thought.reported import Reported
from skeleton_of_thought.request import Delta, Request, as_stops

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator, Mapping

    from llama_index.core.base.llms.types import CompletionResponse
    from llama_index.core.llms import LLM

    from skeleton_of_thought.request import Stage
    from skeleton_of_thought.routing.decision import Decision

TAG = "sot_request"
"""The instrumentation tag of everything that happens in a request: `"skeleton"`, `"point:3"` or `"direct"`."""


class LLMCalls:
    """The calls of one run.

    Args:
        llms: Which LLM answers a stage.
        streaming: Whether to use their streaming methods.
        kwargs: Passed to every call, such as `temperature`.
        route: Asks the router, in a race.
        aroute: The same with asyncio.
    """

    def __init__(
        self,
        llms: Mapping[Stage, LLM],
        *,
        streaming: bool,
        kwargs: Mapping[str, Any],
        route: Callable[[], Decision],
        aroute: Callable[[], Awaitable[Decision]],
    ) -> None:
        self._models = {id(llm): _Model(llm, streaming=streaming, kwargs=kwargs) for llm in llms.values()}
        self._llms = llms
        self._route = route
        self._aroute = aroute
        self.blocking = self._model("direct").blocking
        """Whether the async methods of the LLM that answers directly would block the event loop."""

    def _model(self, stage: Stage) -> _Model:
        return self._models[id(self._llms[stage])]

    def send(self, request: Request) -> Generator[Delta]:
        """Answer one request; blocks, so each request needs a thread."""
        if request.stage == "route":
            yield Delta(raw=self._route())
            return
        yield from self._model(request.stage).send(request)

    async def asend(self, request: Request) -> AsyncGenerator[Delta]:
        """Answer one request without blocking the event loop."""
        if request.stage == "route":
            yield Delta(raw=await self._aroute())
            return
        async for delta in self._model(request.stage).asend(request):
            yield delta


class _Model:
    """One LLM, chat or completion, whole or streamed."""

    def __init__(self, llm: LLM, *, streaming: bool, kwargs: Mapping[str, Any]) -> None:
        self._llm = llm
        self._chat = bool(llm.metadata.is_chat_model)
        self._streaming = streaming
        self._kwargs = kwargs
        kind = "chat" if self._chat else "complete"
        self._span = active_span_id.get()
        self.blocking = blocks_event_loop(getattr(llm, f"astream_{kind}" if streaming else f"a{kind}"))

    def send(self, request: Request) -> Generator[Delta]:
        """Answer one request; blocks, so each request needs a thread."""
        reading = _ResponseReader()
        with tagged(request, self._span):
            for response in self._responses(request):
                yield reading.take(response, streamed=self._streaming)
        yield reading.bill

    async def asend(self, request: Request) -> AsyncGenerator[Delta]:
        """Answer one request without blocking the event loop."""
        if self.blocking:
            async for delta in in_thread(lambda: self.send(request)):
                yield delta
            return
        reading = _ResponseReader()
        with tagged(request, self._span):
            if not self._streaming:
                yield reading.take(await self._one(request), streamed=False)
            else:
                async for response in await self._many(request):
                    yield reading.take(response, streamed=True)
        yield reading.bill

    def _responses(self, request: Request) -> Iterator[ChatResponse | CompletionResponse]:
        kwargs = self._kwargs_for(request)
        llm: Any = self._llm
        if self._chat:
            messages = self._messages(request)
            if self._streaming:
                yield from llm.stream_chat(messages, **kwargs)
            else:
                yield llm.chat(messages, **kwargs)
        elif self._streaming:
            yield from llm.stream_complete(self._prompt(request), formatted=True, **kwargs)
        else:
            yield llm.complete(self._prompt(request), formatted=True, **kwargs)

    async def _one(self, request: Request) -> ChatResponse | CompletionResponse:
        kwargs = self._kwargs_for(request)
        if self._chat:
            return await self._llm.achat(self._messages(request), **kwargs)
        return await self._llm.acomplete(self._prompt(request), formatted=True, **kwargs)

    async def _many(self, request: Request) -> AsyncGenerator[Any]:
        kwargs = self._kwargs_for(request)
        if self._chat:
            return await self._llm.astream_chat(self._messages(request), **kwargs)
        return await self._llm.astream_complete(self._prompt(request), formatted=True, **kwargs)

    def _messages(self, request: Request) -> list[Any]:
        return self._llm._extend_messages(to_llamaindex(request.messages))  # noqa: SLF001 - adds its system prompt

    def _prompt(self, request: Request) -> str:
        """A completion prompt: the conversation, and the beginning of the answer where the request has one."""
        messages, start = request.messages, ""
        if messages[-1].role == "assistant":
            messages, start = messages[:-1], messages[-1].text
        render: Any = self._llm.messages_to_prompt
        return str(render(self._messages(replace(request, messages=messages)))) + start

    def _kwargs_for(self, request: Request) -> dict[str, Any]:
        kwargs = dict(self._kwargs)
        if request.stop:
            given, most = as_stops(kwargs.get("stop") or own_stops(self._llm)), max_stops(self._llm)
            room = None if most is None else max(0, most - len(given))
            kwargs["stop"] = [*given, *request.stop[:room]]
        if request.max_tokens is not None:
            kwargs.setdefault("max_tokens", request.max_tokens)
        if request.fields:
            own = kwargs.get("extra_body") or own_fields(self._llm) or {}
            kwargs["extra_body"] = {**dict(request.fields), **own}
        if is_local(self._llm):
            kwargs = {**request.steering.to_dict(), **kwargs}
        return kwargs


@contextmanager
def tagged(request: Request, span: str | None) -> Iterator[None]:
    """Tag the spans and events inside with the request they belong to, and put them under a span.

    The span is that of the question: a streamed answer is written when the reader wants it, and by then
    another span may be active.
    """
    token = active_span_id.set(span)
    try:
        with instrument_tags({**active_instrument_tags.get(), TAG: request.id}):
            yield
    finally:
        active_span_id.reset(token)


class _ResponseReader:
    """What has been read of one answer."""

    def __init__(self) -> None:
        self._length = 0
        self._reported = Reported()
        self.bill = Delta()

    def take(self, response: ChatResponse | CompletionResponse, *, streamed: bool) -> Delta:
        """The text a response adds; keeps the tokens it reports, a total so far."""
        self.bill = Delta(
            usage=self.bill.usage + self._reported.grown_to(usage_of(response)),
            truncated=was_truncated(response) or self.bill.truncated,
            filtered=was_filtered(response) or self.bill.filtered,
            other_content=has_other_content(response) or self.bill.other_content,
            finish_reason=end_of(response) or self.bill.finish_reason,
        )
        content = response.message.content if isinstance(response, ChatResponse) else response.text
        text = content or ""
        if streamed:
            text = response.delta if response.delta is not None else text[self._length :]
            self._length += len(text)
        return Delta(text, raw=response)
