"""Which step of Skeleton-of-Thought a request is, told from its words alone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from skeleton_of_thought.fake_server.request import ChatRequest

StageKind = Literal["skeleton", "point", "router", "direct"]

_NUMBERS = re.compile(
    r"\b(?:points?|items?)(?:\s+(?:is|are|numbers?|nos?\.?))?[:\s]+[#*`\"'(]*"
    r"(\d{1,3}(?:\s*(?:,\s*and|,|and|to|&|-|–)\s*#?\d{1,3})*)",
    re.IGNORECASE,
)
_LISTED = re.compile(r"^[ \t]*(?:\*\*)?(\d{1,3})[.)][ \t]*(\S[^\n]*)$", re.MULTILINE)
_CONTINUED = re.compile(r"(?:^|\n)[ \t]*(?:\*\*)?(\d{1,3})[.)][ \t]*(\S[^\n]{2,})$")
_SKELETON = re.compile(
    r"\b(?:skeleton|outline|numbered list|list of (?:the )?(?:key |main )?points)\b", re.IGNORECASE
)
_LETTER = re.compile(r"\b(?:one|single|the) letter\b|\bA, B,? or C\b|\bonly A\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Stage:
    """What a request wants.

    Attributes:
        kind: `"skeleton"`, `"point"` (one or several), `"router"` (a choice by letter) or `"direct"`.
        points: Number and title of every point to write; empty for the other kinds.
    """

    kind: StageKind
    points: tuple[tuple[int, str], ...] = ()


def stage_of(request: ChatRequest) -> Stage:
    """Recognise a request.

    A point request names points of a numbered list that stands in its prompt ("write only point 3"), or ends
    with a partial answer that is a line of such a list. A skeleton request speaks of a skeleton, an outline
    or a numbered list. A router request wants a letter.
    """
    points = _points(request)
    if points:
        return Stage("point", points)
    instructions = "\n".join(message.text for message in request.messages if message.role == "system")
    instructions += "\n" + request.question
    if _LETTER.search(instructions):
        return Stage("router")
    if _SKELETON.search(instructions):
        return Stage("skeleton")
    return Stage("direct")


def _points(request: ChatRequest) -> tuple[tuple[int, str], ...]:
    titles = {int(number): _plain(title) for number, title in _LISTED.findall(request.prompt)}
    if not titles:
        return ()
    continued = _CONTINUED.search(request.prefill)
    if continued:
        return ((int(continued[1]), _plain(continued[2])),)
    mentions = _NUMBERS.findall(request.question)
    wanted = _numbers(mentions[-1]) if mentions else []
    return tuple((number, titles[number]) for number in wanted if number in titles)


def _plain(title: str) -> str:
    """A title without its colon and the stars around it."""
    title = title.rstrip(" \t\r:")
    return title.strip("*: ") if title.startswith("**") or title.count("**") == 1 else title


def _numbers(text: str) -> list[int]:
    """The numbers of "2", "2, 3 and 5", "2 to 4" or "2-4"."""
    numbers = [int(number) for number in re.findall(r"\d+", text)]
    if re.fullmatch(r"\s*\d+\s*(?:to|-|–)\s*#?\d+\s*", text):
        return list(range(numbers[0], numbers[1] + 1))
    return numbers
