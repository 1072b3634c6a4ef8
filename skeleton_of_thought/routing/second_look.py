"""A second look at the route when the outline is there: are its titles steps of one work?

`Substitute x`, `Step 2`, `Calculate the total`, `Chapter 3: The storm` are no points that can be written side by side:
each needs what the one before arrived at. Looking costs nothing; points cost requests.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_SHARE: Final = 0.5
"""Share of the titles that must speak of one kind of work."""

_SHARE_WHEN_ASKED: Final = 0.34
"""The same where the question asks for that kind of work."""

_FEWEST: Final = 2

_STEPS: Final = "numbered steps"


def second_look(question: str, titles: Sequence[str]) -> str | None:
    """Why an outline should not be written as points; None if nothing speaks against it.

    Args:
        question: The user's question.
        titles: The titles of the complete outline.

    Returns:
        A reason a person can read, to go with the route "direct".

    Example:
        >>> second_look("How old is Ann?", ["Set up the equation", "Substitute", "Solve for x"])
        'the outline is one derivation: Set up the equation, Substitute, Solve for x'
        >>> second_look("How do I sleep better?", ["Dark room", "No coffee", "Regular hours"])
    """
    for kind, title, asked in _KINDS:
        found = [each for each in titles if title.search(each.strip())]
        needed = _SHARE_WHEN_ASKED if asked.search(question) else _SHARE
        if len(found) >= max(_FEWEST, needed * len(titles)):
            return f"the outline is {kind}: {', '.join(found[:3])}"
    return None


def asks_for_one_work(question: str) -> bool:
    """Whether a question asks for work of a kind whose outline is looked at as a whole.

    Numbered steps are not: their first title tells, and much that asks how to make something is no such work.

    Example:
        >>> asks_for_one_work("How old is Ann?"), asks_for_one_work("Is a dark room better for sleep?")
        (True, False)
    """
    return any(asked.search(question) for kind, _, asked in _KINDS if kind != _STEPS)


def _any(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


_KINDS: Final = (
    (
        "one derivation",
        _any(
            r"^(?:substitut\w+|solv(?:e|ing)\b|simplif\w+|isolat\w+|plug(?:ging)? in|set(?:ting)? up (?:the|an) (?:equation|"
            r"integral|proportion|ratio)|(?:calculat|comput|deriv|evaluat|determin)(?:e|ing) (?:the|how|each|total|x|y)\b|"
            r"find(?:ing)? (?:the (?:value|total|sum|difference|number|area|volume|rate|roots?|probability)|x|y|how (?:many|"
            r"much))\b|multipl(?:y|ying)|divid(?:e|ing)\b|subtract\w*|add(?:ing)? (?:the|both|up)|convert(?:ing)? (?:the|to)|"
            r"factor(?:ing|ise|ize)?\b|differentiate|integrate (?:both|the)|appl(?:y|ying) the (?:formula|rule|theorem)|"
            r"check (?:the|your) (?:answer|solution|result)|verify (?:the|your)|final answer|(?:the )?(?:answer|solution|"
            r"result)$|given\b|known (?:values|quantities)|base case|inductive step|proof\b|conclu(?:de|sion)$|"
            r"berechne\w*|einsetzen|auflösen|umformen|ergebnis$|calculer|remplacer|résoudre|calcular|sustituir|resolver)"
            r"|[=≈]|\d\s*[-+*/×÷]\s*\d"
        ),
        _any(
            r"\d\s*[-+*/^=×÷%]|how (?:many|much|old|far|fast|long)|\b(?:solve|calculate|compute|prove|derive|probability|"
            r"equation|integral|total|berechne|calcule|calcula)\b|\d.*\d.*\d"
        ),
    ),
    (
        _STEPS,
        _any(r"^(?:step|schritt|étape|paso|passo|phase) ?(?:\d+|[ivx]+\b|one|two|three|four|five)"),
        _any(
            r"\b(?:procedure|instructions?|install|how (?:do|can) i (?:set up|install|build|make|fix|connect))\b"
        ),
    ),
    (
        "one text",
        _any(
            r"^(?:chapter|kapitel|chapitre|capítulo|scene|act|verse|stanza|strophe|chorus|bridge|prologue|epilogue|part "
            r"(?:\d|one|two|three)\b.*:|rising action|climax|falling action|resolution$|ending$|the end|exposition$|plot "
            r"twist|subject line|salutation|greeting$|sign-?off|signature|opening (?:line|paragraph|scene)|closing (?:line|"
            r"paragraph|remarks?)|body paragraph|introduction$|call to action|hook$|punch ?line|setup$|dear\b)"
        ),
        _any(
            r"\b(?:story|poem|song|letter|e-?mail|essay|speech|script|tale|novel|blog|article|lyrics|toast|joke|haiku|"
            r"geschichte|gedicht|brief|histoire|lettre|cuento|carta)\b"
        ),
    ),
    (
        "one program",
        _any(
            r"^(?:import(?:ing)? (?:the|required|necessary|libraries|modules)|defin(?:e|ing) (?:the|a) (?:function|class|"
            r"variables?|method|loop)|initiali[sz]\w+|declar(?:e|ing)|(?:loop|iterate) (?:through|over)|return(?:ing)? the|"
            r"print(?:ing)? the|call(?:ing)? the function|read(?:ing)? (?:the )?(?:input|file)|writ(?:e|ing) the (?:function|"
            r"query|code|loop)|create (?:the|a) (?:function|class|table|loop|variable)|run(?:ning)? the (?:code|script|"
            r"program|tests?)|handle (?:edge cases|errors|exceptions)|test(?:ing)? the (?:code|function|program))"
        ),
        _any(
            r"\b(?:code|function|program|script|python|java\w*|sql|query|c\+\+|html|regex|algorithm|implement)\b"
        ),
    ),
)
