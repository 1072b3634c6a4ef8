"""Any file of answers, brought into the shape of the results of a speed run, so that the same code judges both."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

from skeleton_of_thought.errors import ConfigurationError
from skeleton_of_thought.routing.tables import json_lines_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from skeleton_of_thought.evaluation.work import Row

_QUESTION: Final = ("question", "request", "prompt")
_TEXT: Final = ("text", "answer", "response")
_WAY: Final = ("way", "model", "system")
_PLAIN: Final = ("direct", "plain", "baseline")
_ABOUT: Final = frozenset({*_QUESTION, "id", "question_id", "category", "reason", "label", "kind"})
_SHAPES: Final = (
    'A line is {"question": …, "answers": {"NAME": …, "NAME": …}}, the same without "answers" around the two names, '
    'or one way of it: {"question": …, "way": "NAME", "answer": …}. An answer is a text, or an object with "text" and '
    'optionally "points", as sot ask --json prints them.'
)


def read_answers(path: Path) -> list[Row]:
    """The questions of a file of JSON lines, each with its answers by way; lines of one question are put together.

    A line names two ways (under `answers`, under `ways` as `speed.jsonl` does, or side by side), or is the answer of
    one way. Lines belong together by `id`, or by the question where they have none.

    Returns:
        Rows with `id`, `request`, `category`, `ways` and no faults; those of a speed run that have faults keep them.

    Raises:
        ConfigurationError: No such file, a line that is none of these, or a question answered twice in one way.
    """
    if not path.is_file():
        raise ConfigurationError(f"There is no file {str(path)!r}. Pass a file of JSON lines. {_SHAPES}")
    rows: dict[str, Row] = {}
    for number, line in enumerate(json_lines_of(path), start=1):
        place = f"{path.name}, line {number}"
        line = line if isinstance(line, dict) else {}  # noqa: PLW2901 - reported by the next check
        question = _first(line, _QUESTION)
        ways = _ways(line)
        if not isinstance(question, str) or not question.strip() or not ways:
            raise ConfigurationError(
                f"{place} has no question with answers (it has {', '.join(map(str, line)) or 'nothing'}). {_SHAPES}"
            )
        name = _first(line, ("id", "question_id"))
        key = question.strip() if name is None else str(name)
        row = rows.setdefault(
            key,
            {
                "id": str(len(rows) + 1) if name is None else key,
                "request": question,
                "category": str(line.get("category") or ""),
                "faults": dict(faults) if isinstance(faults := line.get("faults"), dict) else {},
                "ways": {},
            },
        )
        for way, answer in ways.items():
            if way in row["ways"]:
                raise ConfigurationError(
                    f"{place}: question {row['id']!r} has an answer of {way!r} already. Give each question its own id, "
                    "and each way its own name."
                )
            row["ways"][way] = answer
    if not rows:
        raise ConfigurationError(f"{path} holds no answers. {_SHAPES}")
    return list(rows.values())


def two_ways(rows: Sequence[Row], *, way: str | None = None, against: str | None = None) -> tuple[str, str]:
    """The way whose wins are counted, and the one it is compared with.

    Args:
        rows: What `read_answers` read.
        way: The first, where the caller chose.
        against: The second, likewise; by default the plain one (`"direct"`, `"plain"` or `"baseline"`) if there is
            one.

    Raises:
        ConfigurationError: There is no such way, or more than two to choose from.
    """
    there = list(dict.fromkeys(name for row in rows for name in row["ways"]))
    for option, chosen in (("--way", way), ("--against", against)):
        if chosen is not None and chosen not in there:
            raise ConfigurationError(
                f"There are no answers of {option} {chosen!r}; the file has {', '.join(there)}."
            )
    if way is not None and way == against:
        raise ConfigurationError(f"--way and --against are both {way!r}; choose two of {', '.join(there)}.")
    if against is None:
        others = [name for name in there if name != way]
        plain = [name for name in others if name in _PLAIN]
        against = plain[0] if plain else others[-1] if len(there) == 2 else None  # noqa: PLR2004
    rest = [name for name in there if name != against]
    way = rest[0] if way is None and len(rest) == 1 else way
    if way is None or against is None:
        raise ConfigurationError(
            f"The file has answers of {', '.join(there)}; two ways are compared. Say which: --way NAME --against NAME."
        )
    return way, against


def pairs_of(rows: Iterable[Row], *, way: str, against: str) -> list[Row]:
    """The questions that have both answers; `version` names their texts, so that a verdict is never another text's.

    Raises:
        ConfigurationError: No question has both.
    """
    found = [
        {**row, "version": [_fingerprint(row["ways"][way]["text"], row["ways"][against]["text"])]}
        for row in rows
        if not row["faults"] and way in row["ways"] and against in row["ways"]
    ]
    if not found:
        raise ConfigurationError(
            f"No question has answers of both {way!r} and {against!r}. Lines of one question carry the same id, or the "
            "same question word for word."
        )
    return found


def _ways(line: Mapping[str, Any]) -> dict[str, Row]:
    nested = next((line[name] for name in ("ways", "answers") if isinstance(line.get(name), dict)), None)
    way = _first(line, _WAY)
    if nested is not None:
        named = nested
    elif isinstance(way, str) and _first(line, _TEXT) is not None:
        named = {way: {**line, "text": _first(line, _TEXT)}}
    else:
        named = {name: value for name, value in line.items() if name not in _ABOUT}
    found = {str(name): _answer(value) for name, value in named.items()}
    return {name: answer for name, answer in found.items() if answer is not None}


def _answer(value: Any) -> Row | None:
    if isinstance(value, str):
        return {"text": value, "points": [], "reason": "answered plainly"}
    text = _first(value, _TEXT) if isinstance(value, dict) else None
    if not isinstance(text, str):
        return None
    told = value.get("points")
    points = [
        {"index": index, "title": "", "text": "", "status": "ok", **point}
        for index, point in enumerate(told if isinstance(told, list) else [], start=1)
        if isinstance(point, dict)
    ]
    return {**value, "text": text, "points": points, "reason": value.get("reason") or "answered plainly"}


def _first(row: Mapping[str, Any], names: Sequence[str]) -> Any:
    return next((row[name] for name in names if row.get(name) is not None), None)


def _fingerprint(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:12]
