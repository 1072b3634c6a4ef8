"""Decides, step by step, which tokens go through the model together."""

from __future__ import annotations

import logging
from collections import Counter, deque
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import torch

from skeleton_of_thought.decoding.attention import Fill, FlatPass
from skeleton_of_thought.decoding.memory import Chain, Segment, Slots
from skeleton_of_thought.decoding.prefixes import PrefixTree, common_prefix
from skeleton_of_thought.decoding.rows import DecodeRow
from skeleton_of_thought.decoding.sampling import penalised
from skeleton_of_thought.errors import DecodingError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from skeleton_of_thought.decoding.job import Job
    from skeleton_of_thought.decoding.view import ModelView

logger = logging.getLogger(__name__)

_PASS_TOKENS = 512  # of prompts per step: more would make the rows that decode wait
_FEWEST_PASS_TOKENS = 16
_SHARED = 16  # a common beginning of fewer tokens is not worth a segment of its own
_KEPT = 16  # an answer of fewer tokens is not worth keeping
_IDLE_SLOTS = 16  # more are given back when nothing is left to do: the next wave makes them anew
# A shared segment is read in place if that is cheaper than a copy in every slot: measured on a CPU.
_IN_PLACE_SAVED = 384
_IN_PLACE_ALWAYS = 1024


@dataclass(slots=True)
class _Row:
    """A text being decoded.

    Attributes:
        job: Its request.
        shared: The segments of its prompt it reads in place.
        past: The same tokens, as one segment.
        length: Tokens in its slot, which follow those of `past`.
        position: Tokens that have been through the model.
    """

    job: Job
    shared: Chain
    past: Chain
    length: int
    position: int


@dataclass(slots=True)
class _Filling:
    """A segment on its way, what comes before it, and where it begins."""

    segment: Segment
    past: Chain
    position: int


