"""From token ids to text as it is written: whole characters only, cut exactly at a stop string."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tokenizers.decoders import DecodeStream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokenizers import Tokenizer

_REPLACEMENT = "\ufffd"
_SENTENCE_END = re.compile(
    # A short word before the dot may be an abbreviation ("Dr."), and so may be what goes on in lower case ("etc.").
    r"(?:(?<=\w{3})|(?<=\w\w[\"'”’»)\]*_])|(?=[!?…]))[.!?…]+[\"'”’»)\]*_]*(?=\s+(?P<next>\S))"
    r"|[。！？]+[」』”’）]*(?=[^。！？」』”’）])"
    r"|(?<=[^\s:])(?=\n)"
)
_LOOK_BACK = 24  # characters that tell whether a sentence ends behind them
_NUMBERED = re.compile(r"([ \t]*[*_(]*)(\d{1,3})([.)])")
_CONTEXT = 8  # tokens of the prompt the decoder sees before an answer that continues a text


class TextStream:
    """Turns the tokens of one row into text, and notices stop strings.

    Text is held back while it could still turn out to be part of a stop string or of a character whose bytes
    are not complete, so nothing that was given out is ever taken back.

    Args:
        tokenizer: Decodes; special tokens give no text.
        stop: Strings that end the text.
        soft_max_tokens: After so many tokens the text ends with its sentence.
        context: Tokens before the first one, if the answer continues a text: some tokenizers write a leading
            space only when something stands before it.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        *,
        stop: Sequence[str] = (),
        soft_max_tokens: int | None = None,
        context: Sequence[int] = (),
    ) -> None:
        self._tokenizer = tokenizer
        self._context = list(context[-_CONTEXT:])
        self._decoder = DecodeStream(ids=self._context, skip_special_tokens=True)
        self._stop = StopStrings(stop)
        self._sentence = SentenceEnd()
        self._enough = soft_max_tokens
        self._tokens: list[int] = []
        self._decoded: list[str] = []
        self._given: list[str] = []

    @property
    def text(self) -> str:
        """Everything given out so far."""
        return "".join(self._given)

    @property
    def stopped(self) -> bool:
        """Whether a stop string was completed, or the last sentence the text has room for."""
        return self._stop.found or self._sentence.found

    def push(self, token: int) -> str:
        """Add a token; returns the text that is certain now, often empty."""
        self._tokens.append(token)
        delta = self._decoder.step(self._tokenizer, token)
        return self._take(delta) if delta else ""

    def end(self) -> str:
        """No more tokens: give out what was held back, but for the bytes of a character that is not complete."""
        rest = self._whole()[len("".join(self._decoded)) :].rstrip(_REPLACEMENT)
        return self._take(rest) + self._give(self._stop.end() + self._sentence.end())

    def draft(self) -> list[int]:
        """The tokens that probably come next, where that can be told: at the end of a list's line, the next number."""
        if not (self._decoded and self._decoded[-1].endswith("\n")):
            return []
        before = self._tokenizer.decode(self._context, skip_special_tokens=True)
        lines = (before + "".join(self._decoded)).rstrip().splitlines()
        item = _NUMBERED.match(lines[-1]) if lines else None
        if item is None:
            return []
        line_end = self._tokenizer.encode("\n", add_special_tokens=False).ids
        number = f"\n{item[1]}{int(item[2]) + 1}{item[3]}"
        both = self._tokenizer.encode(number, add_special_tokens=False).ids
        return both[len(line_end) :] if both[: len(line_end)] == line_end else []

    def _whole(self) -> str:
        """All tokens decoded at once."""
        before = self._tokenizer.decode(self._context, skip_special_tokens=True)
        return self._tokenizer.decode(self._context + self._tokens, skip_special_tokens=True)[len(before) :]

    def _take(self, decoded: str) -> str:
        self._decoded.append(decoded)
        enough = self._enough is not None and len(self._tokens) > self._enough
        return self._give(self._sentence.push(self._stop.push(decoded), enough=enough))

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


class SentenceEnd:
    """Finds the end of the sentence in which a text has become long enough.

    A sentence ends with its mark when the next one begins, or with its line. What may be an abbreviation is
    taken for one: the text then goes on to the end of the next sentence.
    """

    def __init__(self) -> None:
        self._before = ""
        self._held = ""
        self.found = False

    def push(self, piece: str, *, enough: bool) -> str:
        """Add text; returns what belongs to the sentence for sure.

        Args:
            piece: The text.
            enough: Whether the text may end now.
        """
        if self.found:
            return ""
        certain = self._held + piece
        self._held = ""
        if enough:
            known = len(self._before)
            for end in _SENTENCE_END.finditer(self._before + certain):
                if end.end() >= known and not (end["next"] or "").islower():
                    self.found = True
                    return certain[: end.end() - known]
            shown = len(certain.rstrip())
            certain, self._held = certain[:shown], certain[shown:]
        self._before = (self._before + certain)[-_LOOK_BACK:]
        return certain

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
