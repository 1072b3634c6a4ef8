"""How the requests of a run are told to callbacks: who hears what, so that order and bill stay true.

Points are written at the same time. A listener that took their tokens as they come would show them mixed up, and one
that adds up usage would count a request twice if it heard both of it and of the model in front. So there are two ways:

* `ModelRuns`, for the chain, which is no chat model itself: every request is the model's own run, with its usage, a
  child of the chain's. Its tokens are not told; the chain tells the answer's in reading order (`listeners`).
* `Steps`, for `ChatSkeletonOfThought`, whose own run has the tokens and the bill: a request is a plain step of it,
  with its messages and its output.

A handler put on the inner model itself (`ChatOpenAI(callbacks=[...])`) hears everything in both.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from typing import TYPE_CHECKING, Any, Self

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.callbacks.manager import ahandle_event
from langchain_core.messages import AIMessageChunk
from langchain_core.runnables.config import patch_config
from langchain_core.tracers.context import _configure_hooks
from langsmith.run_helpers import tracing_context

from langchain_sot.listeners import without_tokens

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator, Sequence
    from contextlib import AbstractContextManager
    from uuid import UUID

    from langchain_core.callbacks import AsyncCallbackManagerForChainRun, CallbackManagerForChainRun
    from langchain_core.messages import BaseMessage
    from langchain_core.runnables import RunnableConfig

    from skeleton_of_thought.request import Request

NO_STREAM = "nostream"
"""LangGraph's tag for models whose messages `stream_mode="messages"` leaves out."""


def _name(request: Request) -> str:
    return request.id.replace(":", " ")


class ModelRuns:
    """Requests are runs of the model, children of the chain's run.

    Args:
        config: The chain's config.
        run: The chain's run.
    """

    def __init__(
        self, config: RunnableConfig, run: CallbackManagerForChainRun | AsyncCallbackManagerForChainRun
    ) -> None:
        self._config = config
        self._run = run

    def report(self, request: Request, messages: Sequence[BaseMessage], **config: Any) -> ModelRun:  # noqa: ARG002
        """The reporter of one request; `config` is added to the config of its call."""
        child = self._run.get_child(f"sot:{request.id}")
        child.add_tags([NO_STREAM])
        child.handlers = without_tokens(child.handlers)
        child.inheritable_handlers = without_tokens(child.inheritable_handlers)
        return ModelRun(patch_config(self._config, callbacks=child, run_name=_name(request)) | config)  # type: ignore[arg-type]

    def around(self) -> AbstractContextManager[None]:
        """A context for the calls to the models, in which callbacks are set up."""
        return contextlib.nullcontext()


class ModelRun:
    """One request of a chain: its model tells everything by itself, but for its cancellation."""

    def __init__(self, config: RunnableConfig) -> None:
        self.config = config
        self._open: OpenRuns | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    async def __aenter__(self) -> Self:
        callbacks: Any = self.config["callbacks"]
        if callbacks.handlers:
            self._open = OpenRuns()
            callbacks.add_handler(self._open, inherit=True)
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if self._open is not None and error is not None and not isinstance(error, Exception):
            callbacks: Any = self.config["callbacks"]
            await _to_its_end(self._open.end(error, callbacks.handlers))

    async def answered(self, call: Coroutine[Any, Any, Any]) -> Any:
        """What a call returns; given up, it ends its telling first."""
        if self._open is None:
            return await call
        task = asyncio.create_task(call)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            await _to_its_end(self._open.give_up(task))
            raise

    def ended(self, output: Any) -> None:
        """The request has ended, with this outcome."""

    def grew(self, chunk: Any) -> None:
        """The answer to the request grew by this."""


async def _to_its_end(work: Coroutine[Any, Any, None]) -> None:
    """Do what must not be left half done, however often a driver cancels meanwhile."""
    task = asyncio.create_task(work)
    while not task.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.shield(task)