class Scheduler:
    """All requests of an engine, moved on by one step at a time. Not thread-safe.

    A prompt becomes a chain of segments; those that are not in memory are filled, a bounded number of tokens
    per step, beside the rows that decode. What prompts have in common is one segment, filled once. When the
    last segment of a prompt is filled, its row has its first token and decodes on in a slot.

    Args:
        view: The model.
        max_batch: Most rows.
        prefix_cache_tokens: Tokens of segments to keep for later.

    Attributes:
        waiting: Requests not yet begun.
        filling: Requests whose prompt is on its way.
        rows: Texts being decoded; the index of a row is its slot.
    """

    def __init__(self, view: ModelView, *, max_batch: int, prefix_cache_tokens: int) -> None:
        self.waiting: deque[Job] = deque()
        self.filling: list[Job] = []
        self.rows: list[_Row] = []
        self._view = view
        self._max_batch = max_batch
        self._limit = max_batch
        self._pass_tokens = _PASS_TOKENS
        self._room = view.layout.tokens_that_fit()
        self._slots = Slots(view.layout)
        self._tree = PrefixTree(view.layout, prefix_cache_tokens)
        self._queue: deque[_Filling] = deque()

    @property
    def busy(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.waiting or self.filling or self.rows)

    @property
    def running(self) -> int:
        """Requests that have begun."""
        return len(self.filling) + len(self.rows)

    @property
    def on_cpu(self) -> bool:
        """Whether the model is on the CPU, all of it."""
        return all(shape.device.type == "cpu" for shape, _ in self._view.layout.groups)

    def step(self) -> int:
        """Move every request on by at most one token. Errors end the requests they concern, and never escape.

        Returns:
            Texts that got a token, if that is all that was computed, else 0.
        """
        decoded = 0
        try:
            self._admit()
            decoded = self._advance()
        except Exception as error:  # noqa: BLE001 - told to whom it concerns
            self._give_up(error)
        if not self.busy:
            self._limit, self._pass_tokens = self._max_batch, _PASS_TOKENS
            if self._slots.slots > _IDLE_SLOTS:
                self._slots.release()
        return decoded

    def drop_cancelled(self) -> None:
        """End what was cancelled and free its row; where memory runs out, nothing is kept of what it computed."""
        try:
            self._drop_cancelled()
        except Exception as error:  # noqa: BLE001 - as in a step
            self._give_up(error)

    def _drop_cancelled(self) -> None:
        for job in [job for job in self.waiting if job.cancelled]:
            self.waiting.remove(job)
            job.end("cancelled")
        for job in [job for job in self.filling if job.cancelled]:
            self.filling.remove(job)
            self._unplan(job)
            job.end("cancelled")
        for row in [row for row in self.rows if row.job.cancelled]:
            row.job.end("cancelled")
            self._leave(row)
        self._tree.evict()

    def fail_running(self, error: Callable[[], Exception]) -> None:
        """End everything that has begun, each with an error of its own, and forget what it computed."""
        for job in self._forget():
            job.fail(error())

    def _admit(self) -> None:
        """Begin as many waiting requests as there is room for, and plan what of their prompts is to be filled."""
        wave: list[Job] = []
        begun = [*(row.job for row in self.rows), *self.filling]
        while (
            self.waiting
            and len(begun) < self._limit
            and (not begun or self._has_room(begun, self.waiting[0]))
        ):
            wave.append(self.waiting.popleft())
            begun.append(wave[-1])
        texts = [job.prompt + job.tokens for job in wave]
        self.filling += wave
        for job, text, shared in zip(wave, texts, _shared_with_another(texts), strict=True):
            self._plan(job, text, shared)

    def _has_room(self, begun: Sequence[Job], job: Job) -> bool:
        """Whether memory holds one more: every prompt once, and a slot of the longest's size for every text."""
        if self._room is None:
            return True
        jobs = [*begun, job]
        longest = max(min(len(each.prompt), _IN_PLACE_ALWAYS) + each.max_tokens for each in jobs)
        return len(jobs) * longest + sum(len(each.prompt) for each in jobs) <= self._room

    def _plan(self, job: Job, text: Sequence[int], shared: int) -> None:
        """Make a text a chain of segments; its first `shared` tokens begin another text of the wave too."""
        most = len(text) - 1  # the last token is always computed: its logits are wanted
        chain, reach = self._tree.match(text, most)
        if not job.planned:
            job.cached, job.planned = reach, True
        for end in (min(shared, most), len(text)):
            if end - reach >= _SHARED or end == len(text):
                segment = self._tree.plan(chain, text[reach:end])
                self._queue.append(_Filling(segment, chain, reach))
                chain = (*chain, (segment, end - reach))
                reach = end
        job.chain = chain
        for segment, _ in chain:
            segment.wanted += 1

    def _advance(self) -> int:
        """One pass through the model, and what follows from it; returns its rows, if it had nothing else."""
        fills = self._next_fills()
        if not fills and not self.rows:
            return 0
        longest = max((row.length for row in self.rows), default=0)
        if self.rows:
            self._slots.fit(len(self.rows), longest)
        if len(self.rows) == 1 and not fills and (draft := self.rows[0].job.draft()):
            self._advance_by(self.rows[0], draft)
            return 0
        decoding = [DecodeRow(row.job.tokens[-1], row.position, row.length, row.past) for row in self.rows]
        logits = self._view.run(FlatPass(self._view.layout, self._slots, decoding, fills))
        for row in self.rows:
            row.length += 1
            row.position += 1
        for fill in fills:
            fill.segment.filled += fill.count
        while self._queue and self._queue[0].segment.filled == len(self._queue[0].segment.tokens):
            self._queue.popleft()
        finals = {fill.segment: len(self.rows) + index for index, fill in enumerate(fills)}
        ready = [job for job in self.filling if _is_filled(job.chain[-1][0])]
        chosen = [
            *((row.job, index) for index, row in enumerate(self.rows)),
            *((job, finals[job.chain[-1][0]]) for job in ready),
        ]
        ended = self._choose(chosen, logits)
        for row in [row for row in self.rows if row.job in ended]:
            self._leave(row)
        self._enter(ready, ended)
        self._tree.evict()
        return 0 if fills else len(decoding)

    def _advance_by(self, row: _Row, draft: Sequence[int]) -> None:
        """One pass of a lone row with a draft of its next tokens, kept as far as they are what it chooses.

        The row chooses as it would without: only the passes are fewer. With other rows beside it, the tokens of a
        draft would cost them time.
        """
        self._slots.fit(1, row.length, more=(0, len(draft) + 1))
        text = row.job.prompt + row.job.tokens
        segment = self._slots.as_segment(0, [*text[-row.length - 1 :], *draft], filled=row.length)
        count = len(draft) + 1
        fill = Fill(segment, count, row.position, row.past, wanted=count)
        logits = self._view.run(FlatPass(self._view.layout, self._slots, [], [fill]))
        right = 0
        for index in range(count):
            ended = self._choose([(row.job, 0)], logits[index : index + 1])
            row.length += 1
            row.position += 1
            if ended:
                self._leave(row)
                break
            if index == len(draft) or row.job.tokens[-1] != draft[index]:
                break
            right += 1
        row.job.judge(draft_was_right=right == len(draft))
        self._tree.evict()

    def _next_fills(self) -> list[Fill]:
        """What of the planned segments goes through the model in this step, in the order they were planned."""
        fills = []
        budget = self._pass_tokens
        for each in self._queue:
            if budget == 0:
                break
            done = each.segment.filled
            count = min(len(each.segment.tokens) - done, budget)
            fills.append(Fill(each.segment, count, each.position + done, each.past))
            budget -= count
        return fills

    def _choose(self, chosen: Sequence[tuple[Job, int]], logits: Tensor) -> set[Job]:
        """Give every job its next token, from its row of the logits; returns those that ended."""
        rows = [index for _, index in chosen]
        if len(rows) != len(logits):
            logits = logits[rows]
        scores = penalised(logits, [job.sampler for job, _ in chosen])
        best: list[int] = scores.argmax(-1).tolist()
        ended = set()
        for (job, _), row, token in zip(chosen, scores, best, strict=True):
            try:
                if job.add(job.sampler.choose(row, token)):
                    ended.add(job)
            except Exception as error:  # its own fault: the other rows go on
                logger.exception("a request failed")
                job.fail(DecodingError(f"Decoding failed: {type(error).__name__}: {error}"))
                ended.add(job)
        return ended

    def _enter(self, ready: Sequence[Job], ended: set[Job]) -> None:
        """Give jobs whose prompt is filled a slot, unless their first token was their last."""
        filling = [job for job in self.filling if job not in set(ready)]
        entering = [job for job in ready if job not in ended]
        # Those still to be filled are readers too: with long prompts the first of a group enters alone.
        readers = Counter(segment for job in (*entering, *filling) for segment, _ in job.chain)
        readers.update(segment for row in self.rows for segment, _ in row.shared)
        joined = {row.shared: row.past for row in self.rows}
        splits = [0 if self._view.windows else _in_place(job.chain, readers) for job in entering]
        lengths = [
            sum(count for _, count in job.chain[split:]) for job, split in zip(entering, splits, strict=True)
        ]
        if entering:
            longest = max((row.length for row in self.rows), default=0)
            new = max(0, *(length - longest for length in lengths)) + 1
            self._slots.fit(len(self.rows), longest, more=(len(entering), new))
        for job, split, length in zip(entering, splits, lengths, strict=True):
            shared, copied = job.chain[:split], job.chain[split:]
            past = joined[shared] = joined.get(shared) or self._join(shared)
            at = 0
            for segment, count in copied:
                self._slots.take(len(self.rows), at, segment, count)
                at += count
            self.rows.append(_Row(job, shared, past, length, length + sum(count for _, count in past)))
        self.filling = filling  # not before: where memory runs out above, nobody is forgotten
        for job in ready:
            self._unplan(job)

    def _join(self, chain: Chain) -> Chain:
        """A chain as one segment: attention pays for every segment in every step, for a copy once."""
        if len(chain) <= 1:
            return chain
        keys, values = self._view.layout.empty((), (sum(count for _, count in chain),))
        at = 0
        for segment, count in chain:
            for mine, theirs in ((keys, segment.keys), (values, segment.values)):
                for target, source in zip(mine, theirs, strict=True):
                    target[:, :, at : at + count] = source[:, :, :count]
            at += count
        tokens = [token for segment, count in chain for token in segment.tokens[:count]]
        return ((Segment(tokens, keys=keys, values=values, filled=at), at),)

    def _leave(self, row: _Row) -> None:
        """Keep what a row computed for later prompts, and give its slot to the last row."""
        text = (row.job.prompt + row.job.tokens)[: row.position]
        chain, reach = self._tree.match(text, len(text))
        before = row.position - row.length
        if before <= reach <= row.position - _KEPT:
            slot = self.rows.index(row)
            keys, values = self._slots.give(slot, reach - before, row.length)
            self._tree.keep(chain, text[reach:], keys, values)
        last = self.rows.pop()
        if last is not row:
            slot = self.rows.index(row)
            self._slots.move(len(self.rows), slot, last.length)
            self.rows[slot] = last

    def _unplan(self, job: Job) -> None:
        """A job no longer needs its prompt's segments; drop those that nobody waits for any more."""
        for segment, _ in job.chain:
            segment.wanted -= 1
        for segment, _ in job.chain:
            if not segment.wanted and not _is_filled(segment):
                self._tree.remove(segment)
        self._queue = deque(each for each in self._queue if each.segment.wanted)
        job.chain = ()

    def _give_up(self, error: BaseException) -> None:
        """A step failed: end what it was about, or, where only the memory did not suffice, begin it again."""
        if _is_out_of_memory(error):
            self._shrink(error)
            return
        logger.error("a decoding step failed", exc_info=error)
        message = f"Decoding failed: {type(error).__name__}: {error}"
        self.fail_running(lambda: DecodingError(message))

    def _shrink(self, error: BaseException) -> None:
        """Out of memory: give all of it back and begin again with half as much at once."""
        last = self._limit == 1 and self._pass_tokens <= _FEWEST_PASS_TOKENS
        jobs = []
        for job in self._forget():
            if job.cancelled:
                job.end("cancelled")
            else:
                jobs.append(job)
        if last:
            for job in jobs:
                job.fail(DecodingError(f"Not enough memory for this request alone: {error}"))
            return
        if jobs:  # else what took the memory has ended
            self._limit = max(1, min(self._limit, len(jobs)) // 2)
            self._pass_tokens = max(_FEWEST_PASS_TOKENS, self._pass_tokens // 2)
            logger.warning("out of memory: going on with at most %d rows", self._limit)
        self.waiting.extendleft(reversed(jobs))
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _forget(self) -> list[Job]:
        """Take everything that has begun out, with all memory; returns the jobs, oldest first."""
        jobs = list(dict.fromkeys([*(row.job for row in self.rows), *self.filling]))
        for job in jobs:
            job.chain = ()
        self.rows, self.filling = [], []
        self._queue.clear()
        self._tree.clear()
        self._slots.release()
        return [job for job in jobs if not job.generation.done]


def _is_filled(segment: Segment) -> bool:
    return segment.filled == len(segment.tokens)


def _in_place(chain: Chain, readers: Counter[Segment]) -> int:
    """How many segments of a chain are read in place; the others are copied into the slot."""
    split = 0
    for index, (segment, count) in enumerate(chain):
        if count >= _IN_PLACE_ALWAYS or (readers[segment] - 1) * count >= _IN_PLACE_SAVED:
            split = index + 1
    return split


def _shared_with_another(texts: Sequence[list[int]]) -> list[int]:
    """For each text, how many of its first tokens some other one begins with too."""
    order = sorted(range(len(texts)), key=lambda index: texts[index])
    shared = [0] * len(texts)
    for first, second in pairwise(order):  # in this order, the text with most in common is a neighbour
        common = common_prefix(texts[first], texts[second], 0, len(texts[second]))
        shared[first] = max(shared[first], common)
        shared[second] = max(shared[second], common)
    return shared


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and "allocate memory" in str(error)
