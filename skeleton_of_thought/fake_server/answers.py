"""What the server says when nobody scripts it: text of the shape Skeleton-of-Thought works with.

The text is a function of the prompt alone, so the same request always gets the same answer; that of a point depends
on the first message and the last, so that it is the same whether it was asked for early or late.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from skeleton_of_thought.fake_server.request import ChatRequest


StageKind = Literal["opening", "skeleton", "point", "router", "direct"]

_NUMBERS = re.compile(
    r"\b(?:points?|items?|sections?)(?:\s+(?:is|are|numbers?|nos?\.?))?[:\s]+[#*`\"'(]*"
    r"(\d{1,3}(?:\s*(?:,\s*and|,|and|to|&|-|–)\s*#?\d{1,3})*)",
    re.IGNORECASE,
)
_LISTED = re.compile(r"^[ \t]*(?:\*\*)?(\d{1,3})[.)][ \t]*(\S[^\n]*)$", re.MULTILINE)
_CONTINUED = re.compile(r"(?:^|\n)[ \t]*(?:\*\*)?(\d{1,3})[.)][ \t]*(\S[^\n]{2,})$")
_SKELETON = re.compile(
    r"\b(?:skeleton|outline|numbered list|list of (?:the )?(?:key |main )?points)\b", re.IGNORECASE
)
_OPENING = re.compile(r"\bOUTLINE\b")
_FORM_WORDS = re.compile(r"(\d+) words")
_LETTER = re.compile(r"\b(?:one|single|the) letter\b|\bA, B,? or C\b|\bonly A\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Stage:
    """What a request wants.

    Attributes:
        kind: `"opening"` (the plain answer, or a plan), `"skeleton"`, `"point"` (one or several), `"router"` (a
            choice by letter) or `"direct"`.
        points: Number and title of every point to write; empty for the other kinds.
    """

    kind: StageKind
    points: tuple[tuple[int, str], ...] = ()


def stage_of(request: ChatRequest) -> Stage:
    """Recognise a request.

    A point request names points of a numbered list that stands in its prompt ("write only point 3"), or ends
    with a partial answer that is a line of such a list. A skeleton request speaks of a skeleton, an outline
    or a numbered list, an opening request of the mark OUTLINE. A router request wants a letter.
    """
    points = _points(request)
    if points:
        return Stage("point", points)
    instructions = "\n".join(message.text for message in request.messages if message.role == "system")
    instructions += "\n" + request.question
    if _LETTER.search(instructions):
        return Stage("router")
    if _OPENING.search(request.question):
        return Stage("opening")
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
    title = title.partition(" | ")[0].rstrip(" \t\r:")
    return title.strip("*: ") if title.startswith("**") or title.count("**") == 1 else title


def _numbers(text: str) -> list[int]:
    """The numbers of "2", "2, 3 and 5", "2 to 4" or "2-4"."""
    numbers = [int(number) for number in re.findall(r"\d+", text)]
    if re.fullmatch(r"\s*\d+\s*(?:to|-|–)\s*#?\d+\s*", text):
        return list(range(numbers[0], numbers[1] + 1))
    return numbers


_VERBS = (
    "Plan Measure Share Simplify Protect Question Schedule Compare Record Reduce Invite Repeat "
    "Trim Test Review Balance Gather Explain Name Rotate Limit Connect Practise Observe"
)
_QUALITIES = (
    "clear early weekly honest quiet shared hidden steady small open daily critical "
    "simple local useful written regular practical careful visible common gentle direct seasonal"
)
_THINGS = (
    "goals habits costs breaks risks limits notes meetings sources routines checks records "
    "skills tools rewards signals priorities margins questions partners results promises budgets boundaries"
)
_REASONS = (
    "because it shows early what works and what does not",
    "since it keeps the effort where it counts",
    "as it leaves room for the things that cannot be planned",
    "because other people can then rely on it",
    "since a small step repeated beats a large one postponed",
    "as it makes the next decision easier",
)
_OPENINGS = ("It helps", "It pays off", "It matters", "It is worth the effort", "It works", "It lasts")


_SHORT_QUESTION = 6
_PARTS, _OPENING_WORDS, _PLANNED_WORDS = 5, 32, 500
_SHARES = (30, 25, 20, 15, 10)
_NOTE_SHARE, _LONGEST_NOTE, _SHORT_TITLE = 0.15, 28, 2
"""What a strong model was seen to plan: five parts, each shorter than the last, their shares in per cent, an opening of
31 words, notes of 0.15 words for each of their parts, under titles of five (here three, and two more in the note)."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool the model wants to be called.

    Attributes:
        name: The tool's name.
        arguments: A JSON object.
    """

    name: str
    arguments: str = "{}"


@dataclass(frozen=True, slots=True)
class FakeReply:
    """What the model says.

    Attributes:
        text: The answer.
        thinking: Thoughts before it: thinking blocks with Anthropic, hidden reasoning tokens with OpenAI.
        tool_calls: What it calls; the text is then not sent.
    """

    text: str
    thinking: str = ""
    tool_calls: tuple[ToolCall, ...] = ()


@dataclass(frozen=True, slots=True)
class PlausibleAnswers:
    """A numbered list for a skeleton, sentences that carry the title for a point, prose for the rest.

    A direct answer is about as long as the points of a skeleton together. Tools are called one after the other if
    the question speaks of them by name, or if the request says so; numbers and quoted words in the question are
    their arguments.

    Attributes:
        points: Points of a skeleton; None for 3 to 10, by the prompt.
        sentences: Sentences per point; None for 1 to 3, by the prompt.
        words: How long a whole answer is, direct or planned; None for as long as its points happen to be.
        plans: Whether an opening request gets a plan; None says no to short questions and to those with numbers.

    Example:
        >>> from skeleton_of_thought.fake_server import FakeServer, PlausibleAnswers
        >>> with FakeServer(answer=PlausibleAnswers(points=4)) as server:
        ...     server.url.startswith("http://127.0.0.1:")
        True
    """

    points: int | None = None
    sentences: int | None = None
    words: int | None = None
    plans: bool | None = None

    def __call__(self, request: ChatRequest) -> FakeReply:
        """The reply to a request."""
        if name := _tool_to_call(request):
            return FakeReply("", tool_calls=(ToolCall(name, _arguments(request, name)),))
        stage = stage_of(request)
        seed = f"{request.messages[0].text}\0{request.question}" if stage.kind == "point" else request.prompt
        draw = random.Random(hashlib.sha256(seed.encode()).digest())
        titles = _titles(draw, self.points or draw.randint(3, 10))
        if request.schema is not None:
            text = json.dumps(_instance(request.schema, titles))
        elif stage.kind == "router":
            text = "A"
        elif stage.kind == "skeleton":
            text = _continue(
                "\n".join(f"{place}. {title}" for place, title in enumerate(titles, 1)), request.prefill
            )
        elif stage.kind == "point":
            text = self._points(draw, stage.points, request.prefill)
            if found := _FORM_WORDS.search(request.question):
                text = _as_long_as(text, int(found[1]))
        elif stage.kind == "opening" and self._plans(request.question):
            text = self._planned(draw, titles)
        else:
            text = " ".join(self._sentences(draw, title) for title in titles)
            text = _as_long_as(text, self.words) if self.words else text
        thinking = (
            f"Let me think.\n1. {titles[0]}\n2. {titles[1]}\nThat is the order." if request.thinking else ""
        )
        return FakeReply(text, thinking)

    def _plans(self, question: str) -> bool:
        if self.plans is not None:
            return self.plans
        first = question.partition("\n")[0]
        return len(first.split()) > _SHORT_QUESTION and not any(map(str.isdigit, first))

    def _planned(self, draw: random.Random, titles: list[str]) -> str:
        """An opening, the mark, and a plan of about the length that models give theirs."""
        titles = titles[: self.points or _PARTS]
        opening = _as_long_as(self._sentences(draw, titles[0]), _OPENING_WORDS)
        shares = [_SHARES[min(place, len(_SHARES) - 1)] for place in range(len(titles))]
        rest = (self.words or _PLANNED_WORDS) - _OPENING_WORDS
        numbered = [f"{place}. {title}" for place, title in enumerate(titles, 1)]
        lengths = [rest * share // sum(shares) for share in shares]
        notes = (
            f"{place} | {self._note(draw, title, length)} | {length} words, list"
            for place, (title, length) in enumerate(zip(titles, lengths, strict=True), 1)
        )
        return "\n".join([opening, "", "OUTLINE", *numbered, *notes])

    def _note(self, draw: random.Random, title: str, length: int) -> str:
        words = min(round(_NOTE_SHARE * length), _LONGEST_NOTE) + _SHORT_TITLE
        return _as_long_as(self._sentences(draw, title), words).rstrip(".")

    def _points(self, draw: random.Random, points: tuple[tuple[int, str], ...], prefill: str) -> str:
        if len(points) == 1:
            text = self._sentences(draw, points[0][1])
            return f" {text}" if prefill else text
        return "\n".join(f"{number}. {self._sentences(draw, title)}" for number, title in points)

    def _sentences(self, draw: random.Random, title: str) -> str:
        number = self.sentences or draw.randint(1, 3)
        subject = title.strip().rstrip(".:")
        first = f"{subject} {draw.choice(_REASONS)}."
        rest = [f"{draw.choice(_OPENINGS)} {draw.choice(_REASONS)}." for _ in range(number - 1)]
        return " ".join([first, *rest])


def _as_long_as(text: str, words: int) -> str:
    """A text repeated or cut to so many words."""
    found = text.split()
    return " ".join((found * (words // len(found) + 1))[:words]).rstrip(".,") + "."


def _titles(draw: random.Random, number: int) -> list[str]:
    """So many titles of three words, no two with the same verb unless there are more titles than verbs."""
    verbs, qualities, things = _VERBS.split(), _QUALITIES.split(), _THINGS.split()
    draw.shuffle(verbs)
    return [
        f"{verbs[place % len(verbs)]} {draw.choice(qualities)} {draw.choice(things)}"
        for place in range(number)
    ]


def _continue(text: str, prefill: str) -> str:
    """The part of an answer that comes after its partial beginning."""
    begun = re.search(r"1[.)]\s*$", prefill)
    return text.removeprefix("1.") if begun else text


def _tool_to_call(request: ChatRequest) -> str | None:
    """The tool the request insists on, or the next one whose name the question has."""
    tools = request.tools
    if tools.choice == "none" or not tools.schemas:
        return None
    if tools.choice != "auto":
        return tools.choice if tools.choice in tools.schemas else next(iter(tools.schemas))
    question = set(re.findall(r"[a-z]{3,}", request.question.casefold()))
    return next(
        (
            name
            for name in tools.schemas
            if name not in tools.called and question.intersection(re.findall(r"[a-z]{3,}", name.casefold()))
        ),
        None,
    )


def _arguments(request: ChatRequest, name: str) -> str:
    """A tool's arguments: the numbers and quoted words behind its name in the question, else what its schema allows."""
    schema = request.tools.schemas[name]
    words = re.findall(r"[a-z]{3,}", name.casefold())
    places = [place for word in words if (place := request.question.casefold().find(word)) >= 0]
    said = request.question[min(places, default=0) :]
    numbers = iter(re.findall(r"-?\d+(?:\.\d+)?", said))
    quoted = iter(re.findall(r"[\"'“‘「](.+?)[\"'”’」]", said))
    arguments = _instance({"type": "object", "properties": {}, **schema}, ["First", "Second"])
    for field, part in schema.get("properties", {}).items():
        if part.get("type") in {"integer", "number"} and (number := next(numbers, None)):
            arguments[field] = float(number) if "." in number else int(number)
        elif part.get("type") == "string" and "enum" not in part and (word := next(quoted, None)):
            arguments[field] = word
    return json.dumps(arguments, ensure_ascii=False)


def _instance(schema: Mapping[str, Any], titles: list[str]) -> Any:
    """A value that follows a JSON schema of objects, arrays, strings and integers.

    Arrays are as long as there are titles, strings are taken from them in turn, integers count the array's
    places.
    """
    definitions = {**schema.get("$defs", {}), **schema.get("definitions", {})}
    upcoming = iter(titles)

    def build(part: Mapping[str, Any], place: int) -> Any:
        if "$ref" in part:
            return build(definitions[part["$ref"].rsplit("/", 1)[-1]], place)
        for choices in ("anyOf", "enum"):
            if choices in part:
                first = part[choices][0]
                return build(first, place) if choices == "anyOf" else first
        match part.get("type"):
            case "array":
                return [build(part["items"], number + 1) for number in range(len(titles))]
            case "object":
                return {name: build(value, place) for name, value in part["properties"].items()}
            case "string":
                return next(upcoming, titles[place % len(titles)])
            case _:
                return place

    return build(schema, 0)
