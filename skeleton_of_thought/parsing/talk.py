"""Lines that speak about the skeleton instead of being part of it, by the words models use for them."""

from __future__ import annotations

import re

_SKELETON = (
    r"skeleton|outline|key points|main points|squelette|esqueleto|esquema|esboço|skelett"
    r"|gliederung|gerüst|scheletro|scaletta|скелет|骨架|大纲|大綱|提纲|要点|回答|スケルトン|アウトライン|骨子"
    r"|골격|개요|뼈대|الهيكل|المخطط|रूपरेखा|iskelet|taslak|dàn ý|kerangka"
)
_KIND = r"final|short|brief|revised|improved|updated|refined|corrected|proposed|initial|first"
_ABOUT = re.compile(
    rf"(?:(?:the|a|your|my|here|answer|{_KIND}|le|la|el|die|das|der)\s)*+"
    rf"(?:(?:{_SKELETON})(?:\s(?:of|for|to|de|del|für|zu|per|para|pour)\s.*|\s(?:points|skeleton|outline))?"
    rf"|draft|version|notes?|{_KIND})(?:\s#?\d{{1,2}})?\W*",
    re.IGNORECASE,
)
_LONGEST = 80
_FINAL = re.compile(
    r"\b(?:final|revised|improved|updated|refined|corrected|rewritten|better)\b|最终|最終|修正", re.IGNORECASE
)
_TURN = re.compile(
    r"\[?(?:user|human|question|instruction|input|prompt|q)\b[^:：\n]{0,12}[:：]|\[(?:user|assistant)\b",
    re.IGNORECASE,
)
_AROUND = re.compile(
    r"(?:introduction|intro|overview|conclusion|summary|final thoughts|closing|wrap-up"
    r"|einleitung|fazit|schluss|zusammenfassung"
    r"|introducción|conclusión|introdução|conclusão|introduzione|conclusione|résumé|введение|заключение|выводы|giriş|sonuç"
    r"|引言|前言|结论|總結|总结|結論|结语|はじめに|おわりに|まとめ|서론|결론|مقدمة|المقدمة|خاتمة|الخاتمة|परिचय|निष्कर्ष)\b",
    re.IGNORECASE,
)
_COURTESY = re.compile(r"(?:sure|certainly|of course|okay|ok|here|absolutely|great|yes)\b", re.IGNORECASE)


def is_about_skeleton(text: str) -> bool:
    """Whether a heading or label names the skeleton or a draft of it: `Skeleton:`, `## Final outline`."""
    text = text.strip(" *_:：#")
    return len(text) < _LONGEST and _ABOUT.fullmatch(text) is not None


def announces_final(text: str) -> bool:
    """Whether a line leads over to a list that replaces an earlier one: `Here is the revised skeleton:`."""
    return _FINAL.search(text[:200]) is not None


def opens_turn(text: str) -> bool:
    """Whether a line starts another question, as base models do when they run on: `Question: …`."""
    return _TURN.match(text) is not None


def is_opening_or_closing(text: str) -> bool:
    """Whether a heading opens or closes an answer: `Introduction`, `Fazit`."""
    return _AROUND.match(text.lstrip("*_ ")) is not None


def is_lead_in(text: str) -> bool:
    """Whether a line only leads over to the list: `Here are the key points:`."""
    return text.endswith((":", "：", ":**")) and _COURTESY.match(text.lstrip("*_ ")) is not None


def is_courtesy(text: str) -> bool:
    """Whether a line is a preamble: `Sure! Here is …`, or anything that ends in a colon."""
    return text.endswith((":", "：")) or _COURTESY.match(text) is not None
