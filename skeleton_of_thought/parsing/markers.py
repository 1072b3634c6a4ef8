r"""How the start of a line marks a numbered point: `1.`, `(2)`, `Step 3:`, `④`, `五、`, `vi)`, `G.`.

A marker is strong when it makes a list even alone (`1. Energy`), and weak when only a run of its
successors shows that a list was meant (`A. Smith`, `3 eggs`, `12 - 14 March`, `1.5 million`).
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skeleton_of_thought.parsing import numerals

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Marker:
    """A number at the start of a text.

    Attributes:
        readings: What it may stand for, as (family, value), likeliest last: `I.` is the ninth letter or the
            first roman numeral. Markers of one list share the family.
        strong: Whether it makes a list even alone.
        end: Where the body starts.
    """

    readings: tuple[tuple[str, int], ...]
    strong: bool
    end: int


_EMPHASIS = r"[*_]{0,3}"
_FREE = r"(?=\s|$)"
_DOT = r"\\?[.．۔।](?!\d)[-–—:)]?"
_CLOSE = r"\\?\.?[)）\]】〕」}>]"
_COLON = r" ?[:：](?!\d|//)"
_DASH = rf" ?[-–—]{_FREE}"

_DECIMAL = (
    rf"[#№]?(?P<d_open>[(（\[【〔「<{{]?) ?(?P<d_number>\d{{1,7}}+)\ufe0f?{_EMPHASIS}"
    rf"(?P<d_close>\u20e3|{_CLOSE}|{_DOT}|[、。]|{_COLON}|{_DASH}|\\?[/>,|؟،]{_FREE}|[ºª°][.):-]?{_FREE}|[-–—|](?=[^\W\d])|{_FREE})"
)
_SECTION = rf"(?P<s_parents>\d{{1,3}}+(?:\.\d{{1,3}}){{0,2}}?)\.(?P<s_number>\d{{1,3}}+)[.)]?{_FREE}"
_ENCLOSED = rf"(?P<e_number>[{numerals.ENCLOSED}])[.、)．]?"
_CHINESE = rf"(?P<c_open>[(（]?)(?P<c_number>[{numerals.CHINESE}]{{1,3}}+)(?P<c_close>[、．.，,：:）)])"
_ORDINAL = (
    rf"(?P<o_prefix>[第其제])(?P<o_number>[{numerals.CHINESE}]{{1,3}}+|\d{{1,3}}+)"
    rf"(?P<o_unit>[^\s\d、，,：:．.]{{0,3}}?)に?(?:[、，,：:．.]|{_FREE})"
)
_LETTER = (
    r"(?P<l_open>[(（]?)(?P<l_token>[^\W\d_]|[ivxIVX]{2,5})"
    rf"(?P<l_close>(?:[.．](?=\s|$|[*_])|[)）、]|{_COLON}))"
)
_LABEL = (
    r"[(（\[【<]?(?P<b_label>[^\W\d_][^\d\n:：,;，。、()\[\]{}|<>*\"“”!?=/\\]{0,28}?) ?[#№]?"
    rf"(?P<b_number>\d{{1,3}}+|\b[IVX]{{1,5}}\b|\b[A-H]\b|\b(?i:{'|'.join(numerals.CARDINALS)})\b)"
    rf"{_EMPHASIS}(?P<b_close> ?[:：](?!\d)|{_DASH}|{_DOT}|[)）\]】>、]|{_FREE})"
)
_SUFFIXED = rf"(?P<x_number>\d{{1,2}}+)(?P<x_suffix>[^\W\d_]{{1,4}})(?:[:：.)]{_FREE}|[:：、])"
_WORD = (
    rf"(?P<w_word>(?i:{'|'.join(numerals.ORDINALS + numerals.CARDINALS)}))(?P<w_label> [^\W\d_]{{1,12}})?"
    rf" ?(?:[:：]{_FREE}|(?<=째)[,.] )"
)
_MARKER = re.compile(
    rf"(?P<section>{_SECTION})|(?P<decimal>{_DECIMAL})|(?P<enclosed>{_ENCLOSED})|(?P<ordinal>{_ORDINAL})"
    rf"|(?P<chinese>{_CHINESE})|(?P<letter>{_LETTER})|(?P<suffixed>{_SUFFIXED})|(?P<word>{_WORD})"
    rf"|(?P<label>{_LABEL})"
)
_MOST_LABEL_WORDS = 3
_DASHES = frozenset("-–—")
_WEAK_CLOSES = _DASHES | frozenset("/>},|،؟ºª°")
# Labels that only count. Any other label with a number belongs to the title: "Day 1: Rome", "Vitamin B: nuts".
_COUNTING_LABELS = frozenset(
    """
    n° nº no no. nr nr. № argument aspect
    bullet q question factor heading idea item number part point reason section step tip topic
    abschnitt aspekt grund punkt schritt teil tipp bod bodu krok punktu część del punkt steg trin deel punt stap
    étape etape partie paso punto parte passo ponto dica consejo razón sección seção sezione pasul punctul
    шаг пункт тезис часть крок βήμα σημείο adım madde nokta kohta vaihe lépés pont שלב נקודה
    الخطوة النقطة خطوة نقطة گام نکته चरण बिंदु ধাপ bước điểm phần bagian langkah poin hakbang hatua
    ข้อ ข้อที่ ขั้นตอนที่ ประเด็นที่ 步骤 步驟 要点 要點 部分 ステップ ポイント 手順 項目 단계 포인트 요점
    """.split()  # noqa: SIM905 - a word list reads as words
)


def find_marker(text: str, start: int = 0) -> Marker | None:
    """The marker `text` has at `start`, or None. Constant time."""
    match = _MARKER.match(text, start)
    if match is None or match.lastgroup is None:
        return None
    return _READERS[match.lastgroup](match)


def counts_only(label: str) -> bool:
    """Whether a word such as `Step` or `Punkt` only says that a point follows."""
    return label.casefold() in _COUNTING_LABELS


def _marker(match: re.Match[str], family: str, value: int | None, *, strong: bool = False) -> Marker | None:
    return None if value is None else Marker(((family, value),), strong, match.end())


def _decimal(match: re.Match[str]) -> Marker | None:
    close = match["d_close"].strip(" \\")
    frame = unicodedata.normalize("NFKC", match["d_open"] + close).replace(".)", ")")
    frame = "-" if frame in _DASHES else "." if frame.startswith(".") else frame
    strong = close != "" and close not in _WEAK_CLOSES and match["d_open"] != "["
    return _marker(match, f"1{frame}", int(match["d_number"]), strong=strong)


def _section(match: re.Match[str]) -> Marker | None:
    if match["s_parents"].isdecimal() and int(match["s_number"]) == 0:
        return _marker(match, "1.0", int(match["s_parents"]))
    return _marker(match, f"section {match['s_parents']}", int(match["s_number"]))


def _enclosed(match: re.Match[str]) -> Marker | None:
    if match["e_number"] == numerals.KEYCAP_TEN:
        return _marker(match, "1\u20e3", 10, strong=True)
    plain = unicodedata.normalize("NFKC", match["e_number"])
    family = "①" if plain.isdecimal() else "".join(mark for mark in plain if not mark.isalnum())
    return _marker(match, f"1{family}", numerals.enclosed_value(match["e_number"]), strong=True)


def _chinese(match: re.Match[str]) -> Marker | None:
    close = match["c_close"]
    family = unicodedata.normalize("NFKC", f"一{match['c_open']}{close}")
    return _marker(match, family, numerals.digits_value(match["c_number"]), strong=close in "、．）)")


def _ordinal(match: re.Match[str]) -> Marker | None:
    return _marker(match, f"第{match['o_unit']}", numerals.digits_value(match["o_number"]))


def _letter(match: re.Match[str]) -> Marker | None:
    token = match["l_token"]
    case = "A" if token.isupper() else "a"
    frame = unicodedata.normalize("NFKC", match["l_open"] + match["l_close"]).strip()
    readings = [(f"{case}{frame}", value) for value in numerals.letter_values(token)]
    roman = numerals.roman_value(token)
    if roman is not None:
        readings.append((f"{'I' if case == 'A' else 'i'}{frame}", roman))
    return Marker(tuple(readings), strong=False, end=match.end()) if readings else None


def _label(match: re.Match[str]) -> Marker | None:
    label = match["b_label"].strip().casefold()
    if len(label.split()) > _MOST_LABEL_WORDS:
        return None
    token = match["b_number"]
    value = int(token) if token.isdecimal() else numerals.word_value(token)
    if value is None:
        value = numerals.roman_value(token) or next(iter(numerals.letter_values(token)), None)
    counts = any(map(counts_only, label.split()))
    strong = counts and match["b_close"].strip() != ""
    family = label + (":" if match["b_close"].strip() else "")
    end = match.end() if counts else match.start()
    if not match["b_close"].strip() and not token.isdecimal():
        return None
    return None if value is None else Marker(((family, value),), strong, end)


def _suffixed(match: re.Match[str]) -> Marker | None:
    suffix = match["x_suffix"]
    family = "1st" if suffix in {"st", "nd", "rd", "th"} else f"1{suffix}"
    return _marker(match, family, int(match["x_number"]))


def _word(match: re.Match[str]) -> Marker | None:
    label = (match["w_label"] or " point").strip()
    return _marker(match, "first", numerals.word_value(match["w_word"])) if counts_only(label) else None


_READERS: dict[str, Callable[[re.Match[str]], Marker | None]] = {
    "decimal": _decimal,
    "section": _section,
    "enclosed": _enclosed,
    "chinese": _chinese,
    "ordinal": _ordinal,
    "letter": _letter,
    "label": _label,
    "suffixed": _suffixed,
    "word": _word,
}
