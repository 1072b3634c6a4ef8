"""One thread, one queue: whatever is asked for at the same time is decoded in the same steps."""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any, NoReturn

from skeleton_of_thought.decoding._generation import Generation
from skeleton_of_thought.decoding._model import Forward, Row
from skeleton_of_thought.decoding._prompt import PromptEncoder
from skeleton_of_thought.decoding._request import FinishReason, GenerationRequest, GenerationResult
from skeleton_of_thought.decoding._sampling import Defaults, RowSampler
from skeleton_of_thought.decoding._text import TextStream
from skeleton_of_thought.errors import ContextOverflowError, DecodingError, EngineClosedError, QueueFullError
from skeleton_of_thought.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

logger = logging.getLogger(__name__)

_GATHER_SECONDS = 0.003


class _Job:
    """One request from queue to end."""

    def __init__(self, request: GenerationRequest, prompt: list[int], generation: Generation) -> None:
        self.request = request
        self.prompt = prompt
        self.generation = generation
        self.submitted = time.perf_counter()
        self.tokens: list[int] = []
        self.cached = 0
        self.cancelled = False
        self.row = Row()
        self.sampler: RowSampler
        self.stream: TextStream


class Engine:
    """Decodes every request that is there at the same time in one batch.

    Args:
        model: A transformers causal language model, on its device. It is not changed.
        tokenizer: Its tokenizer. It is not changed.
        max_batch: Most rows decoded together.
        max_queue: Most requests that wait; more raise `QueueFullError`.
        prefix_cache_tokens: Tokens whose keys and values stay in memory for requests that begin alike.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        max_batch: int = 32,
        max_queue: int = 1024,
        prefix_cache_tokens: int = 16384,
    ) -> None:
        self._pid = os.getpid()
        self._tokenizer = tokenizer
        self._core = _Core(model, tokenizer, max_batch=max_batch, max_queue=max_queue)
        self._encoder = PromptEncoder(tokenizer)
        self._finalizer = weakref.finalize(self, self._core.close)

    @property
    def max_batch(self) -> int:
        """Most rows decoded together."""
        return self._core.max_batch

    @property
    def queued(self) -> int:
        """Requests that wait for a row."""
        return len(self._core.waiting)

    @property
    def running(self) -> int:
        """Rows being decoded."""
        return len(self._core.active)

    @property
    def closed(self) -> bool:
        return self._core.closed or os.getpid() != self._pid

    def submit(self, request: GenerationRequest) -> Generation:
        """Queue one request."""
        generation = self.submit_many([request])[0]
        if generation._error is not None:
            raise generation._error
        return generation

    def submit_many(self, requests: Sequence[GenerationRequest]) -> list[Generation]:
        """Queue requests so that they enter in one step; a bad one fails alone, in its `Generation`."""
        self._check()
        jobs = []
        generations = []
        for request in requests:
            generation = Generation(self._core.cancel)
            generations.append(generation)
            try:
                jobs.append(_Job(request, self._encode(request), generation))
            except Exception as error:  # noqa: BLE001
                generation.finish(None, error)
        self._core.enqueue(jobs)
        return generations

    def close(self) -> None:
        self._finalizer()

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        raise EngineClosedError("An Engine cannot be pickled or copied: make one in each process.")

    @property
    def tokenizer(self) -> Any:
        """The caller's tokenizer."""
        return self._tokenizer

    def encode(
        self, messages: Sequence[Mapping[str, Any]], continue_final_message: bool = False
    ) -> list[int]:
        """Token ids of a conversation, as `submit` encodes it."""
        return self._encoder.encode(messages, continue_final_message=continue_final_message)

    def _encode(self, request: GenerationRequest) -> list[int]:
        if request.input_ids is not None:
            prompt = [int(t) for t in request.input_ids]
        else:
            assert request.messages is not None
            prompt = self._encoder.encode(
                request.messages, continue_final_message=request.continue_final_message
            )
        limit = self._core.context
        if limit is not None and len(prompt) + request.max_tokens > limit:
            raise ContextOverflowError(
                f"The prompt has {len(prompt)} tokens and max_tokens is {request.max_tokens}, together "
                f"{len(prompt) + request.max_tokens}; the model's context has {limit}. Shorten the prompt or lower max_tokens."
            )
        return prompt

    def _check(self) -> None:
        if os.getpid() != self._pid:
            raise EngineClosedError(
                f"This engine belongs to process {self._pid}; a forked process needs its own. Make it after the fork."
            )
        if self._core.closed:
            raise EngineClosedError("The engine is closed. Make a new one.")