class OpenRuns(BaseCallbackHandler):
    """Runs that began and have not ended: LangChain tells nobody when a chat model's `ainvoke` is cancelled."""

    run_inline = True

    def __init__(self) -> None:
        self._runs: dict[UUID, tuple[str, UUID | None]] = {}
        self._told = 0

    def _begin(self, *_: Any, kind: str, run_id: UUID, parent_run_id: UUID | None = None, **__: Any) -> None:
        self._told += 1
        self._runs[run_id] = kind, parent_run_id

    def _finish(self, *_: Any, run_id: UUID, **__: Any) -> None:
        self._told += 1
        self._runs.pop(run_id, None)

    def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
        """A model was asked."""
        self._begin(*args, **{**kwargs, "kind": "llm"})

    def on_chain_start(self, *args: Any, **kwargs: Any) -> None:
        """A runnable around it began."""
        self._begin(*args, **{**kwargs, "kind": "chain"})

    on_llm_end = on_llm_error = on_chain_end = on_chain_error = _finish

    async def give_up(self, call: asyncio.Task[Any]) -> None:
        """Cancel a call, but not while handlers are being told of something.

        LangChain tells those that are not asynchronous in the event loop's threads, after those that are
        `run_inline`, as this one is: a cancellation in between leaves a run ended for this one and pending for the
        others. The threads take their work in its order, so what was handed out before has begun when ours has.
        """
        told = None
        while told != self._told and not call.done():
            told = self._told
            await asyncio.sleep(0)  # the telling is handed out
            await asyncio.get_running_loop().run_in_executor(None, int)
        while not call.done():  # some models lose a cancellation that meets a result
            call.cancel()
            await asyncio.wait([call], timeout=0.1)

    async def end(self, error: BaseException, handlers: list[BaseCallbackHandler]) -> None:
        """Tell the handlers that what is open ends with this error, the innermost first."""
        for run_id, (kind, parent) in reversed(list(self._runs.items())):
            del self._runs[run_id]
            ignored = "ignore_llm" if kind == "llm" else "ignore_chain"
            await ahandle_event(
                handlers, f"on_{kind}_error", ignored, error, run_id=run_id, parent_run_id=parent
            )


class Steps:
    """Requests are steps of the run of the model in front; the models inside tell nobody else.

    Args:
        config: The config of the call.
        run: The run of the model in front; None if nobody hears of it.
    """

    def __init__(
        self, config: RunnableConfig, run: CallbackManagerForChainRun | AsyncCallbackManagerForChainRun | None
    ) -> None:
        self._config = config
        self._run = run if run is not None and run.handlers else None

    def report(self, request: Request, messages: Sequence[BaseMessage], **config: Any) -> Step:
        """The reporter of one request; `config` is added to the config of its call."""
        own: Any = patch_config(self._config, callbacks=None, run_name=_name(request)) | config
        own["callbacks"] = []  # None would be taken from the surrounding run
        return Step(request, messages, own, self._run)

    def around(self) -> AbstractContextManager[None]:
        """A context for the calls to the models, in which callbacks are set up."""
        return silence()


class Step:
    """One request of the model in front, as a run that is not a chat model's."""

    def __init__(
        self,
        request: Request,
        messages: Sequence[BaseMessage],
        config: RunnableConfig,
        run: Any,
    ) -> None:
        self.config = config
        self._request = request
        self._messages = messages
        self._parent = run
        self._run: Any = None
        self._output: Any = None
        self._chunks: list[Any] = []

    def _start(self) -> Any:
        child = self._parent.get_child(f"sot:{self._request.id}")
        child.add_tags([NO_STREAM])
        inputs = {"messages": list(self._messages)}
        return child.on_chain_start(None, inputs, name=_name(self._request))

    def __enter__(self) -> Self:
        if self._parent is not None:
            self._run = self._start()
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if self._run is not None:
            tell, what = self._end(error)
            tell(what)

    async def __aenter__(self) -> Self:
        if self._parent is not None:
            self._run = await self._start()
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if self._run is not None:
            tell, what = self._end(error)
            await tell(what)

    def _end(self, error: BaseException | None) -> tuple[Any, Any]:
        failure = error or (self._output if isinstance(self._output, BaseException) else None)
        if failure is not None:
            return self._run.on_chain_error, failure
        return self._run.on_chain_end, {
            "output": self._output if self._chunks == [] else _added(self._chunks)
        }

    async def answered(self, call: Coroutine[Any, Any, Any]) -> Any:
        """What a call returns."""
        return await call

    def ended(self, output: Any) -> None:
        """The request has ended: with what the model returned, or its error."""
        self._output = output

    def grew(self, chunk: Any) -> None:
        """The answer to the request grew by this."""
        if self._run is not None:
            self._chunks.append(chunk)


def _added(chunks: list[Any]) -> Any:
    if all(isinstance(chunk, AIMessageChunk) for chunk in chunks):
        first, *rest = chunks
        return first.__add__(rest) if rest else first
    return chunks[-1] if len(chunks) == 1 else chunks


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Calls inside are heard only by the handlers that the models carry themselves.

    Callbacks travel by config, which `Steps` leaves empty, and by context variable: `get_usage_metadata_callback`,
    LangSmith's tracer, OpenInference's. Without this the same tokens would be counted once more there.
    """
    with contextlib.ExitStack() as stack:
        for hook in _configure_hooks:
            variable = hook[0]
            if variable.get() is not None:
                stack.callback(variable.reset, variable.set(None))
        stack.enter_context(tracing_context(enabled=False))
        instrumentation = sys.modules.get("openinference.instrumentation")
        if instrumentation is not None:
            stack.enter_context(instrumentation.suppress_tracing())
        yield
