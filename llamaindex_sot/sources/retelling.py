"""Keeps a small model that retells a source to that source, while the text streams."""

from __future__ import annotations

import re

from llamaindex_sot.sources.citations import without_citations

_WORD = re.compile(r"[^\W\d_]{4,}")
_WORD_OR_BLANKS = re.compile(r"\s+|\S+")
_ENDS = (".", "!", "?")
_STEM = 4  # letters
_FEWEST = 0.25
_MOST_CHUNKS = 99


class Retelling:
    """Removes sentences that are not about the source or say the same again; quotes the source if none is left.

    A model of a hundred million parameters sometimes goes on with what it saw in its examples, or says one
    sentence over and over. A sentence is kept the first time, and if a quarter of its longer words begin like
    words of the source; text is let through by the sentence.

    Args:
        source: What is retold.
        quote: Stands where nothing else is left.

    Attributes:
        quote: The same.
        removed: How many sentences were removed.

    Example:
        >>> retelling = Retelling("A heap gets hot, which kills most weed seeds.", quote=" Nothing.")
        >>> retelling.feed(" The heat kills seeds. Trams have priority.") + retelling.finish()
        ' The heat kills seeds.'
        >>> retelling.removed
        1
    """

    def __init__(self, source: str, *, quote: str) -> None:
        self._known = _stems(source)
        self.quote = quote
        self._sentence: list[str] = []
        self._ended = False  # whether the sentence has its full stop, and blanks behind it
        self._written: set[str] = set()
        self.removed = 0

    def feed(self, delta: str) -> str:
        """Take the next piece; returns the sentences that are complete and kept."""
        kept: list[str] = []
        for piece in _WORD_OR_BLANKS.findall(delta):
            if piece.isspace():
                self._ended = bool(self._sentence) and (self._ended or self._sentence[-1].endswith(_ENDS))
            elif self._ended:
                blanks = self._blanks()
                kept.append(self._checked("".join(self._sentence)))
                self._sentence, self._ended = blanks, False
            self._sentence.append(piece)
        return "".join(kept)

    def finish(self) -> str:
        """The text has ended; returns the rest."""
        rest = self._checked("".join(self._sentence))
        return rest if self._written else self.quote

    def _blanks(self) -> list[str]:
        """Take the blanks from the end of the sentence: they belong to the next one."""
        start = len(self._sentence)
        while start and self._sentence[start - 1].isspace():
            start -= 1
        blanks = self._sentence[start:]
        del self._sentence[start:]
        return blanks

    def _checked(self, sentence: str) -> str:
        stems, said = _stems(sentence), _said(sentence)
        if len(stems & self._known) < _FEWEST * len(stems) or (said and said in self._written):
            self.removed += 1
            return ""
        if said:
            self._written.add(said)
        return sentence if self._written else ""  # a lone citation is not yet a text


def _said(sentence: str) -> str:
    """The sentence without its citations and its end."""
    return " ".join(without_citations(sentence, _MOST_CHUNKS).lower().split()).rstrip(".!?: ")


def _stems(text: str) -> set[str]:
    return {word[:_STEM].lower() for word in _WORD.findall(text)}