class _Core:
    def __init__(self, model: Any, tokenizer: Any, *, max_batch: int, max_queue: int) -> None:
        self.max_batch = max_batch
        self.max_queue = max_queue
        self.forward = Forward(model)
        self.backend = tokenizer._tokenizer
        gc = model.generation_config
        self.defaults = Defaults.of(gc)
        eos = gc.eos_token_id if gc.eos_token_id is not None else tokenizer.eos_token_id
        self.eos = frozenset(eos if isinstance(eos, list) else [eos])
        self.context = getattr(model.config.get_text_config(), "max_position_embeddings", None)
        self.waiting: deque[_Job] = deque()
        self.active: list[_Job] = []
        self.news = threading.Condition()
        self.closed = False
        self.thread = threading.Thread(target=self.run, name="skeleton-of-thought-engine", daemon=True)
        self.thread.start()

    def enqueue(self, jobs: list[_Job]) -> None:
        with self.news:
            if self.closed:
                raise EngineClosedError("The engine is closed. Make a new one.")
            if len(self.waiting) + len(jobs) > self.max_queue:
                raise QueueFullError(
                    f"{len(self.waiting)} requests wait and {len(jobs)} more do not fit max_queue={self.max_queue}."
                )
            self.waiting.extend(jobs)
            self.news.notify_all()

    def cancel(self, generation: Generation) -> None:
        with self.news:
            for job in [*self.waiting, *self.active]:
                if job.generation is generation:
                    job.cancelled = True
            self.news.notify_all()

    def close(self) -> None:
        with self.news:
            self.closed = True
            self.news.notify_all()
        if threading.current_thread() is not self.thread:
            self.thread.join(10)

    def run(self) -> None:
        while True:
            with self.news:
                idle = not self.active
                self.news.wait_for(lambda: self.closed or self.waiting or self.active)
                if self.closed:
                    break
                if idle:
                    end = time.monotonic() + _GATHER_SECONDS
                    while (left := end - time.monotonic()) > 0:
                        self.news.wait(left)
                fresh = []
                while self.waiting and len(self.active) < self.max_batch:
                    job = self.waiting.popleft()
                    self.active.append(job)
                    fresh.append(job)
            try:
                self.step()
            except Exception as error:
                logger.exception("a decoding step failed")
                for job in self.active:
                    job.generation.finish(None, DecodingError(f"Decoding failed: {error}"))
                self.active = []
        for job in [*self.waiting, *self.active]:
            job.generation.finish(
                None, EngineClosedError("The engine was closed before the text was finished.")
            )

    def step(self) -> None:
        for job in list(self.active):
            if job.cancelled:
                self.end(job, "cancelled")
        if not self.active:
            return
        for job in self.active:
            if not job.tokens:
                job.sampler = RowSampler(job.request, self.defaults, job.prompt)
                job.stream = TextStream(
                    self.backend,
                    stop=job.request.stop,
                    context=job.prompt if job.request.continue_final_message else (),
                )
        logits = self.forward([(j.row, j.tokens[-1:] or j.prompt) for j in self.active])
        best = logits.argmax(-1).tolist()
        for i, job in enumerate(list(self.active)):
            token = best[i] if job.sampler.plain else job.sampler.choose(logits[i])
            job.tokens.append(token)
            if token in self.eos and not job.request.ignore_eos:
                self.end(job, "stop")
                continue
            text = job.stream.push(token)
            if text:
                job.generation.push(text)
            if job.stream.stopped:
                self.end(job, "stop")
            elif len(job.tokens) >= job.request.max_tokens:
                self.end(job, "length")

    def end(self, job: _Job, reason: FinishReason) -> None:
        self.active.remove(job)
        text = ""
        if hasattr(job, "stream"):
            if rest := job.stream.end():
                job.generation.push(rest)
            text = job.stream.text
        job.generation.finish(
            GenerationResult(
                text=text,
                finish_reason=reason,
                usage=Usage(len(job.prompt), len(job.tokens), job.cached),
                seconds=time.perf_counter() - job.submitted,
                token_ids=tuple(job.tokens),
            )
        )
