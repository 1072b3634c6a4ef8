"""What readers complained of in parts, counted: said twice, a title said again, another form than planned, too long."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SCRIPT_WITHOUT_SPACES = "぀-ヿ㐀-鿿"
_WORD = re.compile(rf"[{_SCRIPT_WITHOUT_SPACES}]|[^\W_{_SCRIPT_WITHOUT_SPACES}]+")
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]*_]*\s+|(?<=[。！？])|\n+")
_MARKER = re.compile(r"^\s*(?:[-*•+]|\(?\d{1,2}[.)])\s+|^\s*#+\s*|\|", re.MULTILINE)
_BULLET = re.compile(r"^ {0,3}[-*•+]\s+\S", re.MULTILINE)
_STEP = re.compile(r"^ {0,3}(?:\*\*)?(?:step\s+)?\d{1,2}[.):]", re.MULTILINE | re.IGNORECASE)
_TABLE_ROW = re.compile(r"^\s*\|.*\|\s*$", re.MULTILINE)
_TABLE_RULE = re.compile(r"^[\s|:-]+$")
_SHORTEST_SENTENCE: Final = 5
"""Words from which a sentence can be said twice; shorter ones are alike by chance."""
_ALIKE: Final = 0.6
"""Jaccard index of the words of two sentences that say the same."""
_RESTATED: Final = 0.7
"""Share of a question's longer words in a first sentence that restates it."""
_STEM: Final = 5
"""Letters of a word that are compared, so that "sleeping" is "sleep"."""
_LENGTHS: Final = (0.5, 1.5)
"""Words of a part, as a share of the planned ones, that still keep to the form."""
_OVER: Final = 1.2
"""Words of a part, as a share of the planned ones, from which it is over its length."""

_SMALL: Final = (
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
)
_COUNT = rf"(\d+|{'|'.join(_SMALL[1:])})(?:\s*(?:-|–|to|or)\s*(\d+|{'|'.join(_SMALL[1:])}))?"
_UNITS: Final[Mapping[str, str]] = {
    "bullets": r"(?:short |brief )?(?:bullets?|bullet points?|stichpunkte?|puces?|viñetas?)",
    "steps": r"(?:numbered |short |brief )*(?:steps?|schritte?|étapes?|pasos?)",
    "sentences": r"(?:short |brief )?(?:sentences?|sätze?|phrases?|frases?)",
    "words": r"(?:words?|wörter|worte?|mots?|palabras?)",
    "rows": r"(?:rows?|zeilen?|lignes?|filas?)",
}
_PLANNED = {unit: re.compile(rf"\b{_COUNT}\s+{words}\b", re.IGNORECASE) for unit, words in _UNITS.items()}
_ONE_LINE_EACH = re.compile(
    r"\b(?:of|each|in)\s+(?:one|1|two|2)\s+(?:short )?(?:sentences?|lines?)\b", re.IGNORECASE
)
_EACH = re.compile(r"\b(?:each|per|a)\b", re.IGNORECASE)
_KINDS = {
    "bullets": re.compile(r"\b(?:bullet|stichpunkt|puces?\b|viñeta)", re.IGNORECASE),
    "steps": re.compile(r"\bnumbered\b|\bsteps?\b|\bschritte?\b|\bétapes?\b|\bpasos?\b", re.IGNORECASE),
    "table": re.compile(r"\b(?:table|tabelle|tableau|tabla)\b", re.IGNORECASE),
}


@dataclass(frozen=True, slots=True)
class PartMeasures:
    """The parts of one answer.

    Attributes:
        sentences: Sentences long enough to be said twice.
        said_twice: Those of them that another part, further up, says too.
        restating: For each written part, whether it opens by restating its title or the question.
        ignores_form: For each written part whose planned form can be read, whether the text is another one.
        over_length: For each written part with a planned number of words or sentences, whether it is over it.
    """

    sentences: int
    said_twice: int
    restating: tuple[bool, ...]
    ignores_form: tuple[bool, ...]
    over_length: tuple[bool, ...]


def part_measures(points: Sequence[Mapping[str, Any]], question: str = "") -> PartMeasures:
    """Measure the parts of an answer, given as `title`, `text` and, where they were planned, `form`."""
    written = [point for point in points if point["text"].strip()]
    sentences, twice = said_twice([point["text"] for point in written])
    forms = [(point["text"], point.get("form") or "") for point in written]
    return PartMeasures(
        sentences,
        twice,
        restating=tuple(restates(point["text"], point["title"], question) for point in written),
        ignores_form=tuple(not kept for text, form in forms if (kept := keeps_form(text, form)) is not None),
        over_length=tuple(over for text, form in forms if (over := is_over_length(text, form)) is not None),
    )


