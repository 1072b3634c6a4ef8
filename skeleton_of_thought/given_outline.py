"""Questions that bring their own outline: sub-questions, aspects of a comparison, things to treat one by one.

Their items become the points without a skeleton request. Nothing is asked of a model, and precision comes
first: whatever hints that one item needs another's answer, that a text is worked on, or that one continuous text or
one choice is wanted, leaves the question alone.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from skeleton_of_thought.skeleton import Point

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

FEWEST: Final = 3
"""Items below which the question is left alone: the criterion of every router is three points."""

_MOST: Final = 12
_LONGEST: Final = 1500
_LONGEST_ITEM: Final = 30
_LONGEST_TERM: Final = 7


def given_outline(question: str) -> tuple[Point, ...]:
    """The points a question itself asks for, each of which can be written alone.

    Args:
        question: The user's question.

    Returns:
        At least three points in the question's order, or none.

    Example:
        >>> [point.title for point in given_outline("Compare trains and planes by price, comfort and noise.")]
        ['Price', 'Comfort', 'Noise']
        >>> given_outline("Solve: a) x + 2 = 5 b) use x to find y c) add both")
        ()
    """
    text = question.strip()
    if len(text) > _LONGEST or _UNSUITABLE.search(text):
        return ()
    for find in _FINDERS:
        items = find(text)
        if FEWEST <= len(items) <= _MOST and len({item.casefold() for item in items}) == len(items):
            return tuple(Point(index, _title(item)) for index, item in enumerate(items, start=1))
    return ()


def _numbered(text: str) -> Sequence[str]:
    """`1. ... 2. ...`, `a) ... b) ...`, `- ...` on lines of their own, or numbered in one line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    marked = [_MARK.match(line) for line in lines]
    first = next((place for place, mark in enumerate(marked) if mark), len(lines))
    items = [line[mark.end() :] for line, mark in zip(lines, marked, strict=True) if mark]
    marks = [mark.group(1) for mark in marked if mark]
    lead = " ".join(lines[:first])
    if len(items) >= FEWEST and all(marked[first : first + len(items)]):
        tail = lines[first + len(items) :]
    else:
        found = list(_INLINE.finditer(text))
        if len(found) < FEWEST:
            return ()
        ends = [mark.start() for mark in found[1:]] + [len(text)]
        items = [text[mark.end() : end].strip(" ;,\n") for mark, end in zip(found, ends, strict=True)]
        items = [_AND_AT_THE_END.sub("", item) for item in items]
        marks, lead, tail = [mark.group(1) for mark in found], text[: found[0].start()], []
    if tail or not _in_order(marks):
        return ()
    return items if _each_alone(items, lead) else ()


def _each_alone(items: Sequence[str], lead: str) -> bool:
    """Whether every item asks something by itself, or names a thing the lead asks to treat one by one."""
    if any(
        _LEANS.search(item) or _GOES_ON.search(item) or len(item.split()) > _LONGEST_ITEM for item in items
    ):
        return False
    if all(_ASKS.match(item) for item in items):
        return True
    return all(len(item.split()) <= _LONGEST_TERM and "?" not in item for item in items) and bool(
        _EACH.search(lead) or _ASPECTS_LEAD.search(lead)
    )


def _aspects(text: str) -> Sequence[str]:
    """`Compare A and B by price, weight and battery`."""
    found = _BY_ASPECTS.search(text)
    return () if found is None else _terms(found.group("items"))


def _each_of(text: str) -> Sequence[str]:
    """`For each of the following cities, describe the climate: Oslo, Rome, Cairo`."""
    head, colon, items = text.partition(":")
    if not colon or ":" in items or "\n" in items.strip() or not _EACH.search(head):
        return ()
    return _terms(items)


_FINDERS: Final[tuple[Callable[[str], Sequence[str]], ...]] = (_numbered, _aspects, _each_of)


