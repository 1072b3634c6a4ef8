"""A run's requests with their sources: the chunks go in, wrong citations stay out, direct answers go elsewhere."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from llama_index_instrumentation.span import active_span_id

from llamaindex_sot.calls import tagged
from llamaindex_sot.fallback_usage import counted_usage
from llamaindex_sot.llms.blocking import in_thread
from llamaindex_sot.sources.choosing import named_in
from llamaindex_sot.sources.citations import CitationFilter, brackets_in
from llamaindex_sot.sources.retelling import Retelling
from llamaindex_sot.sources.sources import place
from skeleton_of_thought.request import Delta, Request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence

    from llama_index.core.response_synthesizers import BaseSynthesizer

    from llamaindex_sot.calls import LLMCalls
    from llamaindex_sot.sources.choosing import Nearest
    from llamaindex_sot.sources.sources import Sources
    from skeleton_of_thought.method import SkeletonOfThought


class SourcedRequests:
    """Sends the requests of one question that is answered from sources.

    Args:
        calls: Reach the model.
        run: Whose requests these are.
        sources: The chunks.
        render: Makes the context of a request from the text of its chunks.
        turn: Which message of a request is the question; the context goes to its beginning.
        chunks_per_point: How many chunks a point is given; None for all of them.
        nearest: Chooses them; None to go by what the skeleton names.
        skeleton: The skeleton, if no model is asked for it.
        direct: Answers the question where it gets no skeleton.

    Attributes:
        fell_back: Whether `direct` was asked: its texts are not looked at for citations.
    """

    def __init__(
        self,
        calls: LLMCalls,
        run: SkeletonOfThought,
        sources: Sources,
        *,
        render: Callable[[str], str],
        turn: int,
        chunks_per_point: int | None,
        nearest: Nearest | None,
        skeleton: str | None,
        direct: Direct,
    ) -> None:
        self._calls = calls
        self._run = run
        self._sources = sources
        self._render = render
        self._turn = turn
        self._count = chunks_per_point
        self._nearest = nearest
        self._skeleton = skeleton
        self._direct = direct
        self.fell_back = False
        self._texts: dict[str, _Text] = {}

    @property
    def removed_citations(self) -> int:
        """How many citations of chunks that were not given have been removed."""
        return sum(text.citations.removed for text in self._texts.values())

    @property
    def removed_sentences(self) -> int:
        """How many sentences were no retelling of their source, or repetitions, and have been removed."""
        return sum(text.retelling.removed for text in self._texts.values() if text.retelling)

    def send(self, request: Request) -> Generator[Delta]:
        """Answer one request; blocks, so each request needs a thread."""
        if request.stage == "route":
            yield from self._calls.send(request)
            return
        if request.stage == "direct":
            self.fell_back = True
            yield from self._direct.send(request)
            return
        if (ready := self._ready(request)) is not None:
            yield Delta(ready)
            return
        numbers = self._numbers(request)
        if self._nearest is not None and request.stage == "point":
            numbers = self._nearest.choose(self._title(request), self._count or 1)
        text = self._text(request, numbers)
        for delta in self._calls.send(self._sourced(request, numbers)):
            yield text.feed(delta)
        yield text.finish()

    async def asend(self, request: Request) -> AsyncGenerator[Delta]:
        """Answer one request without blocking the event loop."""
        if request.stage == "route":
            async for delta in self._calls.asend(request):
                yield delta
            return
        if request.stage == "direct":
            self.fell_back = True
            async for delta in self._direct.asend(request):
                yield delta
            return
        if (ready := self._ready(request)) is not None:
            yield Delta(ready)
            return
        numbers = self._numbers(request)
        if self._nearest is not None and request.stage == "point":
            numbers = await self._nearest.achoose(self._title(request), self._count or 1)
        text = self._text(request, numbers)
        async for delta in self._calls.asend(self._sourced(request, numbers)):
            yield text.feed(delta)
        yield text.finish()

    def _ready(self, request: Request) -> str | None:
        """The answer for which the model is not asked.

        A skeleton made of the sources; or the source's own words, if the request comes again because the model
        only repeated the point's title.
        """
        if request.stage == "skeleton" and self._skeleton is not None:
            return self._skeleton
        before = self._texts.get(request.id)
        return (before.retelling.quote or None) if before and before.ended and before.retelling else None

    def _numbers(self, request: Request) -> Collection[int]:
        """The chunks of a request, as far as nothing has to be embedded to know them."""
        if request.stage != "point" or self._count is None:
            return self._sources.texts
        return named_in(self._title(request), self._sources.texts, self._count)

    def _title(self, request: Request) -> str:
        return " ".join(self._run.skeleton[index - 1].title for index in request.points)

    def _text(self, request: Request, numbers: Collection[int]) -> _Text:
        retelling = None
        if self._skeleton is not None:
            own = named_in(self._title(request), self._sources.texts, 1)
            retelling = Retelling(self._sources.as_text(numbers), quote=self._sources.as_quote(own))
        quoted = brackets_in([*(self._sources.texts[number] for number in numbers), self._direct.query])
        citations = CitationFilter(numbers, count=self._sources.count, quoted=quoted)
        self._texts[request.id] = _Text(citations, retelling)
        return self._texts[request.id]

    def _sourced(self, request: Request, numbers: Collection[int]) -> Request:
        text = self._sources.as_text(numbers, cited_throughout=self._skeleton is not None)
        context = self._render(text)
        return replace(request, messages=place(request.messages, self._turn, context))


class _Text:
    """The text of one request: without wrong citations, and kept to its source if it retells one."""

    def __init__(self, citations: CitationFilter, retelling: Retelling | None) -> None:
        self.citations = citations
        self.retelling = retelling
        self.ended = False

    def feed(self, delta: Delta) -> Delta:
        """The next piece, as far as it is certain."""
        text = self.citations.feed(delta.text)
        return replace(delta, text=self.retelling.feed(text) if self.retelling else text)

    def finish(self) -> Delta:
        """What is left when the model has ended."""
        self.ended = True
        rest = self.citations.finish()
        return Delta(self.retelling.feed(rest) + self.retelling.finish() if self.retelling else rest)


class Direct:
    """Answers a question without a skeleton, by a synthesizer.

    Args:
        synthesizer: Writes the answer.
        query: The question.
        chunks: What it is answered from.
        kwargs: What the caller passed on for the prompts.
        asked: The question as the synthesizer is asked it: with the conversation before it.
        blocking: Whether its async methods would block the event loop.
    """

    def __init__(
        self,
        synthesizer: BaseSynthesizer,
        query: str,
        chunks: Sequence[str],
        kwargs: dict[str, Any],
        *,
        asked: str,
        blocking: bool,
    ) -> None:
        self._synthesizer = synthesizer
        self.query = query
        self._chunks = chunks
        self._kwargs = kwargs
        self._asked = asked
        self._blocking = blocking
        self._span = active_span_id.get()

    def send(self, request: Request) -> Iterator[Delta]:
        """Write the answer; its last piece carries the tokens of all the LLM calls it took."""
        with counted_usage() as counted, tagged(request, self._span):
            try:
                written: Any = self._synthesizer.get_response(self._asked, self._chunks, **self._kwargs)
                for text in written if isinstance(written, Generator) else [written]:
                    yield Delta(str(text))
            except Exception:
                yield Delta(usage=counted.usage)  # of the calls before the one that failed
                raise
        yield counted.delta()

    async def asend(self, request: Request) -> AsyncIterator[Delta]:
        """Write the answer without blocking the event loop."""
        if self._blocking:
            async for delta in in_thread(lambda: self.send(request)):
                yield delta
            return
        with counted_usage() as counted, tagged(request, self._span):
            try:
                written: Any = await self._synthesizer.aget_response(
                    self._asked, self._chunks, **self._kwargs
                )
                if isinstance(written, AsyncGenerator):
                    async for text in written:
                        yield Delta(str(text))
                else:
                    yield Delta(str(written))
            except Exception:
                yield Delta(usage=counted.usage)
                raise
        yield counted.delta()
