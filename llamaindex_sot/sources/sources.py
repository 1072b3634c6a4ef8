"""The chunks a question is answered from: numbered, packed into the context, handed to requests."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llama_index.core.prompts import PromptTemplate

from llamaindex_sot.sources.titles import with_citations, without_heading
from skeleton_of_thought.errors import ConfigurationError
from skeleton_of_thought.prompts import Prompts
from skeleton_of_thought.skeleton import Point, Skeleton

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from llama_index.core.indices.prompt_helper import PromptHelper
    from llama_index.core.llms import LLM

    from skeleton_of_thought.messages import Message
    from skeleton_of_thought.prompts import AnyPrompts

logger = logging.getLogger(__name__)

_LONG_TITLE = "a point whose title has about ten words in it"
_LONG_OPENING = f"{_LONG_TITLE}. " * 6
_TOKENS_PER_MESSAGE = 8
_HEADER = re.compile(r"^Source \d+:[ \t]*\n", re.MULTILINE)
"""What LlamaIndex's CitationQueryEngine writes over each chunk, as we do with `[n]`."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Numbered chunks.

    Attributes:
        texts: The chunks in the context, by their numbers from 1.
        shortened: The number of the chunk that was cut at the end of the context, None if none was.
        left_out: The numbers of the chunks that did not fit.
    """

    texts: dict[int, str]
    shortened: int | None = None
    left_out: tuple[int, ...] = ()

    @property
    def count(self) -> int:
        """How many chunks there are, those left out included."""
        return len(self.texts) + len(self.left_out)

    def as_text(self, numbers: Collection[int] | None = None, *, cited_throughout: bool = False) -> str:
        """The chunks with these numbers, or all, as a request shows them.

        Args:
            numbers: Which chunks; None for all.
            cited_throughout: Put a chunk's number behind each of its sentences too.
        """
        shown = {n: text for n, text in self.texts.items() if numbers is None or n in numbers}
        if cited_throughout:
            shown = {number: with_citations(number, text) for number, text in shown.items()}
        return "\n\n".join(_entry(number, text) for number, text in shown.items())

    def as_quote(self, numbers: Collection[int]) -> str:
        """The chunks with these numbers as an answer quotes them: `[2]: “Bees drink water.”`."""
        return "".join(f" [{number}]: “{without_heading(self.texts[number])}”" for number in sorted(numbers))


def pack(chunks: Sequence[str], template: PromptTemplate, *, helper: PromptHelper, llm: LLM) -> Sources:
    """Number the chunks and keep as many as fit next to `template`, in their order, the best first.

    The prompt helper measures. The chunk at the end of the context may be cut; what was cut or left out is
    logged and recorded.

    Raises:
        ConfigurationError: The template alone is too long for the LLM.
    """
    texts = {number: _HEADER.sub("", chunk, count=1).strip() for number, chunk in enumerate(chunks, start=1)}
    everything = Sources(texts).as_text()
    padding = _TOKENS_PER_MESSAGE * (template.template.count("\n\n") + 1)
    try:
        packed = helper.repack(template, [everything], padding=padding, llm=llm)
    except ValueError as error:
        raise ConfigurationError(
            f"The prompts leave no room for a source in a context window of {helper.context_window} tokens, "
            f"{helper.num_output} of them for the answer. Use shorter prompts, fewer points or another LLM."
        ) from error
    if len(packed) <= 1:
        return Sources(texts)
    room, kept = len(packed[0]), {}
    shortened = None
    for number, text in texts.items():
        whole = len(_entry(number, text))
        if room <= len(_entry(number, "")):
            break
        kept[number] = text[: room - len(_entry(number, ""))].rstrip()
        if whole > room:
            shortened = number
        room -= whole + len("\n\n")
    left_out = tuple(number for number in texts if number not in kept)
    logger.warning(
        "Of %d chunks %d fit the context of the model; chunk %s is shortened, left out: %s.",
        len(texts),
        len(kept),
        shortened,
        list(left_out),
    )
    return Sources(kept, shortened, left_out)


def _entry(number: int, text: str) -> str:
    return f"[{number}] {text}"


def largest_request(prompts: AnyPrompts, messages: Sequence[Message], max_points: int) -> PromptTemplate:
    """The longest request of a run without its context, for the prompt helper to measure."""
    skeleton = Skeleton(tuple(Point(index, _LONG_TITLE) for index in range(1, max_points + 1)))
    if isinstance(prompts, Prompts):
        asked = prompts.skeleton_messages(messages)
        last = prompts.point_messages(messages, skeleton, skeleton[-1])
    else:
        asked = prompts.opening_messages(messages)
        last = prompts.part_messages(messages, _LONG_OPENING, skeleton.points, skeleton[-1])
    requests = (asked, last)
    texts = ["\n\n".join(message.text for message in request) for request in requests]
    return PromptTemplate(max(texts, key=len).replace("{", "{{").replace("}", "}}"))


def place(messages: Sequence[Message], index: int, context: str) -> tuple[Message, ...]:
    """The messages with the context at the beginning of one of them."""
    question = messages[index]
    return (*messages[:index], question.with_text(f"{context}\n\n{question.text}"), *messages[index + 1 :])