def _terms(text: str) -> Sequence[str]:
    """The short terms of `price, weight and battery`; none if one of them is no term."""
    text = text.strip().rstrip(".?!").strip()
    separator = ";" if ";" in text else ","
    if re.search(r"[.?!]\s", text) or separator not in text:
        return ()
    terms = [term.strip() for term in text.split(separator)]
    terms[-1:] = [part.strip() for part in _AND.split(_AND_AT_THE_START.sub("", terms[-1]))]
    terms = [_ARTICLE.sub("", term) for term in terms]
    if any(
        not 1 <= len(term.split()) <= _LONGEST_TERM or _LEANS.search(term) or _NO_TERM.search(term)
        for term in terms
    ):
        return ()
    return terms


def _in_order(marks: Sequence[str]) -> bool:
    """1, 2, 3 or a, b, c, or bullets."""
    if all(mark in "-*•–" for mark in marks):
        return True
    if all(mark.isdigit() for mark in marks):
        return [int(mark) for mark in marks] == list(range(1, len(marks) + 1))
    return [mark.lower() for mark in marks] == [chr(ord("a") + place) for place in range(len(marks))]


def _title(item: str) -> str:
    item = " ".join(item.split()).strip("*_ ;,").removesuffix(".")
    return item[:1].upper() + item[1:]


_MARK: Final = re.compile(r"\(?(\d{1,2}|[a-zA-Z]|[-*•–])(?:[.):]+|(?<=[-*•–]))\s+")
_INLINE: Final = re.compile(r"(?<!\w)\(?(\d{1,2}|[a-l])[).]\s+(?=\w)")
_GOES_ON: Final = re.compile(r"[?]\s+\S")
_AND: Final = re.compile(r"\s+(?:and|und|et|y|e|en|as well as|sowie|&)\s+")
_AND_AT_THE_START: Final = re.compile(r"^(?:and|und|et|y|e|en|&)\s+")
_AND_AT_THE_END: Final = re.compile(r"[,;]?\s+(?:and|und|et|y)$")
_NO_TERM: Final = re.compile(
    r"\d|[\"“”]|^(?:an?|using|by|whether|if|ein|eine|un|une)\s|\b(?:mon|tues|wednes|thurs|fri|satur|sun)day\b|\w/\w",
    re.IGNORECASE,
)
_ARTICLE: Final = re.compile(r"^(?:the|their|its|your|der|die|das|le|la|les|el|los|las)\s+", re.IGNORECASE)

