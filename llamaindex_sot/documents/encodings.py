"""The bytes of a text file as text, whatever program saved it."""

from __future__ import annotations

import codecs
import contextlib
import re

_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # begins like that of UTF-16: first
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_WESTERN = "windows-1252"
_CONTROL = bytes(set(range(0x20)) - set(b"\t\n\r\f"))
_FEW = 0.1
"""Share of control bytes below which zeros are strays: the halves of UTF-16's characters are more, in any alphabet."""
_MOST_ACCENTS = 0.25
_SYMBOL_IN_WORD = re.compile(r"[^\W\d_][¡¢£¤¥¦§¨©ª«¬®¯°±²³´µ¶¸¹º»¼½¾¿×÷][^\W\d_]")
_UNSEEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


class UnknownEncodingError(ValueError):
    """The bytes are text in no encoding that can be told with certainty."""


def decode(data: bytes) -> tuple[str, str]:
    """The text, and the encoding it was in.

    A mark at the beginning decides; else it is UTF-8, if it can be; UTF-16 without a mark, if it has many zeros;
    and else Windows-1252, which has a character for nearly every byte, if the result looks like a western language:
    a few accents, no symbols within words. Guessing further would put wrong characters into answers.

    Raises:
        UnknownEncodingError: None of these.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            try:
                return data[len(mark) :].decode(encoding), encoding
            except UnicodeDecodeError as error:
                raise UnknownEncodingError(f"it is marked as {encoding} and damaged") from error
    if len(data) - len(data.translate(None, _CONTROL)) < _FEW * len(data):
        with contextlib.suppress(UnicodeDecodeError):
            return data.decode(), "utf-8"
    if b"\0" in data:
        encoding = "utf-16-le" if data[1:200:2].count(0) > data[:200:2].count(0) else "utf-16-be"
        text = data.decode(encoding, "replace")
        if "\0" in text or "\ufffd" in text:
            raise UnknownEncodingError("it is no text, or in an unknown encoding; save it as UTF-8")
        return text, encoding
    try:
        return data.decode(), "utf-8"
    except UnicodeDecodeError:
        return _western(data), _WESTERN


def _western(data: bytes) -> str:
    try:
        text = data.decode(_WESTERN)
    except UnicodeDecodeError:
        text = ""
    letters = sum(character.isalpha() for character in text)
    accents = sum(character > "\x7f" for character in text)
    if accents > max(1, _MOST_ACCENTS * letters) or not text or _SYMBOL_IN_WORD.search(text):
        raise UnknownEncodingError("its encoding is unknown; save it as UTF-8")
    return text


def clean(text: str) -> str:
    """The text without what nobody sees or can send: control characters, escape sequences, half characters.

    Halves of a character (lone surrogates, as some PDFs have them) become `U+FFFD`.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\f", "\n\n")
    return _UNSEEN.sub(lambda found: "\ufffd" if found[0] >= "\ud800" else "", text)


def shown(name: str) -> str:
    """A file's name as it may be shown: what a terminal would obey, or no encoding knows, is written out."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape", "surrogatepass").decode()
        for character in name
    )
