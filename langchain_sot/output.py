"""A run's answer as LangChain reports it: a message, message chunks, custom events."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata, add_usage

from langchain_sot.calls import NOTHING
from langchain_sot.messages import usage_metadata, usage_of
from skeleton_of_thought.events import AnswerText, Event, PointEnded, PointStarted, SkeletonReady
from skeleton_of_thought.prices import Price
from skeleton_of_thought.request import Stage
from skeleton_of_thought.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from langchain_sot.calls import Calls
    from skeleton_of_thought.answer import Answer
    from skeleton_of_thought.request import Delta, Request


_PIECE = re.compile(r".{24}\S{0,24}\s*|.+", re.DOTALL)
"""A few words: what of a point waited for its turn comes out in pieces, too, and not as one lump."""

StagePrices = Mapping[Stage, Price | None] | None


class Rendering:
    """How one call's answer is reported.

    Args:
        run_id: The run whose answer it is; its message gets an id of it, as a chat model's does.
        calls: The calls it was made of.
        prices: What each stage costs; None if nobody asked.
        blocks: Whether content is a list of blocks, as `output_version="v1"` asks for.
    """

    def __init__(
        self, run_id: UUID | None, calls: Calls, prices: StagePrices = None, *, blocks: bool = False
    ) -> None:
        self._calls = calls
        self._prices = prices
        self._blocks = blocks
        self._id = None if run_id is None else f"lc_run--{run_id}"
        self._shown_id: str | None = None
        self._reported = Usage()
        self._raw = self._relaying = self._named = False
        self._told: set[str] = set()

    def message(self, answer: Answer) -> Any:
        """The whole answer: a direct one is what the model returned, with the bill added if it is a message."""
        direct = self._calls.direct
        if answer.route == "direct" and direct is not NOTHING and not isinstance(direct, str):
            if not isinstance(direct, AIMessage):
                return direct
            if not self._calls.relayed and direct.text != answer.text:  # what it wrote around an answer
                direct = direct.model_copy(update={"content": self._with_text(direct.content, answer.text)})
            rest = answer.usage - usage_of(direct)  # unknown where the model's own message tells nothing
            usage = (
                add_usage(direct.usage_metadata, usage_metadata(rest))
                if rest != Usage() and rest.known
                else direct.usage_metadata
            )
            return direct.model_copy(
                update={
                    "response_metadata": {**direct.response_metadata, **self._sot(answer)},
                    "usage_metadata": usage,
                }
            )
        return AIMessage(
            self._content(answer.text),
            id=self._id,
            response_metadata={**self._sot(answer), **self._of_a_model()},
            usage_metadata=self._usage(answer.usage),
        )

    def chunks(self, event: Event | tuple[Request, Delta]) -> Iterator[Any]:
        """What of a streamed answer this event is worth: text of it, or a direct answer's own pieces."""
        if isinstance(event, tuple):
            request, delta = event
            if not request.relayed:
                self._relaying = False
                yield from self._besides_text(delta.raw)
            elif isinstance(delta.raw, AIMessageChunk):
                self._raw = self._relaying = True
                self._reported += delta.usage
                self._told.update(delta.raw.response_metadata)
                changed: dict[str, Any] = {"chunk_position": None}  # the bill comes behind it
                if self._named or delta.raw.id is None:
                    changed["id"] = self._shown_id or self._id
                else:
                    self._shown_id = self._shown_id or delta.raw.id
                if delta.usage != usage_of(delta.raw):  # the provider's total so far; pieces are added up
                    changed["usage_metadata"] = usage_metadata(delta.usage)
                yield delta.raw.model_copy(update=changed)
            elif not isinstance(delta.raw, (str, BaseMessage)):
                self._calls.direct = delta.raw
                yield delta.raw
        elif isinstance(event, AnswerText) and not self._relaying and self._is_text:
            for piece in _PIECE.findall(event.text):
                yield self._own(content=self._content(piece))

    def _own(self, **fields: Any) -> AIMessageChunk:
        """A piece that is not the model's own: all have the id of the first one."""
        self._named = self._named or not self._raw
        return AIMessageChunk(id=self._shown_id or self._id, **fields)

    def _besides_text(self, chunk: Any) -> Iterator[AIMessageChunk]:
        """What of a piece is not text, such as a thought or a call of a tool."""
        if not isinstance(chunk, AIMessageChunk):
            return
        blocks = chunk.content if isinstance(chunk.content, list) else []
        other = [block for block in blocks if isinstance(block, dict) and block.get("type") != "text"]
        if other or chunk.tool_call_chunks or chunk.additional_kwargs:
            yield self._own(
                content=other or ([] if self._blocks else ""),
                tool_call_chunks=chunk.tool_call_chunks,
                additional_kwargs=chunk.additional_kwargs,
            )

    def last(self, answer: Answer) -> Iterator[AIMessageChunk]:
        """The chunk with the bill: metadata of several chunks would be added up, so it is on one."""
        if not self._is_text:
            return
        rest = answer.usage - self._reported
        about = {} if self._relaying else self._of_a_model()
        yield self._own(
            content=[] if self._blocks else "",
            response_metadata={
                **self._sot(answer),
                **{name: said for name, said in about.items() if name not in self._told},
            },
            usage_metadata=None if self._raw and rest == Usage() else self._usage(rest),
            chunk_position="last",
        )

    @property
    def _is_text(self) -> bool:
        """Whether the answer is text; a direct one of a model with a parser behind it is whatever that makes."""
        return self._calls.direct is NOTHING or isinstance(self._calls.direct, (str, BaseMessage))

    def _content(self, text: str) -> Any:
        # An index no provider uses: pieces of a list are added up by it, thoughts of the model's among them.
        return [{"type": "text", "text": text, "index": "lc_sot_text"}] if self._blocks else text

    def _with_text(self, content: Any, text: str) -> Any:
        """Content with another text; its thoughts and calls stay."""
        blocks = content if isinstance(content, list) else []
        other = [block for block in blocks if isinstance(block, dict) and block.get("type") != "text"]
        place = next((place for place, block in enumerate(blocks) if block not in other), len(other))
        return (
            [*other[:place], {"type": "text", "text": text}, *other[place:]] if other else self._content(text)
        )

    def _sot(self, answer: Answer) -> dict[str, Any]:
        free = self._calls.heard.cached is True and self._prices is not None
        prices = (
            dict.fromkeys(self._prices, Price(input=0, output=0)) if free and self._prices else self._prices
        )
        return {"sot": answer.to_dict(prices)}

    def _of_a_model(self) -> dict[str, str]:
        """What a plain model's message would say of itself."""
        heard = self._calls.heard
        return {**heard.metadata, **heard.ending()}

    def _usage(self, usage: Usage) -> UsageMetadata | None:
        """Tokens; None if they are not known. An answer from LangChain's cache costs nothing, as there."""
        told: Any = usage_metadata(usage)
        if not self._calls.heard.usage or told is None:
            return None
        return {**told, "total_cost": 0} if self._calls.heard.cached else told  # type: ignore[return-value]


def custom_events(event: Event | tuple[Request, Delta]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and payload of the custom event this is, if it is one."""
    match event:
        case SkeletonReady(skeleton):
            points = [{"index": point.index, "title": point.title} for point in skeleton]
            yield "sot_skeleton", {"skeleton": skeleton.as_text(), "points": points}
        case PointStarted(index, title, attempt):
            yield "sot_point_start", {"index": index, "title": title, "attempt": attempt}
        case PointEnded(result):
            yield "sot_point_end", result.to_dict()
