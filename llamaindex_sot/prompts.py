"""What the model is asked when it answers from sources."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from llamaindex_sot.sources.titles import with_citations
from skeleton_of_thought.errors import ConfigurationError
from skeleton_of_thought.messages import Message
from skeleton_of_thought.prompts import PROMPTS, TITLES_ONLY, OpeningPrompts, Prompts
from skeleton_of_thought.request import Steering

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from skeleton_of_thought.prompts import AnyPrompts

CONTEXT = "Sources, each with its number in brackets:\n\n{context_str}"

_SKELETON = (
    "Question: {request}\n\nFirst write only the skeleton of the answer the sources give: a numbered list of "
    "3 to 8 short points, 3 to 5 words each, no full sentences."
)
_BEGIN_SKELETON = ' Begin with "1." and write nothing but the list.'
_NAME_SOURCES = " Put the numbers of its sources in brackets behind each point, such as [2] or [1][4]."
_POINT = (
    'Now write only point {point}, "{point_outline}", in 2 to 3 sentences from the sources, and cite the '
    "number of each source you use, such as [2]."
)
_POINT_TEXT_ONLY = (
    "Now write the text of one point, in one paragraph of 2 to 4 sentences that stands on its own. Say only "
    "what the sources say, and put the number of its source in brackets behind every statement, such as [2] or "
    "[1][4]. Leave out the point's number and its title, and say nothing about the other points, which others "
    'write at the same time. The point is {point}. "{point_outline}".'
)

_EXAMPLE = (
    Message(
        "user",
        CONTEXT.format(
            context_str="[1] Oats are digested slowly and give energy for hours.\n\n"
            "[2] An egg has six grams of protein, which keeps hunger away until noon.\n\n"
            "[3] One orange has all the vitamin C a person needs in a day."
        )
        + "\n\n"
        + _SKELETON.format(request="What makes a good breakfast?"),
    ),
    Message("assistant", "1. Oats for energy\n2. Eggs for protein\n3. Oranges for vitamins"),
    Message("user", _POINT.format(point=2, point_outline="Eggs for protein")),
    Message(
        "assistant",
        "2. Eggs for protein: One egg has six grams of protein [2]. It keeps hunger away until noon [2].",
    ),
)

_POINT_FROM_ITS_SOURCE = (
    'Question: {request}\n\nWrite only point {point}, "{point_outline}", from its source, and cite the '
    "source."
)


def _retold(number: int, source: str, question: str, title: str) -> tuple[Message, Message]:
    """A worked example for a model that copies well: its source, and the source retold with citations."""
    cited = with_citations(number, source)
    point = {"request": question, "point": str(number), "point_outline": f"{title} [{number}]"}
    asked = (
        CONTEXT.format(context_str=f"[{number}] {cited}") + "\n\n" + _POINT_FROM_ITS_SOURCE.format(**point)
    )
    return Message("user", asked), Message("assistant", f"{number}. {title} [{number}]: {cited}")


_RETOLD = (
    *_retold(
        7,
        "Hens at the farm lay 40 eggs a day. One egg has six grams of protein, which keeps hunger away until noon.",
        "What makes a good breakfast?",
        "Hens at the farm lay 40 eggs",
    ),
    *_retold(
        9,
        "Borrow up to ten books at once, and bring them back within four weeks. Films are lent for one week.",
        "How does the library work?",
        "Borrow up to ten books at once",
    ),
    *_retold(
        8,
        "Trams have priority at all crossings. Drivers pay four euros a day in the centre. Cycle lanes have been "
        "built along the river.",
        "How does Milltown reduce its traffic?",
        "Trams have priority at all crossings",
    ),
)

_FROM_SOURCES = (
    "{request}\n\nAnswer from the sources above and say only what they say. Put the number of its source in brackets "
    "behind every statement, such as [2] or [1][4]. If the sources do not answer the question, say so.\n\n"
)
_CITE = (
    " Say only what the sources say, and put the number of its source in brackets behind every statement, "
    "such as [2]."
)

_INSTRUCTION = Prompts(skeleton=_SKELETON + _BEGIN_SKELETON, point=_POINT_TEXT_ONLY)
_PARTIAL = Prompts(
    skeleton=_SKELETON, point=_POINT, skeleton_start="1.", point_start="{point}. {point_outline}:"
)

_PLAIN_OPENING = PROMPTS["opening"]
assert isinstance(_PLAIN_OPENING, OpeningPrompts)
_OPENING = replace(
    _PLAIN_OPENING,
    opening=_PLAIN_OPENING.opening.replace("{request}\n\n", _FROM_SOURCES),
    part=_PLAIN_OPENING.part + _CITE,
    classic=_INSTRUCTION,
)

SOURCE_PROMPTS: Mapping[str, AnyPrompts] = MappingProxyType(
    {
        "opening": _OPENING,
        "instruction": _INSTRUCTION,
        "instruction-json": replace(_INSTRUCTION, skeleton=_SKELETON + " Give their titles as JSON."),
        "partial": _PARTIAL,
        "partial-examples": replace(
            _PARTIAL,
            examples=_EXAMPLE,
            max_points=8,
            skeleton_max_tokens=72,
            point_max_tokens=80,
            skeleton_steering=TITLES_ONLY,
            point_steering=Steering(soft_max_tokens=48),
        ),
        "partial-examples-sources": replace(
            _PARTIAL,
            point=_POINT_FROM_ITS_SOURCE,
            examples=_RETOLD,
            continues=False,
            point_max_tokens=96,
            point_steering=Steering(soft_max_tokens=64),
        ),
    }
)
"""The families: one request that decides, opens and plans; an instruction, for a list or for JSON; a partial
assistant answer to continue, and the same with worked examples, for all sources at once or for one source per point."""


def get_source_prompts(prompts: AnyPrompts | Path | str) -> AnyPrompts:
    """The prompts a name or an object stands for.

    Raises:
        ConfigurationError: There is no such family; the message lists them.
    """
    if isinstance(prompts, Prompts | OpeningPrompts):
        return prompts
    if not isinstance(prompts, str) or prompts not in SOURCE_PROMPTS:
        raise ConfigurationError(
            f"There are no prompts named {str(prompts)!r} for answers from sources. Use one of "
            f"{', '.join(sorted(SOURCE_PROMPTS))}, or an object."
        )
    return SOURCE_PROMPTS[prompts]


def for_one_point(prompts: Prompts, *, name_sources: bool) -> Prompts:
    """Prompts whose point requests stand alone: each brings its own sources instead of all of them.

    Prompts that are made so already stay as they are.

    Args:
        prompts: The prompts for shared sources.
        name_sources: Whether the skeleton is to say which sources serve which point.
    """
    if not prompts.continues:
        return prompts
    return replace(
        prompts,
        continues=False,
        examples=(),
        skeleton=prompts.skeleton + (_NAME_SOURCES if name_sources else ""),
        point="Question: {request}\n\nThe skeleton of the answer:\n{outline}\n\n" + prompts.point,
    )
