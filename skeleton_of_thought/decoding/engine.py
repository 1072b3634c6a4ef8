"""One thread, one queue: whatever is asked for at the same time is decoded in the same steps."""

from __future__ import annotations

import os
import threading
import time
import weakref
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn, Self

import torch

from skeleton_of_thought.decoding.generation import Generation
from skeleton_of_thought.decoding.job import Job
from skeleton_of_thought.decoding.loading import load_model
from skeleton_of_thought.decoding.prompt import PromptEncoder
from skeleton_of_thought.decoding.sampling import Defaults, RowSampler
from skeleton_of_thought.decoding.scheduler import Scheduler
from skeleton_of_thought.decoding.text import TextStream
from skeleton_of_thought.decoding.thread_tuner import ThreadTuner, threads_for_a_while, threads_to_use
from skeleton_of_thought.decoding.threads import in_passing
from skeleton_of_thought.decoding.view import ModelView
from skeleton_of_thought.decoding.vocabulary import Vocabulary
from skeleton_of_thought.errors import (
    ConfigurationError,
    ContextOverflowError,
    EngineClosedError,
    QueueFullError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from skeleton_of_thought.decoding.request import GenerationRequest

_GATHER_SECONDS = 0.008  # an idle engine waits this long after a request for the next one of a group
_GATHER_LONGEST = 0.06
_JOIN_SECONDS = 30


class Engine:
    """Decodes every request that is there at the same time in one batch.

    Requests join between two steps and leave when they are finished. What prompts have in common is computed
    once. Greedy texts in float32 are, token for token, what decoding each request alone gives.

    Thread-safe. The engine's thread is a daemon and ends with `close`, with the engine's last reference or
    with the interpreter, whichever comes first.

    Args:
        model: A transformers causal language model, on its device. It is not changed.
        tokenizer: Its tokenizer. It is not changed.
        max_batch: Most rows decoded together.
        max_queue: Most requests that wait; more raise `QueueFullError`.
        prefix_cache_tokens: Tokens whose keys and values stay in memory for prompts that begin alike.

    Raises:
        ConfigurationError: The engine cannot serve this model or tokenizer; the message says why.

    Example:
        ```python
        from skeleton_of_thought.decoding import Engine, GenerationRequest

        with Engine.load("local") as engine:
            question = [{"role": "user", "content": "What is the capital of France?"}]
            engine.submit(GenerationRequest(messages=question, max_tokens=20)).result().text
        ```
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        max_batch: int = 32,
        max_queue: int = 65_536,
        prefix_cache_tokens: int = 8192,
    ) -> None:
        for name, value, least in (
            ("max_batch", max_batch, 1),
            ("max_queue", max_queue, 1),
            ("prefix_cache_tokens", prefix_cache_tokens, 0),
        ):
            if value < least:
                raise ConfigurationError(f"{name} is {value}; it must be at least {least}.")
        self.tokenizer = tokenizer
        self.max_batch = max_batch
        self._pid = os.getpid()
        self._encoder = PromptEncoder(tokenizer)
        view = in_passing(lambda: _view(model))
        self._context = view.context
        self._vocabulary = Vocabulary(self._encoder.decoder, view.vocabulary)
        self._defaults = Defaults.of(model.generation_config)
        self._end_ids = _end_ids(model, tokenizer)
        self._worker = _Worker(
            Scheduler(view, max_batch=max_batch, prefix_cache_tokens=prefix_cache_tokens), max_queue
        )
        self._finalizer = weakref.finalize(self, _Worker.close, self._worker)

    @classmethod
    def load(
        cls,
        name: str = "local",
        *,
        dtype: str = "auto",
        device: str = "auto",
        revision: str | None = None,
        model_kwargs: Mapping[str, Any] | None = None,
        **options: int,
    ) -> Self:
        """An engine for a model by name: the arguments of `load_model`, then those of the class."""
        return cls(
            *load_model(name, dtype=dtype, device=device, revision=revision, model_kwargs=model_kwargs),
            **options,
        )

    @property
    def context_window(self) -> int | None:
        """Most tokens of prompt and answer together; None if the model names no limit."""
        return self._context

    @property
    def queued(self) -> int:
        """Requests that wait for a row."""
        return len(self._worker.scheduler.waiting)

    @property
    def running(self) -> int:
        """Requests that have a row or whose prompt is being read."""
        return self._worker.scheduler.running

    @property
    def occupancy(self) -> float:
        """Requests, running and waiting, per row of the batch: 0 is idle, from 1 on new ones wait."""
        return (self.queued + self.running) / self.max_batch

    @property
    def closed(self) -> bool:
        """Whether requests are refused here: after `close`, and in a forked process."""
        return self._worker.closed or os.getpid() != self._pid

    def submit(self, request: GenerationRequest) -> Generation:
        """Queue one request.

        Raises:
            ContextOverflowError: Prompt and answer do not fit the model's context.
            QueueFullError: Too many requests wait already.
            EngineClosedError: The engine was closed, or the process is a fork of its own.
            ConfigurationError: The prompt cannot be encoded.
        """
        self._check_open()
        with self._worker.announced():
            job = self._job(request)
        self._worker.put([job])
        return job.generation

    def submit_many(self, requests: Sequence[GenerationRequest]) -> list[Generation]:
        """Queue requests so that they enter in one step.

        A bad request fails alone: its `Generation` raises what `submit` would have raised.
        """
        self._check_open()
        jobs: list[Job] = []
        generations: list[Generation] = []
        for request in requests:
            try:
                job = self._job(request)
            except ConfigurationError as error:
                generations.append(Generation.failed(error))
            except ContextOverflowError as error:
                generations.append(Generation.failed(error))
            else:
                jobs.append(job)
                generations.append(job.generation)
        self._worker.put(jobs)
        return generations

    def encode(
        self, messages: Sequence[Mapping[str, Any]], *, continue_final_message: bool = False
    ) -> list[int]:
        """Token ids of a conversation, as `submit` encodes it."""
        return self._encoder.encode(messages, continue_final_message=continue_final_message)

    def close(self) -> None:
        """End the engine's thread; whatever is not finished raises `EngineClosedError`."""
        self._finalizer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        raise EngineClosedError("An Engine cannot be pickled or copied; make one in each process.")

    def _job(self, request: GenerationRequest) -> Job:
        prompt = self._prompt(request)
        return Job(
            request,
            prompt,
            sampler=RowSampler(
                request, self._defaults, prompt, suppressed=self._vocabulary.containing(request.suppress)
            ),
            stream=TextStream(
                self._encoder.decoder,
                stop=request.stop,
                soft_max_tokens=request.soft_max_tokens,
                context=prompt if request.continue_final_message else (),
            ),
            end_ids=frozenset() if request.ignore_eos else self._end_ids,
            on_cancel=self._worker.wake_to_cancel,
        )

    def _prompt(self, request: GenerationRequest) -> list[int]:
        if request.messages is not None:
            prompt = self.encode(request.messages, continue_final_message=request.continue_final_message)
        else:
            prompt = [int(token) for token in request.input_ids or ()]
        if not prompt or min(prompt) < 0 or max(prompt) >= self._vocabulary.size:
            raise ConfigurationError(
                f"The prompt needs at least one token, and each from 0 to {self._vocabulary.size - 1}; got "
                + (f"tokens from {min(prompt)} to {max(prompt)}." if prompt else "none.")
            )
        if self._context is not None and len(prompt) + request.max_tokens > self._context:
            raise ContextOverflowError(
                f"The prompt has {len(prompt)} tokens and max_tokens is {request.max_tokens}: together "
                f"{len(prompt) + request.max_tokens}, and the model's context holds {self._context}. "
                "Shorten the prompt or lower max_tokens."
            )
        return prompt

    def _check_open(self) -> None:
        if os.getpid() != self._pid:
            raise EngineClosedError(
                f"This engine belongs to process {self._pid}; a forked process cannot use it. "
                "Make an engine in the process that uses it, after the fork."
            )
        if self._worker.closed:
            raise EngineClosedError("The engine is closed; make a new one.")


class _Worker:
    """The engine's thread. It does not know the engine, so that an engine nobody holds can end it."""

    def __init__(self, scheduler: Scheduler, max_queue: int) -> None:
        self.scheduler = scheduler
        self.closed = False
        self.arriving = 0
        self._pid = os.getpid()
        self._max_queue = max_queue
        self._news = threading.Condition()
        self._cancelled = False
        self._tuner: ThreadTuner | None = None
        self._thread = threading.Thread(target=self._run, name="skeleton-of-thought-decoding", daemon=True)
        self._thread.start()

    def put(self, jobs: Sequence[Job]) -> None:
        """Queue jobs, all or none."""
        with self._news:
            if self.closed:
                raise EngineClosedError("The engine is closed; make a new one.")
            waiting = len(self.scheduler.waiting)
            if waiting + len(jobs) > self._max_queue:
                raise QueueFullError(
                    f"{waiting} requests wait and {len(jobs)} more would pass the limit of {self._max_queue}. "
                    "Try again later, or give the engine a larger max_queue."
                )
            self.scheduler.waiting.extend(jobs)
            self._news.notify_all()

    @contextmanager
    def announced(self) -> Iterator[None]:
        """A request is being prepared: an idle engine waits a moment for it."""
        with self._news:
            self.arriving += 1
        try:
            yield
        finally:
            with self._news:
                self.arriving -= 1

    def wake_to_cancel(self) -> None:
        """Some job was cancelled."""
        with self._news:
            self._cancelled = True
            self._news.notify_all()

    def close(self) -> None:
        """End the thread and wait for it, at most for the step it is in."""
        if os.getpid() != self._pid:
            return  # a fork has no such thread, and its copy of the lock may be held for ever
        with self._news:
            self.closed = True
            self._news.notify_all()
        if threading.current_thread() is not self._thread and self._thread.is_alive():
            self._thread.join(_JOIN_SECONDS)

    def _run(self) -> None:
        scheduler = self.scheduler
        self._tuner = ThreadTuner(threads_to_use()) if scheduler.on_cpu else None
        while True:
            with self._news:
                if not scheduler.busy:
                    self._wait_for_work()
                if self.closed:
                    break
                if self._cancelled:
                    self._cancelled = False
                    scheduler.drop_cancelled()
            self._step()
        scheduler.fail_running(_closed_early)
        for job in scheduler.waiting:
            job.fail(_closed_early())

    def _step(self) -> None:
        """One step, with the threads that suit the machine as it is now; other threads' numbers are left alone."""
        tuner = self._tuner
        if tuner is None:
            self.scheduler.step()
            return
        usual, start = torch.get_num_threads(), time.perf_counter()
        if usual != tuner.threads:
            torch.set_num_threads(tuner.threads)
        try:
            rows = self.scheduler.step()
        finally:
            if usual != tuner.threads:
                torch.set_num_threads(usual)
        tuner.took(rows, time.perf_counter() - start)

    def _wait_for_work(self) -> None:
        """Wait for the first request and a moment longer: what comes together begins together."""
        waiting = self.scheduler.waiting
        self._news.wait_for(lambda: self.closed or waiting)
        end, count = time.monotonic() + _GATHER_LONGEST, 0
        while not self.closed and (self.arriving or len(waiting) > count) and time.monotonic() < end:
            count = len(waiting)
            self._news.wait(_GATHER_SECONDS)


def _view(model: Any) -> ModelView:
    with threads_for_a_while():
        return ModelView(model)


def _closed_early() -> EngineClosedError:
    return EngineClosedError("The engine was closed before the text was finished.")


def _end_ids(model: Any, tokenizer: Any) -> frozenset[int]:
    """Tokens that end a text: those of the generation config, else the tokenizer's."""
    ids = model.generation_config.eos_token_id
    if ids is None:
        ids = tokenizer.eos_token_id
    if ids is None:
        return frozenset()
    return frozenset(ids if isinstance(ids, list) else [ids])
