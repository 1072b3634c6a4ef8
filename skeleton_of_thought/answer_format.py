"""How the points are put together to the answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

from skeleton_of_thought.answer import PointResult
from skeleton_of_thought.errors import ConfigurationError

FormatName = Literal["numbered", "headings", "prose"]
AnswerFormat = FormatName | Callable[[PointResult], str]
"""A name, or a function that renders one finished point (such a point is shown when it is complete)."""

SEPARATOR = "\n\n"
"""Between two points of an answer."""


def check_format(answer_format: object) -> None:
    """Refuse anything that is not an `AnswerFormat`.

    Raises:
        ConfigurationError: Naming the value and the formats there are.
    """
    if answer_format not in get_args(FormatName) and not callable(answer_format):
        names = ", ".join(map(repr, get_args(FormatName)))
        raise ConfigurationError(
            f"answer_format is {answer_format!r}; use {names}, or a function from a PointResult to text."
        )


def head(answer_format: FormatName, index: int, title: str) -> str:
    """What stands before a point's text."""
    if answer_format == "prose":
        return ""
    if answer_format == "headings":
        return f"## {title}\n\n"
    return f"{index}. {title}{' ' if title.endswith(('?', '!', ':', '：', '？', '！')) else ': '}"
