"""What can be seen in a question without a model: words, kinds of request, shape.

A feature's name is what a person reads when a decision is explained: `starts "what are"`, `asks for code`,
`word "benefits"`. Long texts are read at both ends only, so that the time stays bounded: people put the request
before or after the document they paste, not in its middle.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from skeleton_of_thought.routing.decision import Question

HEAD_CHARACTERS: Final = 900
TAIL_CHARACTERS: Final = 300
_LONGEST_PHRASE: Final = 4
_LEAD_WORDS: Final = 4
_STEM: Final = 5
_ALL_WORDS: Final = 9.0

_EAST_ASIAN = r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"
_TOKEN = re.compile(
    rf"[{_EAST_ASIAN}]|[^\W\d_{_EAST_ASIAN}]+(?:[-'.+#][^\W\d_{_EAST_ASIAN}]+)*(?:\+\+|#)?"
    r"|\d+|```|\n|\$|[^\w\s]"
)
_SENTENCE_END: Final = frozenset(".?!\n。？！;")
_IS_EAST_ASIAN = re.compile(rf"[{_EAST_ASIAN}]")
_LETTER_SCRIPTS: Final = {
    "Cyrillic script": re.compile(r"[\u0400-\u04ff]"),
    "East Asian script": _IS_EAST_ASIAN,
    "Arabic or Hebrew script": re.compile(r"[\u0590-\u06ff]"),
}
_NOT_PLURAL: Final = ("ss", "us", "is", "'s", "as", "does", "ous")


@dataclass(frozen=True, slots=True)
class Cues:
    """Phrases by the kind of request they announce, read from `data/cues.txt`.

    Attributes:
        phrases: Words, joined by blanks, to the kinds they announce.
        substrings: Phrases in scripts that put no blanks between words.
    """

    phrases: Mapping[str, tuple[str, ...]]
    substrings: Mapping[str, tuple[str, ...]]


@lru_cache(maxsize=1)
def cues() -> Cues:
    """The cues that ship with the package."""
    text = resources.files("skeleton_of_thought.routing").joinpath("data/cues.txt").read_text("utf-8")
    found: dict[str, dict[str, None]] = {}
    meaning = ""
    for line in text.splitlines():
        if line.startswith("["):
            meaning = line.partition("] ")[2]
        elif line and not line.startswith("#"):
            for phrase in line.split("; "):
                if tokens := " ".join(_tokens(phrase)):
                    found.setdefault(tokens, {})[meaning] = None
    by_script: tuple[dict[str, tuple[str, ...]], ...] = ({}, {})
    for phrase, meanings in found.items():
        east_asian = _IS_EAST_ASIAN.search(phrase) is not None
        by_script[east_asian][phrase.replace(" ", "") if east_asian else phrase] = tuple(meanings)
    return Cues(*by_script)


def features(question: Question) -> dict[str, float]:
    """The features of a question by name.

    Kinds of request, shape and the words a sentence starts with count 1 each. All words together count the same
    in a short question and in a long one, so that pasted text does not drown the request.
    """
    text = _both_ends(question.text)
    sentences = _sentences(_tokens(text))
    words = list(dict.fromkeys(_words(sentences)))
    found = dict.fromkeys(words, _ALL_WORDS / math.sqrt(len(words))) if words else {}
    for names in (_starts(sentences), _requests(text, sentences), _shape(question, text, sentences)):
        found.update(dict.fromkeys(names, 1.0))
    return found


def _both_ends(text: str) -> str:
    if len(text) <= HEAD_CHARACTERS + TAIL_CHARACTERS:
        return text
    return f"{text[:HEAD_CHARACTERS]}\n{text[-TAIL_CHARACTERS:]}"


def _tokens(text: str) -> list[str]:
    return _TOKEN.findall(text.lower().replace("\u2019", "'"))


def _sentences(tokens: list[str]) -> list[list[str]]:
    """Tokens by sentence; the sign that ends a sentence is its last token, unless it is a line break."""
    sentences: list[list[str]] = []
    current: list[str] = []
    for token in tokens:
        if token != "\n":  # noqa: S105 - a word of the text, not a password
            current.append(token)
        if token in _SENTENCE_END and current:
            if len(current) > 1:
                sentences.append(current)
            current = []
    if current:
        sentences.append(current)
    return sentences


def _requests(text: str, sentences: list[list[str]]) -> Iterator[str]:
    """Kinds of request: anywhere, at the start of the first sentence, at the start of the last one."""
    known = cues()
    last = len(sentences) - 1
    for number, sentence in enumerate(sentences):
        for start in range(len(sentence)):
            phrase = ""
            for token in sentence[start : start + _LONGEST_PHRASE]:
                phrase = f"{phrase} {token}" if phrase else token
                for meaning in known.phrases.get(phrase, ()):
                    yield meaning
                    if start < _LEAD_WORDS and number == 0:
                        yield f"{meaning} (at the start)"
                    if start < _LEAD_WORDS and number == last > 0:
                        yield f"{meaning} (last sentence)"
    if _IS_EAST_ASIAN.search(text):
        for phrase, meanings in known.substrings.items():
            if phrase in text:
                yield from meanings


def _words(sentences: list[list[str]]) -> Iterator[str]:
    """Single words, beginnings of long words (for endings never seen), and pairs."""
    for sentence in sentences:
        before = ""
        for token in sentence:
            yield f'word "{token}"'
            if len(token) > _STEM and token.isalpha():
                yield f'word "{token[:_STEM]}..."'
            if before:
                yield f'words "{before} {token}"'
            before = token


def _starts(sentences: list[list[str]]) -> Iterator[str]:
    """The first one, two and three words of every sentence."""
    for number, sentence in enumerate(sentences):
        place = "starts" if number == 0 else "a sentence starts"
        for length in (1, 2, 3):
            if len(sentence) > length:
                yield f'{place} "{" ".join(sentence[:length])}"'


def _shape(question: Question, text: str, sentences: list[list[str]]) -> Iterator[str]:
    """Length, number of sentences, signs, script, plural nouns asked for, earlier turns."""
    size = sum(map(len, sentences))
    yield f"length {_bucket(size, (3, 6, 10, 16, 26, 45, 80, 160))} words"
    yield f"{_bucket(len(sentences), (1, 2, 4, 8))} sentences"
    asked = text.count("?") + text.count("？")
    yield f"{_bucket(asked, (0, 1, 2))} question marks"
    yield f"{_bucket(len(_CONSTRAINT.findall(text)), (0, 1, 2, 4))} constraints"
    yield f"{_bucket(len(_NUMBER.findall(text)), (0, 1, 3, 8))} numbers"
    if size > _LONG and sentences:
        yield from _place_of_request(sentences)
    if question.follows:
        yield "follows an answer"
        if size <= _SHORT_FOLLOW_UP:
            yield "short, and follows an answer"
    if sentences and sentences[-1][-1] in "?？":
        yield "ends with a question"
    for name, pattern in _SIGNS.items():
        if pattern.search(text):
            yield name
    for name, script in _LETTER_SCRIPTS.items():
        if script.search(text):
            yield name
    if sentences and _asks_for_plural(sentences[0][:9]):
        yield "asks for a plural at the start"
    if sentences and _asks_for_plural(sentences[-1][:9]):
        yield "asks for a plural at the end"


def _place_of_request(sentences: list[list[str]]) -> Iterator[str]:
    """Where a long question asks: at its beginning, at its end, or somewhere between."""
    asking = [number for number, sentence in enumerate(sentences) if _asks(sentence)]
    if not asking:
        yield "long, and asks nothing plainly"
        return
    if asking[0] == 0:
        yield "long, and asks at the start"
    if asking[-1] == len(sentences) - 1:
        yield "long, and asks at the end"
    yield f"long, and asks {_bucket(len(asking), (1, 2, 4))} times"


def _asks(sentence: list[str]) -> bool:
    return sentence[-1] in "?？" or sentence[0] in _PLURAL_ASKERS or sentence[0] in _TELLING


_LONG: Final = 60
_SHORT_FOLLOW_UP: Final = 12
_CONSTRAINT: Final = re.compile(
    r"\b(?:must|exactly|at least|at most|no more than|no longer than|only|without|avoid|ensure|make sure|include|"
    r"including|should|each|every|per|not|don't|no|maximum|max|minimum|between|under|within)\b",
    re.IGNORECASE,
)
_NUMBER: Final = re.compile(r"\d+(?:[.,:]\d+)*")
_TELLING: Final = frozenset(
    [
        "write",
        "create",
        "make",
        "design",
        "develop",
        "draft",
        "generate",
        "build",
        "calculate",
        "solve",
        "translate",
        "rewrite",
        "summarize",
        "please",
        "tell",
        "help",
        "plan",
        "prepare",
        "show",
        "use",
        "convert",
        "can",
        "could",
        "would",
        "i'd",
        "i",
    ]
)
_SIGNS: Final = {
    "code fence or back-ticks": re.compile(r"`"),
    "code signs": re.compile(r"[{}\[\]<>;]|\w\(\)|==|=>|->|\w_\w"),
    "digits": re.compile(r"\d"),
    "many digits": re.compile(r"(?:\d[^\d]{0,12}){4}"),
    "mathematical signs": re.compile(r"\d\s*[-+*/^=×÷%]\s*\d|\\[a-z]+|\$[^$]+\$|[=^√∑∫≤≥]|\bx\b"),
    "quoted text": re.compile(r"[\"“«「].{12,}"),
    "text after a colon": re.compile(r":\s*\n|:\s*[\"“'A-Z0-9]"),
    "several paragraphs": re.compile(r"\n\s*\n"),
    "a list in the question": re.compile(r"\n\s*(?:[-*•]|\d+[.)])\s"),
    "a web address": re.compile(r"https?://|www\."),
    "a number of things": re.compile(
        r"\b(?:two|three|four|five|six|seven|eight|ten|twelve|[2-9]|1\d|20)\s+(?:[a-z-]+\s+){0,2}[a-z-]{3,}s\b",
        re.IGNORECASE,
    ),
    "a condition": re.compile(r"\b(?:if|given|suppose|assume|assuming|imagine|let)\b", re.IGNORECASE),
    "says how long each is": re.compile(
        r"\b(?:each|every|per|apiece)\b.{0,40}\b(?:sentences?|lines?|words?|paragraphs?)\b"
        r"|\b(?:sentences?|lines?|words?|paragraphs?)\b.{0,20}\b(?:each|per|apiece|every)\b",
        re.IGNORECASE,
    ),
    "order matters": re.compile(
        r"\b(?:then|next|before|after|once|until|finally|in order|sequence|previous|based on|result)\b",
        re.IGNORECASE,
    ),
    "a blank to fill": re.compile(r"_{2,}|\[[A-Za-z ]+\]|\.\.\.\s*$"),
    "no capital letter": re.compile(r"\A[^A-Z]*\Z"),
}
_PLURAL_ASKERS: Final = {
    *("what", "which", "list", "name", "give", "suggest", "describe", "explain", "discuss", "tell", "share"),
    *("provide", "identify", "compare", "outline", "find", "analyze", "are"),
}


def _asks_for_plural(lead: list[str]) -> bool:
    """Whether an English sentence asks for a plural noun near its start: "what are the main causes"."""
    if not lead or lead[0] not in _PLURAL_ASKERS:
        return False
    return any(len(word) > 3 and word.endswith("s") and not word.endswith(_NOT_PLURAL) for word in lead[1:])  # noqa: PLR2004


def _bucket(value: int, limits: tuple[int, ...]) -> str:
    if value == limits[0] == 0:
        return "no"
    return next((f"up to {limit}" for limit in limits if value <= limit), f"over {limits[-1]}")
