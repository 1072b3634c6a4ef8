"""One request from the queue to its end."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from skeleton_of_thought.decoding.generation import Generation
from skeleton_of_thought.decoding.request import GenerationResult
from skeleton_of_thought.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Callable

    from skeleton_of_thought.decoding.memory import Chain
    from skeleton_of_thought.decoding.request import FinishReason, GenerationRequest
    from skeleton_of_thought.decoding.sampling import RowSampler
    from skeleton_of_thought.decoding.text import TextStream

_MOST_WRONG_DRAFTS = 2  # in a row


class Job:
    """What the engine knows about a request.

    Args:
        request: What was asked.
        prompt: Its tokens.
        sampler: Chooses its tokens.
        stream: Turns them into text.
        end_ids: Tokens that end it.
        on_cancel: Called once its user cancels it.
    """

    def __init__(
        self,
        request: GenerationRequest,
        prompt: list[int],
        *,
        sampler: RowSampler,
        stream: TextStream,
        end_ids: frozenset[int],
        on_cancel: Callable[[], None],
    ) -> None:
        self.prompt = prompt
        self.sampler = sampler
        self.tokens: list[int] = []
        self.chain: Chain = ()
        self.cached = 0
        self.planned = False
        self.cancelled = False
        self.generation = Generation(self._cancel)
        self.max_tokens = request.max_tokens
        self._stream = stream
        self._end_ids = end_ids
        self._on_cancel = on_cancel
        self._wrong_drafts = 0
        self._submitted = time.perf_counter()

    def add(self, token: int) -> bool:
        """Take the next token and give out its text; returns whether it was the last one."""
        self.tokens.append(token)
        if token in self._end_ids:
            self.end("stop")
            return True
        if text := self._stream.push(token):
            self.generation.push(text)
        if self._stream.stopped:
            self.end("stop")
            return True
        if len(self.tokens) >= self.max_tokens:
            self.end("length")
            return True
        return False

    def draft(self) -> list[int]:
        """Tokens that probably come next, often none; a text whose drafts were wrong is not asked again."""
        room = self.max_tokens - len(self.tokens) - 1
        return self._stream.draft()[:room] if self._wrong_drafts < _MOST_WRONG_DRAFTS else []

    def judge(self, *, draft_was_right: bool) -> None:
        """Learn from how a draft ended."""
        self._wrong_drafts = 0 if draft_was_right else self._wrong_drafts + 1

    def end(self, reason: FinishReason) -> None:
        """Give out what was held back, and the result."""
        if rest := self._stream.end():
            self.generation.push(rest)
        usage = Usage(len(self.prompt), len(self.tokens), self.cached)
        seconds = time.perf_counter() - self._submitted
        self.generation.finish(
            GenerationResult(self._stream.text, reason, usage, seconds, tuple(self.tokens))
        )

    def fail(self, error: BaseException) -> None:
        """End it with an error."""
        self.generation.finish(None, error)

    def _cancel(self) -> None:
        if not self.generation.done:
            self.cancelled = True
            self._on_cancel()
