"""What number a token stands for, in the scripts that lists are numbered with."""

from __future__ import annotations

import re
import unicodedata

# Single characters that are a number with their own frame: ① ⑴ ⒈ ❶ ➀ ㈠ ㊀ and their like.
ENCLOSED = "\u2460-\u249b\u24ea-\u24ff\u2776-\u2793\u3220-\u3229\u3251-\u325f\u3280-\u3289\u32b1-\u32bf🔟"
KEYCAP_TEN = "🔟"
CHINESE = "一二三四五六七八九十"
ALPHABETS = (
    "abcdefghijklmnopqrstuvwxyz",
    "абвгдежзиклмнопрст",
    "αβγδεζηθικλμνξο",
    "אבגדהוזחטיכלמנ",
    "أبتثجحخدذرزس",
    "أبجدهوزحطي",
    "กขคงจฉชซ",
    "가나다라마바사아자차카타파하",
    "アイウエオカキクケコ",
    "甲乙丙丁戊己庚辛壬癸",
)
CARDINALS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_ORDINALS = (
    ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"),
    ("firstly", "secondly", "thirdly", "fourthly", "fifthly"),
    ("erstens", "zweitens", "drittens", "viertens", "fünftens", "sechstens"),
    ("premièrement", "deuxièmement", "troisièmement", "quatrièmement", "cinquièmement"),
    ("primero", "segundo", "tercero", "cuarto", "quinto", "sexto"),
    ("primeiro", "segundo", "terceiro", "quarto", "quinto"),
    ("во-первых", "во-вторых", "в-третьих", "в-четвертых", "в-пятых"),
    ("أولاً", "ثانياً", "ثالثاً", "رابعاً", "خامساً", "سادساً"),
    ("أولا", "ثانيا", "ثالثا", "رابعا", "خامسا", "سادسا"),
    ("첫째", "둘째", "셋째", "넷째", "다섯째", "여섯째"),
)
ORDINALS = tuple(dict.fromkeys(word for words in _ORDINALS for word in words))
_WORDS = {word: place for words in (CARDINALS, *_ORDINALS) for place, word in enumerate(words, 1)}
_ROMAN = re.compile(r"(x{0,3})(ix|iv|v?)(i{0,3})")
_ROMAN_VALUES = {"ix": 9, "iv": 4, "v": 5, "": 0}


def letter_values(token: str) -> list[int]:
    """The places of a single letter in its alphabet, from 1; Arabic counts in two orders."""
    token = token.lower()
    return [alphabet.index(token) + 1 for alphabet in ALPHABETS if token in alphabet]


def roman_value(token: str) -> int | None:
    """The value of a roman numeral up to 39, in either case; longer lists are not skeletons."""
    match = _ROMAN.fullmatch(unicodedata.normalize("NFKC", token).lower())
    if match is None:
        return None
    tens, middle, ones = match.groups()
    return 10 * len(tens) + _ROMAN_VALUES[middle] + len(ones) or None


def word_value(token: str) -> int | None:
    """The value of a number word, `one` or `first`."""
    return _WORDS.get(token.lower())


def digits_value(token: str) -> int | None:
    """The value of decimal digits of any script (`12`, `١٢`, `१२`) or of a Chinese numeral up to 99."""
    if token.isdecimal():
        return int(token)
    tens, ten, ones = token.partition("十")
    if not ten:
        return _chinese_digit(token)
    tens_value = _chinese_digit(tens) if tens else 1
    ones_value = _chinese_digit(ones) if ones else 0
    return None if tens_value is None or ones_value is None else 10 * tens_value + ones_value


def enclosed_value(token: str) -> int | None:
    """The value of a single enclosed number such as `①`; None for an enclosed letter."""
    value = unicodedata.numeric(token, None)
    return None if value is None else int(value)


def _chinese_digit(token: str) -> int | None:
    place = CHINESE.find(token)
    return place + 1 if len(token) == 1 and place >= 0 else None