def said_twice(texts: Sequence[str]) -> tuple[int, int]:
    """Sentences of at least five words, and how many of them an earlier text says in nearly the same words.

    Example:
        >>> said_twice(["Solar panels pay back in ten years. They last.", "Panels of this kind pay back in ten years."])
        (2, 1)
    """
    before: list[frozenset[str]] = []
    count = twice = 0
    for text in texts:
        said = [
            words for sentence in _sentences(text) if len(words := _words(sentence)) >= _SHORTEST_SENTENCE
        ]
        sets = [frozenset(words) for words in said]
        count += len(sets)
        twice += sum(any(_jaccard(one, other) >= _ALIKE for other in before) for one in sets)
        before += sets
    return count, twice


def restates(text: str, title: str, question: str = "") -> bool:
    """Whether a part opens with its own title, or with the question said again.

    Example:
        >>> restates("Sleeping enough matters: rest.", "Sleep enough"), restates("Go to bed at ten.", "Sleep enough")
        (True, False)
        >>> restates("To learn Spanish in a year, start small.", "First week", "How do I learn Spanish in a year?")
        True
    """
    lines = text.strip().splitlines()
    first_line = _words(lines[0]) if lines else []
    first = _words(next(iter(_sentences(text)), ""))
    named = _words(title)
    if named and (
        first_line == named or re.match(rf"\W*{re.escape(title.strip())}\W*[:–—]", text, re.IGNORECASE)
    ):
        return True
    own = _content(named)
    if len(own) > 1 and own <= _content(first[: len(named) + 2]):
        return True
    asked = _content(_words(question))
    return len(asked) > 2 and len(asked & _content(first)) >= _RESTATED * len(asked)  # noqa: PLR2004


def keeps_form(text: str, form: str) -> bool | None:
    r"""Whether a text has the planned form: bullets, steps or rows in that number, a table, sentences, words.

    A planned number of bullets, steps and rows must be met, sentences within one, words within half and one and a
    half times. None if the plan says nothing of the kind.

    Example:
        >>> keeps_form("- a\n- b\n- c", "3 bullets"), keeps_form("All in prose.", "table, 4 rows")
        (True, False)
    """
    planned = _planned(form)
    kinds = {kind for kind, word in _KINDS.items() if word.search(form)}
    if not planned and not kinds:
        return None
    rows = [row for row in _TABLE_ROW.findall(text) if not _TABLE_RULE.match(row)]
    there = {
        "bullets": len(_BULLET.findall(text)),
        "steps": len(_STEP.findall(text)),
        "rows": len(rows) - 1,
        "table": len(rows) - 1,
    }
    if any(there[kind] < 1 for kind in kinds):
        return False
    lists = bool(kinds)
    for unit, (least, most) in planned.items():
        if unit == "words":
            if not _LENGTHS[0] * least <= len(_words(text)) <= _LENGTHS[1] * most:
                return False
        elif unit == "sentences":
            if not lists and not least - 1 <= len(_sentences(text)) <= most + 1:
                return False
        elif not least <= there[unit] <= most:
            return False
    return True


def is_over_length(text: str, form: str) -> bool | None:
    """Whether a text has more than 1.2 times the planned words, or sentences where no words are planned.

    Example:
        >>> is_over_length("one two three", "2 words"), is_over_length("One. Two.", "2 sentences")
        (True, False)
    """
    planned = _planned(form)
    if "words" in planned:
        return len(_words(text)) > _OVER * planned["words"][1]
    if "sentences" in planned and not any(word.search(form) for word in _KINDS.values()):
        return len(_sentences(text)) > _OVER * planned["sentences"][1]
    return None


def _planned(form: str) -> dict[str, tuple[int, int]]:
    """The numbers of a planned form by unit, least and most; "40 words each" counts for every item there is."""
    found: dict[str, tuple[int, int]] = {}
    form = _ONE_LINE_EACH.sub("", form)
    for unit, pattern in _PLANNED.items():
        seen = pattern.search(form)
        if seen is None:
            continue
        if unit == "words" and _EACH.match(form[seen.end() :].strip(" ,")):
            continue  # a length for each item says nothing of the whole without counting them
        least = _number(seen[1])
        found[unit] = (least, max(least, _number(seen[2])) if seen[2] else least)
    return found


def _number(word: str) -> int:
    return int(word) if word.isdigit() else _SMALL.index(word.lower())


def _sentences(text: str) -> list[str]:
    plain = _MARKER.sub(" ", text)
    return [sentence for sentence in _SENTENCE_END.split(plain) if _WORD.search(sentence)]


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def _content(words: Sequence[str]) -> frozenset[str]:
    """Beginnings of the words that carry meaning: those of four letters and more, or of a script without spaces."""
    return frozenset(word[:_STEM] for word in words if len(word) > 3 or not word.isascii())  # noqa: PLR2004


def _jaccard(first: frozenset[str], second: frozenset[str]) -> float:
    return len(first & second) / len(first | second) if first | second else 0.0
