"""Files of questions, row by row: CSV and JSON lines."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any, Final

from skeleton_of_thought.errors import ConfigurationError
from skeleton_of_thought.messages import well_formed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LABELS: Final = {"1": True, "true": True, "sot": True, "0": False, "false": False, "direct": False}
"""What a label may be called, in lower case, and whether a skeleton pays for such a question."""


def lines_of(path: Path) -> Iterator[str]:
    """The lines of a text file, with their ends, without a mark at its beginning.

    Raises:
        ConfigurationError: The file cannot be read.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from file
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}. Give a CSV or JSON-lines file.") from error


def json_of(text: str) -> Any:
    """The value of JSON, without half characters in its strings: what is written down could not be found again.

    Raises:
        ValueError: It is no JSON, or nested too deeply.
    """
    try:
        value = json.loads(text)
        if "\\ud" in text.lower():
            value = json.loads(well_formed(json.dumps(value, ensure_ascii=False)))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    return value


def json_lines_of(path: Path) -> Iterator[Any]:
    """The values of a file of JSON lines; empty lines count, and are left out.

    Raises:
        ConfigurationError: The file cannot be read, or a line, which is named, is no JSON.
    """
    for number, line in enumerate(lines_of(path), start=1):
        if line.strip():
            try:
                yield json_of(line)
            except ValueError as error:
                raise ConfigurationError(
                    f"{path}, line {number} is no JSON: {error}. Mend or remove the line."
                ) from error


def csv_of(path: Path) -> csv.DictReader[str]:
    """The rows of a CSV file, separated by `,` or `;`, whichever its first line has more of.

    Raises:
        ConfigurationError: The file cannot be read.
    """
    lines = lines_of(path)
    header = next(lines, "")
    delimiter = ";" if header.count(";") > header.count(",") else ","
    names = next(csv.reader([header], delimiter=delimiter), [])
    return csv.DictReader(lines, names, delimiter=delimiter)
