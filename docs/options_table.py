"""The table of options, read out of the code: what the page "Options" shows.

A name that stands in several places is one option; what it means is said where the first of `PLACES` documents it.
"""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from langchain_sot import SkeletonOfThoughtChain
from llamaindex_sot import SkeletonOfThoughtSynthesizer
from skeleton_of_thought import EverydayOptions, Options, ask
from skeleton_of_thought.asking import Asker
from sot_command.ask import ask as ask_command

if TYPE_CHECKING:
    from collections.abc import Iterator

FACES = ("LangChain", "LlamaIndex", "plain Python", "sot ask")
NO_DEFAULT = object()
INTERNAL = {"name", "leads", "max_stops", "llm_kwargs"}
"""Fields of a base class, and what a face sets for a run and no user does."""
DOCUMENTS = "LlamaIndex only: about documents"
BASE_CLASS = "LlamaIndex only: its base classes have it"
INSTEAD: dict[str, dict[str, str]] = {
    "question": {"LlamaIndex": "not needed: the question is given", "plain Python": "as in LlamaIndex"},
    "fallback": {"LangChain": DOCUMENTS},
    "skeleton": {"LangChain": DOCUMENTS},
    "context": {"LangChain": DOCUMENTS},
    "embed_model": {"LangChain": DOCUMENTS},
    "chunks_per_point": {"LangChain": DOCUMENTS},
    "prompt_helper": {"LangChain": DOCUMENTS},
    "empty_response": {"LangChain": DOCUMENTS},
    "max_concurrency": {"LangChain": '`config={"max_concurrency": ...}`'},
    "streaming": {"LangChain": "`stream`, `astream`", "plain Python": "`stream`, `astream`"},
    "callback_manager": {"LangChain": '`config={"callbacks": ...}`'},
    "output_cls": {"LangChain": BASE_CLASS},
    "base_url": {"LangChain": "an option of the model", "LlamaIndex": "an option of the LLM"},
    "dtype": {"LangChain": "an option of `ChatTransformers`", "LlamaIndex": "an option of `TransformersLLM`"},
    "route": {
        "LangChain": '`router`; per call `config={"configurable": {"sot_route": ...}}`',
        "LlamaIndex": "`router`",
        "plain Python": "`router`",
    },
    "docs": {"LangChain": "a retriever in the chain", "LlamaIndex": "`SkeletonOfThoughtSynthesizer`"},
    "json": {
        "LangChain": '`response_metadata["sot"]`',
        "LlamaIndex": '`response.metadata["sot"]`',
        "plain Python": "`answer.to_dict()`",
    },
}
"""What a face has instead of an option, or why it needs none."""
OTHER_NAMES = {"llm": "model"}
"""One option that has the name its framework gives it."""


@dataclass
class Option:
    """An option: what it means, and its default in every face that has it."""

    name: str
    meaning: str = ""
    defaults: dict[str, Any] = field(default_factory=dict)
    rare: bool = False

    def cell(self, face: str) -> str:
        """How the option is written in a face, with its default."""
        if face not in self.defaults:
            return INSTEAD.get(self.name, {}).get(face, "–")
        name, default = self.name, self.defaults[face]
        if face == "LlamaIndex":
            name = next((own for own, ours in OTHER_NAMES.items() if ours == name), name)
        if face == "sot ask":
            name = f"--{name.replace('_', '-')}"
        elif self.rare:
            name = f"Options({name})"
        return f"`{name}`" if default is NO_DEFAULT else f"`{name}` = `{shown(default)}`"


def shown(default: Any) -> str:
    """A default as a reader would write it."""
    return "Options()" if isinstance(default, Options) else repr(getattr(default, "value", default))


def options() -> list[Option]:
    """Every option, the everyday ones first, each in the order of the first face that has it."""
    found: dict[str, Option] = {}
    for face, names in (
        ("LangChain", langchain()),
        ("LlamaIndex", llamaindex()),
        ("plain Python", plain()),
        ("sot ask", command()),
    ):
        for name, default in names:
            if name not in INTERNAL:
                found.setdefault(name, Option(name)).defaults[face] = default
    for own in fields(Options):
        option = Option(own.name, rare=True)
        option.defaults = {
            face: own.default
            for face in FACES
            if face != "sot ask"
            and "options" in {name for name, value in found.items() if face in value.defaults}
        }
        found[own.name] = option
    texts = meanings()
    for option in found.values():
        option.meaning = texts.get(option.name, "")
    return list(found.values())


def langchain() -> Iterator[tuple[str, Any]]:
    """The fields of the chain, which the router and the chat model share."""
    for name, own in SkeletonOfThoughtChain.model_fields.items():
        yield name, NO_DEFAULT if own.is_required() else own.get_default(call_default_factory=True)


def llamaindex() -> Iterator[tuple[str, Any]]:
    """The parameters of the synthesizer."""
    yield from parameters(SkeletonOfThoughtSynthesizer.__init__)


def plain() -> Iterator[tuple[str, Any]]:
    """The parameters of `ask`."""
    for name, default in parameters(ask):
        if name != "question":  # what is answered, not how
            yield name, default


def command() -> Iterator[tuple[str, Any]]:
    """The options of `sot ask`."""
    for name, default in parameters(ask_command):
        if name != "question":  # an argument, not an option
            yield ("json" if name == "as_json" else name), default


def parameters(function: Any) -> Iterator[tuple[str, Any]]:
    """Names and defaults."""
    for name, parameter in inspect.signature(function).parameters.items():
        if name != "self" and parameter.kind is not parameter.VAR_KEYWORD:
            default = NO_DEFAULT if parameter.default is parameter.empty else parameter.default
            yield OTHER_NAMES.get(name, name), default


def meanings() -> dict[str, str]:
    """The first sentence of what a docstring says about a name, by name."""
    said: dict[str, str] = {}
    sources = (
        EverydayOptions,
        *SkeletonOfThoughtChain.__mro__,
        SkeletonOfThoughtSynthesizer,
        Options,
        Asker,
        ask,
    )
    for source in sources:
        for name, text in described(inspect.getdoc(source) or "").items():
            said.setdefault(OTHER_NAMES.get(name, name), text)
    for name, parameter in inspect.signature(ask_command, eval_str=True).parameters.items():
        for note in getattr(parameter.annotation, "__metadata__", ()):
            said.setdefault("json" if name == "as_json" else name, note.help or "")
    return said


def described(docstring: str) -> dict[str, str]:
    """The entries of the sections Args and Attributes."""
    entries = re.findall(r"^    (\w+)(?: \([^)]*\))?: (.+(?:\n     +.+)*)", docstring, re.MULTILINE)
    return {name: sentence(" ".join(text.split())) for name, text in entries}


def sentence(text: str) -> str:
    """Its first sentence."""
    return re.split(r"(?<=[.;]) (?=[A-Z`])", text, maxsplit=1)[0].rstrip(";")


def table() -> str:
    """The table in Markdown."""
    rows = [["option", "what it is", *FACES], ["---"] * (2 + len(FACES))]
    rows += [
        [f"**{option.name}**", option.meaning.replace("|", "\\|"), *(option.cell(face) for face in FACES)]
        for option in options()
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