_COMPARE: Final = (
    r"compare|contrast|comparison|differ(?:s|ences?)?|evaluate|assess|review|describe|discuss|analy[sz]e|rate|look at"
    r"|vergleich\w*|unterscheiden|unterschiede\w*|bewerte|comparez?|compara\w*|diferencias?|différences?|évalue"
)
_BY_ASPECTS: Final = re.compile(
    rf"\b(?:{_COMPARE})\b[^.?!:\n]{{1,160}}?\b(?:in terms of|with (?:regard|respect) to|with an eye to|when it comes to"
    r"|(?<!written )(?<!directed )by|regarding|as regards|concerning|according to|under the (?:headings|aspects)(?: of)?|from the angles? of"
    r"|hinsichtlich|nach|in bezug auf|bezüglich|in puncto|selon|en termes de|du point de vue d[ue]|par rapport à"
    r"|en cuanto a|según|por)\b:?\s*(?P<items>[^.?!:\n]+)[.?!]?\s*\Z",
    re.IGNORECASE,
)
_EACH: Final = re.compile(
    r"\b(?:(?:for |of |about )?each of (?:the following|these)|(?:each|every one) of (?:the )?\w+ below"
    r"|(?:explain|describe|discuss|define|introduce|characteri[sz]e|answer|comment on|cover|tell me about) "
    r"(?:me )?(?:the following|these|each)|following (?:sub-?)?questions|these (?:\w+ )?questions|few questions"
    r"|jede[ns]? der folgenden|jede[ns]? dieser|(?:erkläre|beschreibe|beantworte)\w* (?:die folgenden|folgende)"
    r"|chacun(?:e)? des|cada un[oa] de)\b",
    re.IGNORECASE,
)
_ASPECTS_LEAD: Final = re.compile(
    r"\b(?:in terms of|with (?:regard|respect) to|under these headings|following (?:aspects|points|topics|headings))\b",
    re.IGNORECASE,
)
_ASKS: Final = re.compile(
    r"¿?(?:and |so )?(?:what|why|how|which|who|where|when|is|are|do|does|can|could|should|would|will|may|explain|describe"
    r"|discuss|define|name|list|give|tell|outline|was|wie|warum|welche\w*|wo|wann|wer|ist|sind|kann|erkläre|beschreibe"
    r"|nenne|pourquoi|comment|quel\w*|qu'|expli\w+|décri\w+|qué|cómo|cuándo|por qué|cuál\w*|describ\w+)\b",
    re.IGNORECASE,
)
_LEANS: Final = re.compile(
    r"\b(?:above|previous|earlier|former|latter|preceding|your (?:answers?|choice|result|plan|list|solution)|"
    r"the results?|hence|therefore|thus|based on (?:this|that|these|it)|using (?:this|that|these|it|the)|"
    r"part [a-h\d]|step \d|question \d|point \d|from \(?[a-h\d]\)|in \(?[a-h\d]\)|if so|if not|if yes|then|"
    r"that one|those|of the two|of them|which of|overall|conclu\w+|summar\w+|verdict|recommend\w*|winner|"
    r"both of these|each other|next|finally|after that|total|dann|davon|daraus|insgesamt|fazit|ensuite|enfin|luego)\b",
    re.IGNORECASE,
)
_UNSUITABLE: Final = re.compile(
    r"```|[{}=<>]|\d\s*[-+*/^×÷]\s*\d|\$\w|"
    r"\b(?:translat(?:e|ion|ing)|summari[sz]e\w*|rewrite|rephrase|paraphrase|proofread|correct (?:the|these|this)|classify|"
    r"categori[sz]e|extract|sentiment|rank|sort|order (?:the|these|them)|in (?:the right |chronological )?order|choose|"
    r"pick|which (?:one|of)|multiple choice|true or false|yes or no|yes/no|one word|a single|just the|only the|"
    r"write (?:a|an|me|one|the)|compose|draft|poem|story|essay|letter|e-?mail|speech|script|song|article|paragraph|"
    r"blog|code|function|program|sql|regex|json|csv|html|python|java\w*|formula|spreadsheet|excel|implement|class|"
    r"calculat\w+|comput\w+|solve|prove|derive|how (?:many|much)|percent\w*|average|probability|convert|sum|equation|integral|"
    r"schedule|budget|weekly|itinerary|timetable|meal plan|step[- ]by[- ]step|steps?|recipe|must|rules (?:are|is)|constraints?|"
    r"requirements?|ingredients?|make sure|fill in|complete|match|odd one|missing|synonyms?|plural|capital of|"
    r"the (?:following|text|passage|article|paragraph|sentence|code)(?: text| passage| article| sentence| code)? (?:below|says)|"
    r"(?:following|this) (?:text|passage|article|paragraph|sentence|email|code|poem|report)|should i (?:buy|take|choose)|"
    r"which is (?:better|best)|what's better|decide|recommend|best (?:one|choice|option)|winner|better for me|"
    r"table|two words|three words|title|role-?play|pretend|dialogue|übersetz\w*|fasse|schreib\w*|berechne\w*|ordne|"
    r"prime|jokes?|conjugat\w+|pronounc\w+|spell(?:ing)?|doses?|author|mistakes?|label|turn (?:these|the|each)|shorten|ask(?:ed|s)? me"
    r"|ask(?:ed)? (?:him|her|us|them)|wait for|(?:he|she|they|boss) said|survey|one-word|continue|winner|born|what year|name the|who wrote|heavier|"
    r"larger|biggest|noun|verb|test|quiz|make|create|build|design|generate|find|sag mir|welche[ns]? (?:ich|soll)|"
    r"traduis|résume|écris|calcule|traduce|resume|escribe|calcula)\b",
    re.IGNORECASE,
)
