"""What the model is asked: the skeleton request and the point requests, per family of models."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from string import Formatter
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from skeleton_of_thought.errors import ConfigurationError
from skeleton_of_thought.messages import Message
from skeleton_of_thought.opening import MARK
from skeleton_of_thought.request import Steering

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from skeleton_of_thought.skeleton import Point, Skeleton

ROLE_SWITCH = "[ROLESWITCHING assistant:]"
"""What follows this mark in a prompt of the public JSON format is the beginning of the assistant's answer."""

_FIELDS = {
    "skeleton": frozenset({"request"}),
    "point": frozenset({"request", "outline", "point", "point_outline"}),
    "group": frozenset({"request", "outline", "points"}),
    "opening": frozenset({"request"}),
    "part": frozenset({"point", "point_outline", "notes", "form"}),
    "parents": frozenset({"texts"}),
}

_ANY_FORM = "as it suits the content, about 90 words"

_GROUP = (
    "Now write the texts of several points, one after the other. Begin each with its number and its title on a new "
    "line, and go on with one paragraph of 2 to 4 sentences that stands on its own. Say nothing about the other "
    "points, which others write at the same time. The points are {points}."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompts:
    """Templates for the two requests of Skeleton-of-Thought (paper, section 2.1).

    A template is filled with `{request}` (the user's question), and for points `{outline}` (the numbered
    skeleton), `{point}` (the number) and `{point_outline}` (the title). Everything else in braces stays as it
    is. The last user message of the conversation is replaced by the filled template.

    Attributes:
        skeleton: Asks for the skeleton; needs `{request}`.
        point: Asks for one point; needs `{point}` or `{point_outline}`.
        skeleton_start: How the assistant's answer to the skeleton request begins. Sent as a partial assistant
            answer; empty for models that do not take one.
        point_start: The same for a point.
        group: Asks for several points in one request; needs `{points}` ("3 and 4"). It continues the conversation
            of the skeleton request, whatever `continues` says.
        continues: Whether a point request continues the conversation of the skeleton request (question,
            skeleton, then this point). Everything before the last message is then one prefix of all requests
            of the question, computed once by an engine or a provider with a prefix cache. If false, the point
            template stands in the place of the user's question, as in the paper.
        examples: Worked examples, as turns before the conversation's own.
        max_points: Most points the skeleton template asks for; the paper's asks for 3 to 10.
        skeleton_max_tokens: Longest skeleton to ask for; None leaves the limit to the model.
        point_max_tokens: Longest point to ask for; None leaves the limit to the model.
        skeleton_steering: What the local engine is told about the skeleton.
        point_steering: The same for a point.

    Raises:
        ConfigurationError: A template lacks a field it needs.
    """

    skeleton: str
    point: str
    skeleton_start: str = ""
    point_start: str = ""
    group: str = _GROUP
    continues: bool = True
    examples: tuple[Message, ...] = ()
    max_points: int = 10
    skeleton_max_tokens: int | None = None
    point_max_tokens: int | None = None
    skeleton_steering: Steering = Steering()
    point_steering: Steering = Steering()

    def __post_init__(self) -> None:
        if "{request}" not in self.skeleton:
            raise ConfigurationError(
                f"The skeleton template has no {{request}}, so the model would not see the question: {self.skeleton!r}"
            )
        if "{point}" not in self.point and "{point_outline}" not in self.point:
            raise ConfigurationError(
                "The point template has neither {point} nor {point_outline}, so all points would be the same "
                f"request: {self.point!r}"
            )
        if "{points}" not in self.group:
            raise ConfigurationError(
                f"The template for several points has no {{points}}, so all requests would be the same: {self.group!r}"
            )
        if not self.continues and "{request}" not in self.point:
            raise ConfigurationError(
                "The point template has no {request}; it needs one unless continues=True: " + repr(self.point)
            )

    def without_partial_answers(self) -> Prompts:
        """The same prompts for a model that continues no partial answer: told how to begin instead."""
        return replace(
            self,
            skeleton=_told(self.skeleton, self.skeleton_start),
            point=_told(self.point, self.point_start),
            skeleton_start="",
            point_start="",
        )

    def shared_length(self, messages: Sequence[Message]) -> int:
        """How many messages the skeleton request and all point requests begin with, byte for byte."""
        return len(messages) + len(self.examples) - (not self.continues)

    def common_length(self, messages: Sequence[Message], skeleton: Skeleton, *, several: bool = False) -> int:
        """How many leading characters of their last user message all point requests of a skeleton share.

        Args:
            messages: The conversation.
            skeleton: The points.
            several: Whether the requests ask for several points each.
        """
        template = self.group if several else self.point
        ends = [template.find(field) for field in ("{point}", "{point_outline}", "{points}")]
        values = {"request": messages[-1].text, "outline": skeleton.as_text()}
        return len(_fill(template[: min(end for end in ends if end >= 0)], "point", values))

    def skeleton_messages(self, messages: Sequence[Message]) -> tuple[Message, ...]:
        """The skeleton request for a conversation that ends with the user's question."""
        system, turns = _split_system(messages)
        question = turns[-1]
        asked = question.with_text(_fill(self.skeleton, "skeleton", {"request": question.text}))
        return (*system, *self.examples, *turns[:-1], asked, *_start(self.skeleton_start))

    def point_messages(
        self,
        messages: Sequence[Message],
        skeleton: Skeleton,
        *points: Point,
        parents: Sequence[tuple[str, str]] = (),
    ) -> tuple[Message, ...]:
        """The request for one point of a skeleton, or for several.

        All point requests of a skeleton share everything up to the place where their template first names the
        point, byte for byte; one that follows others begins with their titles and texts, `parents`.
        """
        values = {
            "request": messages[-1].text,
            "outline": skeleton.as_text(),
            "point": str(points[0].index),
            "point_outline": points[0].title,
            "points": _listed([str(point.index) for point in points]),
        }
        several = len(points) > 1
        text = _fill(self.group, "group", values) if several else _fill(self.point, "point", values)
        if parents:
            text = f"{_with_parents(_PARENTS, parents)}\n\n{text}"
        start = _start(_fill(self.point_start, "point", values))
        system, turns = _split_system(messages)
        if not self.continues and not several:
            return (*system, *self.examples, *turns[:-1], turns[-1].with_text(text), *start)
        shared = self.skeleton_messages(messages)
        if self.skeleton_start:
            shared = shared[:-1]
        return (*shared, Message("assistant", skeleton.as_text()), Message("user", text), *start)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpeningPrompts:
    """Templates of the opening protocol: one request decides, opens and plans; then one request per part.

    The reply to the first is the plain answer, or an opening that is shown while it is written, the mark, and a line
    per part (`skeleton_of_thought.opening`). A part's request continues that conversation, so whoever keeps
    a prefix cache reads everything before it once.

    Attributes:
        opening: Asks for the plain answer or the plan; needs `{request}`.
        part: Asks for one part; has `{point}` (its number) and `{point_outline}` (its title), of which it needs one,
            `{notes}` and `{form}`.
        parents: Stands before `part` where a part follows others; needs `{texts}`.
        max_points: Most parts the template asks for.
        classic: What a model is asked instead that turned out not to manage the protocol, and where several points
            are written per request.

    Raises:
        ConfigurationError: A template lacks a field it needs.
    """

    opening: str
    part: str
    parents: str
    max_points: int = 8
    classic: Prompts

    def __post_init__(self) -> None:
        for name, template, field in (
            ("opening", self.opening, "request"),
            ("parents", self.parents, "texts"),
        ):
            if f"{{{field}}}" not in template:
                raise ConfigurationError(f"The {name} template has no {{{field}}}: {template!r}")
        if "{point}" not in self.part and "{point_outline}" not in self.part:
            raise ConfigurationError(
                "The part template has neither {point} nor {point_outline}, so all parts would be the same "
                f"request: {self.part!r}"
            )

    def shared_length(self, messages: Sequence[Message]) -> int:
        """How many messages the opening request and all parts begin with, byte for byte."""
        return len(messages)

    def opening_messages(self, messages: Sequence[Message]) -> tuple[Message, ...]:
        """The first request for a conversation that ends with the user's question."""
        question = messages[-1]
        asked = question.with_text(_fill(self.opening, "opening", {"request": question.text}))
        return (*messages[:-1], asked)

    def part_messages(
        self,
        messages: Sequence[Message],
        opening: str,
        plan: Sequence[Point],
        point: Point,
        *,
        titles: Sequence[str] = (),
        parents: Sequence[tuple[str, str]] = (),
    ) -> tuple[Message, ...]:
        """The request for one part.

        Args:
            messages: The conversation.
            opening: What the reader has seen already.
            plan: The parts the request shows: all, or those up to its own for one that may start early.
            point: The part.
            titles: Those of all parts, where the plan gave them before its notes.
            parents: Title and text of each part it follows.
        """
        values = {
            "point": str(point.index),
            "point_outline": point.title,
            "notes": point.description or point.title,
            "form": point.form or _ANY_FORM,
        }
        text = _fill(self.part, "part", values)
        if parents:
            text = f"{_with_parents(self.parents, parents)}\n\n{text}"
        lines = "\n".join(_titles_first(plan, titles) if titles else map(_planned_line, plan))
        planned = Message("assistant", f"{opening.strip()}\n\n{MARK}\n{lines}")
        return (*self.opening_messages(messages), planned, Message("user", text))


def _with_parents(template: str, parents: Sequence[tuple[str, str]]) -> str:
    """The texts of the points another one follows, as its request shows them."""
    return _fill(template, "parents", {"texts": "\n\n".join(f"{title}\n{text}" for title, text in parents)})


def _titles_first(plan: Sequence[Point], titles: Sequence[str]) -> list[str]:
    """A plan as the prompt asks for it: all titles, then the notes that are known."""
    known = [point.title for point in plan]
    heard = {title.casefold() for title in known}
    later = [title for title in titles if title.casefold() not in heard]
    numbered = [f"{place}. {title}" for place, title in enumerate([*known, *later], 1)]
    return numbered + [
        _planned_line(point, f"{point.index}") for point in plan if point.description or point.form
    ]


def _planned_line(point: Point, head: str | None = None) -> str:
    """A part as the plan has it."""
    fields = [head or f"{point.index}. {point.title}", point.description, point.form]
    if point.after:
        fields.append(f"after {', '.join(map(str, point.after))}")
    return " | ".join(filter(None, fields))


def _split_system(messages: Sequence[Message]) -> tuple[Sequence[Message], Sequence[Message]]:
    """The leading system messages, and the turns."""
    count = next((i for i, message in enumerate(messages) if message.role != "system"), len(messages))
    return messages[:count], messages[count:]


def _listed(words: Sequence[str]) -> str:
    """Words as a sentence lists them: "1, 2 and 3"."""
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _start(text: str) -> tuple[Message, ...]:
    return (Message("assistant", text),) if text else ()


def _told(template: str, start: str) -> str:
    return f'{template}\n\nBegin your answer with "{start}".' if start else template


def _fill(template: str, kind: str, values: Mapping[str, str]) -> str:
    """Put values in the place of the fields; braces that are no field, and fields inside values, stay."""
    filled: list[str] = []
    rest = template
    while rest:
        place, field = min(
            ((rest.find(f"{{{name}}}"), name) for name in _FIELDS[kind] if f"{{{name}}}" in rest),
            default=(-1, ""),
        )
        if place < 0:
            break
        filled += [rest[:place], values[field]]
        rest = rest[place + len(field) + 2 :]
    return "".join(filled) + rest


def load_prompts(path: str | Path) -> Prompts:
    """Read prompts in the JSON format of the paper's public code.

    The file holds an object with `outline_prompt` and `point_prompt`, optionally with the role-switch mark
    `[ROLESWITCHING assistant:]`, behind which the partial assistant answer stands.

    Raises:
        ConfigurationError: No such file, not JSON, a missing key or field.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigurationError(f"Cannot read the prompts file {str(path)!r}: {error.strerror}.") from error
    except ValueError as error:
        raise ConfigurationError(f"The prompts file {str(path)!r} is not JSON: {error}.") from error
    if not isinstance(content, dict):
        raise ConfigurationError(
            f"The prompts file {str(path)!r} must hold an object, not {type(content).__name__}."
        )
    templates: dict[str, Any] = {}
    for key in ("outline_prompt", "point_prompt"):
        template = content.get(key)
        if not isinstance(template, str):
            raise ConfigurationError(
                f"The prompts file {str(path)!r} has no text under {key!r}; it needs outline_prompt and "
                f"point_prompt, and has {sorted(content)}."
            )
        user, _, start = template.partition(ROLE_SWITCH)
        kind = "skeleton" if key == "outline_prompt" else "point"
        _check_fields(template, kind, path)
        templates[kind] = user.rstrip() if start else user
        templates[f"{kind}_start"] = start.strip()
    try:
        return Prompts(**templates, continues=False)
    except ConfigurationError as error:
        raise ConfigurationError(f"The prompts file {str(path)!r} does not do: {error}") from error


def _check_fields(template: str, kind: str, path: Path) -> None:
    """Refuse a misspelt field: it would reach the model as it stands."""
    try:
        names = {name for _, name, _, _ in Formatter().parse(template) if name is not None}
    except ValueError:
        return  # braces that are text, such as a piece of JSON
    unknown = sorted(name for name in names - _FIELDS[kind] if name.isidentifier())
    if unknown:
        allowed = ", ".join(f"{{{name}}}" for name in sorted(_FIELDS[kind]))
        raise ConfigurationError(
            f"The {kind} prompt in {str(path)!r} uses {{{unknown[0]}}}; the fields there are {allowed}."
        )


_SKELETON = (
    "{request}\n\nFirst write only the skeleton of the answer: a numbered list of 3 to 8 short points, "
    "3 to 5 words each, no full sentences."
)
_BEGIN_SKELETON = ' Begin with "1." and write nothing but the list.'
_POINT = 'Now write only point {point}, "{point_outline}", in 2 to 3 sentences.'
_POINT_TEXT_ONLY = (
    "Now write the text of one point, in one paragraph of 2 to 4 sentences that stands on its own. "
    "Leave out its number and its title, and say nothing about the other points, which others write at the "
    'same time. The point is {point}. "{point_outline}".'
)

# For small models: fewer words to follow, and titles as short as they should be, since they write what they see.
_SHORT_SKELETON = (
    "{request}\n\nFirst write only the skeleton of the answer: a numbered list of at most 8 points, "
    "2 to 4 words each."
)
_LONGER_POINT = _POINT.replace("2 to 3", "4")
_WORKED_EXAMPLES = (
    Message("user", _SHORT_SKELETON.format(request="What makes a good breakfast?")),
    Message(
        "assistant",
        "1. Whole grains\n2. Lasting protein\n3. Fresh fruit\n4. Little sugar\n5. Enough to drink\n6. Time to eat",
    ),
    Message("user", _LONGER_POINT.format(point=2, point_outline="Lasting protein")),
    Message(
        "assistant",
        "2. Lasting protein: Eggs, yoghurt, beans or nuts are digested slowly, so hunger comes back "
        "hours later than after white bread and jam. A portion the size of your palm is enough for most people. "
        "Protein also helps to keep muscles strong, which matters more as you get older.",
    ),
    Message("user", _SHORT_SKELETON.format(request="How can a city reduce its traffic?")),
    Message(
        "assistant",
        "1. Better public transport\n2. Safe cycling lanes\n3. Charges for cars\n"
        "4. Flexible working hours\n5. Shops close by\n6. Shared cars\n7. Fewer parking spaces",
    ),
    Message("user", _LONGER_POINT.format(point=4, point_outline="Flexible working hours")),
    Message(
        "assistant",
        "4. Flexible working hours: Traffic jams happen because most people travel in the same two hours. When "
        "companies let their staff start between seven and ten, the same number of cars is spread over the whole "
        "morning. Working from home one day a week removes some trips altogether. Cities can begin with their own "
        "offices, and then ask the largest employers to follow.",
    ),
)

TITLES_ONLY = Steering(suppress=(":", " -", " –", " —"))
"""Keeps a small model from explaining a point where only its title belongs."""

_OPENING_NOTE = (
    "{request}\n"
    "\n"
    "(A note on how to reply. Most messages are best served by an ordinary answer, and then you simply give it "
    "and ignore the rest of this note: greetings and short questions, facts, anything to be calculated, derived "
    "or debugged, code, one continuous text such as a story, a letter, an essay or a translation, an argument "
    "in which each step needs the one before, a fixed output format, work on a text the user gave.\n"
    "\n"
    "Only if your best answer has at least three sections that different people could write at the same moment, "
    "knowing your plan and nothing else, reply with that plan, and with nothing else. First comes the opening, "
    "for the reader: two or three sentences, at most 40 words, in the tone a good adviser would take with this "
    "person, which answer the question at its heart and say what cannot wait, if anything. Then a line with the "
    "single word OUTLINE. Then the titles of 4 or 5 sections, in the order that serves this reader, so that "
    "what comes first for them comes first; and then a line for the writer of each:\n"
    "\n"
    "1. Title\n"
    "2. Title\n"
    "1 | what it says | length and form\n"
    "2 | what it says | length and form\n"
    "\n"
    "The sections take the shape the question has: pros and cons stand as pros and cons, things to compare side "
    "by side, a preparation in the order of time, options as options, growth in stages; whoever asked "
    "recognises the question in the titles. What it says is a note to its writer, at most one word for every "
    "six of the section. Think of your best ordinary answer to this person and leave nothing out that it would "
    "have: first the expected things, each in two or three words, then what only an expert would add, at this "
    "reader's level (a newcomer gets every term explained and few figures); the fact, the figure, the example "
    "worked through with the user's own numbers, the words to say. Each is named in exactly one note, so "
    "precisely that no other writer would bring it up. No section sums up, gives in a table what another gives "
    "in sentences, or collects first steps out of the others. The last section carries little, so that its "
    "close has room: its note ends with how the whole answer closes, with the view you take or with what to do "
    "first and why. The length is an upper limit in words, followed by a form where the content asks for more "
    "than paragraphs (what the user is to do or to choose from is a list that can be used at once, reasons are "
    'paragraphs): "170 words", "140 words, the last part bullets", "110 words, table", "130 words, steps"; not '
    "every section has the same form. A writer starts when the line is complete, so every section is clearly "
    "shorter than the one before: five of about 170, 145, 115, 85 and 60 words, four of about 190, 160, 125 and "
    "75; fewer where the question is narrow. All writers know the plan, so no section waits for another; the "
    'rare one that cannot be written without the words of others ends its line with " | after 1, 2". Titles and '
    "notes are in the user's language and tone; OUTLINE stays as it is.)"
)
_PART = (
    'Now write section {point} of your plan: "{point_outline}".\n'
    "It says: {notes}\n"
    "Length and form: {form}\n\n"
    "The reader has your opening in front of them and finds this text under its title; the other sections are "
    "written at the same moment by others who know the titles, so whatever belongs under another title is "
    "theirs, even as a reminder. Begin with the substance: no title, no introduction. Say everything your note "
    "names, each thing once and clear before the next, with the reason where it is not obvious, the way one "
    "person who knows this well would tell this reader; whole sentences that breathe and are not all built "
    "alike, in a list too; a figure or an example only where it is sure and helps. Paragraphs stay short. Unless "
    "the note says how the answer closes, end with your last thought, not with a summary. The length is an upper "
    "limit: where the note names more than fits it well, say the first things well."
)
RESUME = (
    "The connection broke there, and the reader has all of the above. Write the rest of your answer. Begin with the "
    "sentence or the item that was cut off, from its first word; if none was, with the next one. Do not speak of the "
    "interruption and repeat nothing else."
)
"""Asks for the rest of a reply that broke off while it was read."""

_PARENTS = "These sections are written already:\n\n{texts}"

_INSTRUCTION = Prompts(skeleton=_SKELETON + _BEGIN_SKELETON, point=_POINT_TEXT_ONLY)
_PARTIAL = Prompts(
    skeleton=_SKELETON,
    point=_POINT,
    skeleton_start="1.",
    point_start="{point}. {point_outline}:",
)

_OPENING = OpeningPrompts(opening=_OPENING_NOTE, part=_PART, parents=_PARENTS, classic=_INSTRUCTION)

AnyPrompts = Prompts | OpeningPrompts
"""The prompts of either protocol."""

PROMPTS: Mapping[str, AnyPrompts] = MappingProxyType(
    {
        "opening": _OPENING,
        "instruction": _INSTRUCTION,
        "instruction-examples": replace(
            _INSTRUCTION,
            examples=(
                Message("user", _INSTRUCTION.skeleton.format(request="How can a city reduce its traffic?")),
                _WORKED_EXAMPLES[5],
            ),
        ),
        "instruction-json": replace(_INSTRUCTION, skeleton=_SKELETON + " Give their titles as JSON."),
        "partial": _PARTIAL,
        "partial-examples": replace(
            _PARTIAL,
            skeleton=_SHORT_SKELETON,
            point=_LONGER_POINT,
            examples=_WORKED_EXAMPLES,
            max_points=8,
            skeleton_max_tokens=80,
            point_max_tokens=80,
            skeleton_steering=TITLES_ONLY,
            point_steering=Steering(soft_max_tokens=48),
        ),
    }
)
"""The families: with an instruction or with a partial assistant answer, without and with worked examples."""


_FOLLOWS_INSTRUCTIONS = (
    "openai", "azure-openai", "azure_openai", "anthropic", "chat-google", "google", "gemini", "vertexai", "mistral",
    "amazon_bedrock", "bedrock", "cohere", "chat-deepseek", "deepseek", "groq", "xai", "openrouter", "together",
    "fireworks", "perplexity", "azureai", "databricks", "watsonx", "nvidia", "grok",
)  # fmt: skip
"""How the kinds of hosted chat models begin, whose models are large enough for the opening protocol."""


def family_for(kind: str, *, local: bool = False) -> str:
    """The family of prompts for a model nobody chose prompts for; this is the one table of it.

    Small local models keep the classic protocol with worked examples, hosted ones get the opening protocol, and of
    what is not known nothing is assumed: the classic protocol with an instruction.

    Args:
        kind: What the framework calls the model's kind: LangChain's `_llm_type`, LlamaIndex's `class_name`, the
            command's `openai` and `anthropic`.
        local: Whether it is our own engine, which continues partial answers.

    Example:
        >>> family_for("openai-chat"), family_for("transformers", local=True), family_for("my-model")
        ('opening', 'partial-examples', 'instruction')
    """
    if local:
        return "partial-examples"
    return "opening" if kind.casefold().startswith(_FOLLOWS_INSTRUCTIONS) else "instruction"


def get_prompts(prompts: AnyPrompts | str | Path) -> AnyPrompts:
    """The prompts a name, a file or an object stands for.

    Raises:
        ConfigurationError: Neither a family nor a file; the message lists the families.
    """
    if isinstance(prompts, (Prompts, OpeningPrompts)):
        return prompts
    if isinstance(prompts, str) and prompts in PROMPTS:
        return PROMPTS[prompts]
    if Path(prompts).suffix == ".json" or Path(prompts).exists():
        return load_prompts(prompts)
    raise ConfigurationError(
        f"There are no prompts named {str(prompts)!r}. Use one of {', '.join(sorted(PROMPTS))}, a JSON file with "
        "outline_prompt and point_prompt, or a Prompts object."
    )
