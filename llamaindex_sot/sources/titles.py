"""A skeleton made of the sources themselves, for models too small to write one.

A model of a hundred million parameters cannot find the points of an answer in a page of text, but it can
retell one paragraph it is shown. So every source becomes a point: its title is the beginning of the source.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from llamaindex_sot.sources.citations import cited_in
from skeleton_of_thought.skeleton import parse_skeleton

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_LONGEST, _SHORTEST = 9, 3  # words
_LONGEST_TITLE = 300  # characters
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
_CLAUSE_END = re.compile(r"\s*[,;:(]\s*|\s(?=(?:and|because|so that|which|when|where|while)\s)")
_METADATA = re.compile(
    r"\A(?=(?P<key>\w+: ))(?:[a-z][a-z0-9_]*: (?!.*; [\w ]+: )\S.*(?<![.!?])\n)+\n(?=\S)(?!(?P=key))"
)
"""What LlamaIndex writes over a chunk: `page_label: 3`. No sentence, no row of a table (`plant: leek; sown: May`)."""

_PARSED = re.compile(r"\s*[:：]\s+|\s[-–—=|→]+\s|—|\[\d+\]")
"""What the parser of skeletons would take for the end of a title, or for its number."""

_NUMBERS = re.compile(r"\[[^\[\]]*\d[^\[\]]*\]")
_WORD = re.compile(r"[^\W\d_]+|\d+")
_NO_WORDS = "Source"

_DANGLING = frozenset(
    re.findall(
        r"\w+",
        "a an and are as at be because before but by can every first for from has have if in into is it its last may "
        "next of on only or other same so than that the their these this those to up when which who with",
    )
)


def skeleton_of(texts: Mapping[int, str]) -> str:
    """A numbered list with a title for every source, each with the number of its source in brackets.

    A title the parser of skeletons would not read back so is reduced to its words.
    """
    lines, plain = list[str](), list[str]()
    numbers = list(texts)
    for place, (number, text) in enumerate(texts.items(), start=1):
        title = _PARSED.sub(", ", title_of(text)).strip(", ")
        words = [word for word in _WORD.findall(title) if word.isalpha() or word.isdecimal()]
        line = f"{place}. {title} [{number}]"
        plain.append(f"{place}. {' '.join(words) or _NO_WORDS} [{number}]")
        lines.append(line if _are_read_back([*lines, line], numbers[:place]) else plain[-1])
    return "\n".join(lines if _are_read_back(lines, numbers) else plain)


def _are_read_back(lines: Sequence[str], numbers: Sequence[int]) -> bool:
    """Whether the parser of skeletons finds these points, each with its own number and no other."""
    titles = [point.title for point in parse_skeleton("\n".join(lines))]
    return len(titles) == len(numbers) and all(
        _NUMBERS.findall(title) == [f"[{number}]"] == [title[title.rfind("[") :]]
        and cited_in(title, max(numbers)) == [number]
        for title, number in zip(titles, numbers, strict=True)
    )


def title_of(text: str) -> str:
    """The beginning of a source's first sentence, up to the end of a clause; with "…" where it ends within one.

    A heading over it is passed over: a small model that is to write about "Watering" does not look further.
    """
    first = _SENTENCE_END.split(without_heading(text), maxsplit=1)[0].rstrip(".!?: ")[:_LONGEST_TITLE]
    ends = [clause.start() for clause in _CLAUSE_END.finditer(first)]
    whole = next((first[:end] for end in ends if len(first[:end].split()) >= _SHORTEST), first)
    words = whole.split()
    cut = len(words) > _LONGEST
    words = words[:_LONGEST]
    while len(words) > _SHORTEST and words[-1].lower() in _DANGLING:
        words.pop()
    return " ".join(words) + ("…" if cut else "")


def with_citations(number: int, text: str) -> str:
    """The source with its number behind every sentence, so that a model that retells it cites it too."""
    return re.sub(r"(?=[.!?](?:\s|$))", f" [{number}]", without_heading(text))


def without_heading(text: str) -> str:
    """The text on one line, without the metadata LlamaIndex puts over it and without a heading."""
    text = _METADATA.sub("", text.strip(), count=1)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) > 1 and (lines[0].startswith("#") or _is_heading(lines[0], lines[1])):
        lines = lines[1:]
    return " ".join(lines).lstrip("# ")


def _is_heading(line: str, following: str) -> bool:
    """Whether a line without a mark is one: short, unfinished, and what follows begins anew and is neither."""
    short, next_short = (
        len(each.split()) <= _LONGEST and each[-1] not in ".!?,;:" for each in (line, following)
    )
    return short and not next_short and not any(map(str.isdigit, line)) and following[0].isupper()
