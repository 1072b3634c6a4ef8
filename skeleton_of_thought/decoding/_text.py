"""From token ids to text as it is written: whole characters only, cut exactly at a stop string."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokenizers.decoders import DecodeStream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokenizers import Tokenizer

_REPLACEMENT = "\ufffd"
_CONTEXT = 8  # tokens of the prompt the decoder sees before an answer that continues a text


class TextStream:
    """Turns the tokens of one row into text, and notices stop strings.

    Text is held back while it could still turn out to be part of a stop string or of a character whose bytes
    are not complete, so nothing that was given out is ever taken back.

    Args:
        tokenizer: Decodes; special tokens give no text.
        stop: Strings that end the text.
        context: Tokens before the first one, if the answer continues a text: some tokenizers write a leading
            space only when something stands before it.
    """

    def __init__(
        self, tokenizer: Tokenizer, *, stop: Sequence[str] = (), context: Sequence[int] = ()
    ) -> None:
        self._tokenizer = tokenizer
        self._context = list(context[-_CONTEXT:])
        self._decoder = DecodeStream(ids=self._context, skip_special_tokens=True)
        self._stop = StopStrings(stop)
        self._tokens: list[int] = []
        self._decoded: list[str] = []
        self._given: list[str] = []

    @property
    def text(self) -> str:
        """Everything given out so far."""
        return "".join(self._given)

    @property
    def stopped(self) -> bool:
        """Whether a stop string was completed."""
        return self._stop.found

    def push(self, token: int) -> str:
        """Add a token; returns the text that is certain now, often empty."""
        self._tokens.append(token)
        delta = self._decoder.step(self._tokenizer, token)
        return self._take(delta) if delta else ""

    def end(self) -> str:
        """No more tokens: give out what was held back, but for the bytes of a character that is not complete."""
        rest = self._whole()[len("".join(self._decoded)) :].rstrip(_REPLACEMENT)
        return self._take(rest) + self._give(self._stop.end())

    def _whole(self) -> str:
        """All tokens decoded at once."""
        before = self._tokenizer.decode(self._context, skip_special_tokens=True)
        return self._tokenizer.decode(self._context + self._tokens, skip_special_tokens=True)[len(before) :]

    def _take(self, decoded: str) -> str:
        self._decoded.append(decoded)
        return self._give(self._stop.push(decoded))

    def _give(self, text: str) -> str:
        self._given.append(text)
        return text


class StopStrings:
    """Finds the first of several strings to be completed, however the text is cut into pieces."""

    def __init__(self, strings: Sequence[str]) -> None:
        self._strings = tuple(strings)
        self._held = ""
        self.found = False

    def push(self, piece: str) -> str:
        """Add text; returns what can no longer be part of a stop string."""
        if self.found:
            return ""
        if not self._strings:
            return piece
        text = self._held + piece
        ends = [(start + len(string), start) for string in self._strings if (start := text.find(string)) >= 0]
        if ends:
            self.found, self._held = True, ""
            return text[: min(ends)[1]]
        keep = max(_overlap(text, string) for string in self._strings)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def end(self) -> str:
        """No more text will come: what was held back is text after all."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, string: str) -> int:
    """Length of the longest end of `text` that begins `string`."""
    for length in range(min(len(text), len(string) - 1), 0, -1):
        if text.endswith(string[:length]):
            return length
    return 0
