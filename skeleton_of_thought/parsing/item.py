"""A point before its title is clean."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Item:
    """What the model wrote for one point.

    Attributes:
        body: The text after the marker, markdown and all.
        value: The number its marker stands for; None for bullets, headings and JSON.
        family: What kind of marker it has; items of one list share it.
        description: The description, where it was told apart from the title already.
        line: Number of its line.
        indent: Columns its line is indented by.
    """

    body: str
    value: int | None = None
    family: str = ""
    description: str = ""
    line: int = 0
    indent: int = 0
