"""Whether a model went on where its partial answer ends, or its server closed the turn and it began anew."""

from __future__ import annotations

import re

from skeleton_of_thought.parsing.thoughts import ThoughtFilter

_BEGUN = re.compile(r"\W*(\d{1,3})[.):]+(.*)\Z", re.DOTALL)
_NUMBERED = re.compile(r"(?:\A\s*|^)[*_#>]{0,8} ?(\d{1,3})[.):](?!\d)", re.MULTILINE)


def goes_on(begun: str, reply: str, *, whole: bool) -> bool | None:
    r"""Whether a reply goes on with a partial answer; None where that cannot be told.

    A model that goes on writes the space that is due, or the next number. One whose server closed the turn begins
    with the same number and title again, writes no list where one was begun, or nothing.

    Args:
        begun: The partial answer, such as `"1."` or `"3. Fresh air:"`.
        reply: What came back.
        whole: Whether it came in one piece. Some servers (llama.cpp) put the partial answer in front of whole
            replies, and then nothing can be told.

    Example:
        >>> goes_on("1.", " Fresh air\n2. Sleep", whole=False), goes_on("1.", "1. Fresh air\n2. Sleep", whole=False)
        (True, False)
    """
    if whole and reply.lstrip().startswith(begun.strip()):
        return None
    thoughts = ThoughtFilter()
    text = thoughts.feed(reply) + thoughts.finish()
    if not text.strip() or _begins_again(begun, text):
        return False
    if text[0].isspace():
        return True
    number, title = _parts(begun)
    if number is None or title:
        return None
    return any(int(each) == number + 1 for each in _NUMBERED.findall(text))


def _begins_again(begun: str, text: str) -> bool:
    number, title = _parts(begun)
    if number is not None:
        first = _NUMBERED.search(text)
        if first is not None and int(first[1]) == number and _follows(title, text[first.end() :]):
            return True
    return bool(title) and not text[0].isspace() and _follows(title, text, r"[*_\"' ]{0,8}[:：\n]")


def _parts(begun: str) -> tuple[int | None, str]:
    """The number of what is begun, and a pattern of the words behind it; empty where none are."""
    found = _BEGUN.match(begun)
    words = re.findall(r"[^\W_]+", found[2] if found else begun)
    return (int(found[1]) if found else None), r"[\W_]+".join(map(re.escape, words))


def _follows(title: str, text: str, then: str = "") -> bool:
    return not title or re.match(rf"[\W_]*{title}(?![^\W_]){then}", text, re.IGNORECASE) is not None
