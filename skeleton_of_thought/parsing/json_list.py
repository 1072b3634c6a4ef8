"""A skeleton written as JSON: arrays of strings or objects, wrapped, fenced, as JSON lines, or cut off."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from skeleton_of_thought.parsing.item import Item
from skeleton_of_thought.parsing.json_reader import Object, Value, read_json
from skeleton_of_thought.parsing.lines import ListedLines, read_lines
from skeleton_of_thought.parsing.one_line import spread
from skeleton_of_thought.parsing.top_level import top_level_items

if TYPE_CHECKING:
    from collections.abc import Iterable

# JSON has a line of its own, follows a colon or an equals sign, or is unmistakable: `["`, `[{`, `{"`.
_START = re.compile(
    r"^[^\n\[{]{0,160}(?:(?<=[:=])|(?<=[:=] )|(?<=^)|(?<=json)|(?=\[\s{0,9}[\"'{]|\{\s{0,9}[\"']))"
    r"[ \t]{0,8}(?=[\[{])",
    re.MULTILINE,
)
_TITLE_KEYS = (
    "title", "name", "heading", "header", "headline", "point", "topic", "idea", "label", "item", "step", "section",
    "text", "content", "value", "标题", "要点", "titel", "titre", "título", "titulo", "タイトル",
)  # fmt: skip
_DESCRIPTION_KEYS = (
    "description",
    "summary",
    "details",
    "detail",
    "explanation",
    "desc",
    "content",
    "text",
    "描述",
)
_LIST_KEYS = ("skeleton", "points", "outline", "items", "steps", "sections", "list", "answer", "response")
_NUMBERED_KEY = re.compile(r"\D{0,20}\d{1,3}")
_MOST_DEPTH = 4


def json_items(text: str) -> list[Item]:
    """The points of the first JSON value in the text that holds some; none if there is no such value."""
    objects: list[Value] = []
    listed: ListedLines | None = None
    place = 0
    while start := _START.search(text, place):
        value, place = read_json(text, start.end())
        items = _items(value, _MOST_DEPTH)
        if items:
            listed = listed or ListedLines(text)
            if not listed.surround(
                start.end(), place
            ):  # else it is only quoted in a point of a list in plain text
                return items
        objects += [value] if isinstance(value, Object) else []
    return _items(objects, 1) if len(objects) > 1 else []


def _items(value: Value, depth: int) -> list[Item]:
    if depth == 0 or value is None or isinstance(value, str):
        return []
    if isinstance(value, Object):
        return _items_of_object(value, depth)
    if len(value) == 1 and isinstance(value[0], Object) and not _text_under(value[0], _TITLE_KEYS):
        inner = _wrapped(value[0], depth)
        if inner:
            return inner
    if len(value) == 1 and isinstance(value[0], str):
        return _items_of_text(value[0]) or [Item(value[0])]
    return [item for item in map(_item, value) if item]


def _items_of_object(value: Object, depth: int) -> list[Item]:
    """The points of an object: a list in one of its values, its numbered values, or its keys."""
    numbered = [item for key, inner in value.pairs if _NUMBERED_KEY.fullmatch(key) and (item := _item(inner))]
    heard = Counter(key.casefold() for key, _ in value.pairs)
    repeated = [
        Item(inner)
        for key, inner in value.pairs
        if isinstance(inner, str) and key.casefold() in _TITLE_KEYS and heard[key.casefold()] > 1
    ]
    return numbered or _items_of_mapping(value) or _wrapped(value, depth) or repeated


def _wrapped(value: Object, depth: int) -> list[Item]:
    pairs = sorted(value.pairs, key=lambda pair: _place(pair[0], _LIST_KEYS))
    for key, inner in pairs:
        if isinstance(inner, str) and key.casefold() in _LIST_KEYS:
            items = _items_of_text(inner)
        else:
            items = _items(inner, depth - 1)
        if items:
            return items
    return []


def _items_of_mapping(value: Object) -> list[Item]:
    """The keys of an object such as `{"Energy": "save power", "Water": "drink more"}`."""
    lists = sum(not isinstance(inner, str) for _, inner in value.pairs)
    is_mapping = len(value.pairs) > 1 and lists != 1 and all(_is_title(key) for key, _ in value.pairs)
    return [_described(key, inner) for key, inner in value.pairs] if is_mapping else []


def _is_title(key: str) -> bool:
    known = key.casefold() in _TITLE_KEYS + _DESCRIPTION_KEYS + _LIST_KEYS
    return not known and (not key.isascii() or key[:1].isupper())


def _items_of_text(text: str) -> list[Item]:
    r"""The points of a list that stands in a string: `{"skeleton": "1. Energy\n2. Water"}`."""
    lines = read_lines(text)
    return spread(top_level_items(lines), lines)


def _item(value: Value) -> Item | None:
    if isinstance(value, str):
        return Item(value) if value.strip() else None
    if isinstance(value, list):
        return next((Item(inner) for inner in value if isinstance(inner, str)), None)
    if value is None:
        return None
    title = _text_under(value, _TITLE_KEYS)
    if title:
        return Item(f"**{title}**", description=_text_under(value, _DESCRIPTION_KEYS, without=title) or "")
    if len(value.pairs) == 1 and _is_title(value.pairs[0][0]):
        return _described(*value.pairs[0])
    strings = [inner for _, inner in value.pairs if isinstance(inner, str)]
    return Item(strings[0]) if len(strings) == 1 else None


def _described(title: str, description: Value) -> Item:
    return Item(title, description=" ".join(description.split()) if isinstance(description, str) else "")


def _text_under(value: Object, keys: Iterable[str], without: str = "") -> str | None:
    """The text under the first of the keys that holds one, other than a bare number."""
    texts = {
        key.casefold(): " ".join(inner.split())
        for key, inner in value.pairs
        if isinstance(inner, str)
        and not inner.strip(" .").isdecimal()
        and inner.strip()
        and inner.strip() != without
    }
    return next((texts[key] for key in keys if key in texts), None)


def _place(key: str, keys: tuple[str, ...]) -> int:
    return keys.index(key.casefold()) if key.casefold() in keys else len(keys)
