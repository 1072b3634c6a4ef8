"""What a judge said, and what two opinions on one pair come to."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from skeleton_of_thought.evaluation.judge_prompts import CRITERIA, OVERALL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skeleton_of_thought.evaluation.judge_prompts import Form

Verdict = Literal["win", "tie", "lose", "unparsable", "failed"]
"""From the point of view of the way that is compared, mostly the answer with the skeleton."""

Preference = Literal["first", "second", "neither"]

_NUMBER = r"(?<![\d.])(\d{1,2}(?:\.\d+)?)(?![\d.]*\d)"
_OUT_OF_TEN = re.compile(r"(?:/|\bout of)\s*10\b", re.IGNORECASE)
_SCORES_LINE = re.compile(r"^\W*(?:final\s+)?scores?\b(.*)$", re.IGNORECASE | re.MULTILINE)
_NOTHING_ELSE = re.compile(r"^[\s\d.,;:/&|()*-]+$")
_LABELLED = {letter: re.compile(rf"\b{letter}\b[\s*:=(]{{1,6}}{_NUMBER}") for letter in "AB"}
_RANKING = re.compile(
    r"\b(?:answer\s+)?([AB])\b\W{0,3}?\s*([<>=])\s*\W{0,3}?(?:answer\s+)?\b([AB])\b", re.IGNORECASE
)
_BARE = re.compile(r"(?:answer\s+)?\b(A|B|tie|tied|equal|neither|=)\W*?(?=$|[|(;:.–—-])", re.IGNORECASE)
_LEADS_IN = r"^[\W\d_]*"
_CRITERION_LINES: Final = {
    name: re.compile(
        _LEADS_IN + name.replace("no ", r"(?:no[ -])?").replace(" ", r"\s+") + r"\b(.*)$",
        re.IGNORECASE | re.MULTILINE,
    )
    for name in CRITERIA
}
_BEST: Final = 10
_POINTS: Final = {"win": 1, "tie": 0, "lose": -1}


def preference(reply: str, form: Form) -> Preference | None:
    r"""Which answer a judge's reply prefers; None if it does not say so in a way that can be read.

    Example:
        >>> preference("A is wrong.\nScores: A=3 B=8", "scores"), preference("Both fine.", "scores")
        ('second', None)
        >>> preference("Ranking: A > B", "ranking")
        'first'
    """
    if form == "criteria":
        return opinions(reply)[OVERALL].preferred
    return _by_scores(reply) if form == "scores" else _by_ranking(reply)


@dataclass(frozen=True, slots=True)
class Opinion:
    """What a reader found by one criterion.

    Attributes:
        preferred: The better answer; None if that cannot be read.
        reason: Why, in the reader's words; may be empty.
    """

    preferred: Preference | None
    reason: str = ""


def opinions(reply: str) -> dict[str, Opinion]:
    r"""What a reply says by each criterion: the last line that begins with its name and holds a preference.

    Example:
        >>> said = opinions("**Depth**: B > A | Answer B says why.\n- style: tie\nLength: hard to say")
        >>> said["depth"], said["style"].preferred, said["length"].preferred
        (Opinion(preferred='second', reason='Answer B says why.'), 'neither', None)
    """
    return {name: _last_opinion(lines.findall(reply)) for name, lines in _CRITERION_LINES.items()}


def pair_name(way: str, against: str) -> str:
    """What a comparison is called: against plain answers, which is the rule, after its way alone."""
    return way if against == "direct" else f"{way} against {against}"


def _last_opinion(lines: Sequence[str]) -> Opinion:
    for line in reversed(lines):
        rest = line.lstrip(" \t*_:|`–—-")
        ranked = _RANKING.match(rest)
        if ranked is not None and ranked[1].upper() != ranked[3].upper():
            return Opinion(_ranked(ranked[1], ranked[2]), _reason(rest[ranked.end() :]))
        bare = _BARE.match(rest)
        if bare is not None and ranked is None:
            letter = bare[1].upper()
            preferred: Preference = {"A": "first", "B": "second"}.get(letter, "neither")  # type: ignore[assignment]
            return Opinion(preferred, _reason(rest[bare.end() :]))
    return Opinion(None)


def _reason(text: str) -> str:
    return text.strip(" \t*_:|;`–—-,.").strip() + ("." if text.rstrip(" |*_`").endswith(".") else "")


def verdict_of(preferred: Preference | None, *, skeleton_first: bool) -> Verdict:
    """A preference, seen from the way that is compared: its answer was the first one, or the second."""
    if preferred is None:
        return "unparsable"
    if preferred == "neither":
        return "tie"
    return "win" if (preferred == "first") == skeleton_first else "lose"


def combine(verdicts: Sequence[Verdict]) -> Verdict:
    """The verdict of a pair judged in both orders: wins against losses.

    One that failed or cannot be read makes the pair so: half of an opinion would carry the judge's bias for a
    position.

    Example:
        >>> combine(["win", "tie"]), combine(["win", "lose"]), combine(["win", "unparsable"])
        ('win', 'tie', 'unparsable')
    """
    if "failed" in verdicts:
        return "failed"
    if "unparsable" in verdicts:
        return "unparsable"
    points = sum(_POINTS[verdict] for verdict in verdicts)
    return "win" if points > 0 else "lose" if points < 0 else "tie"


def _by_scores(reply: str) -> Preference | None:
    scores = _scores(reply)
    if scores is None or not all(1 <= score <= _BEST for score in scores):
        return None
    first, second = scores
    return "neither" if first == second else "first" if first > second else "second"


def _scores(reply: str) -> tuple[float, float] | None:
    """The two scores: of the last line that begins with the word; else of letters; else of a line of numbers."""
    text = _OUT_OF_TEN.sub(" ", reply)
    for rest in reversed(_SCORES_LINE.findall(text)):
        numbers = re.findall(_NUMBER, rest)
        if len(numbers) == 2:  # noqa: PLR2004 - one for each answer
            return float(numbers[0]), float(numbers[1])
    labelled = [pattern.findall(text) for pattern in _LABELLED.values()]
    if all(len(found) == 1 for found in labelled):
        return float(labelled[0][0]), float(labelled[1][0])
    for line in text.splitlines():
        numbers = re.findall(_NUMBER, line)
        if _NOTHING_ELSE.match(line) and len(numbers) == 2:  # noqa: PLR2004
            return float(numbers[0]), float(numbers[1])
    return None


def _by_ranking(reply: str) -> Preference | None:
    for left, sign, right in reversed(_RANKING.findall(reply)):
        if left.upper() == right.upper():
            continue
        return _ranked(left, sign)
    return None


def _ranked(left: str, sign: str) -> Preference:
    if sign == "=":
        return "neither"
    return "first" if (left.upper() == "A") == (sign == ">") else "second"
