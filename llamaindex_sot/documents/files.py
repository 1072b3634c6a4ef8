"""Which files of a folder are its documents."""

from __future__ import annotations

import logging
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from llamaindex_sot.documents.encodings import shown
from skeleton_of_thought.errors import ConfigurationError

logger = logging.getLogger(__name__)

SUFFIXES = (".csv", ".docx", ".htm", ".html", ".md", ".pdf", ".txt")


@dataclass(frozen=True, slots=True)
class Files:
    """What a folder has to read.

    Attributes:
        places: Each document's file, by its name as answers cite it: the path within the folder.
        skipped: How many files of each other kind there are, by suffix; `""` for files without one.
    """

    places: dict[str, Path] = field(default_factory=dict)
    skipped: Counter[str] = field(default_factory=Counter)


def find_files(where: Path) -> Files:
    """The documents of a folder and of the folders inside it, in order of their names; or one document alone.

    Hidden files and folders are left out. So are links that lead out of the folder: who asks about a folder does not
    hand over, by way of the index, what lies elsewhere. A link within it is read once, with what it leads to.

    Raises:
        ConfigurationError: There is no such folder or file, or a file is no document.
    """
    if where.is_file():
        if where.suffix.lower() not in SUFFIXES:
            raise ConfigurationError(
                f"{shown(str(where))!r} is no document this can read: that is {', '.join(SUFFIXES)}."
            )
        return Files({shown(where.name): where})
    if not where.is_dir():
        raise ConfigurationError(
            f"There is no folder {shown(str(where))!r}. Give a folder with {', '.join(SUFFIXES)} files, or one file."
        )
    found = Files()
    root = where.resolve()
    seen: set[Path] = set()
    for folder, folders, names in os.walk(where, onerror=_unreadable):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            file = Path(folder, name)
            if name.startswith(".") or not _is_file(file):
                continue
            if file.suffix.lower() not in SUFFIXES:
                found.skipped[shown(file.suffix.lower())] += 1
                continue
            target = file.resolve()
            if not target.is_relative_to(root):
                logger.warning("%s is a link out of the folder and is left out", shown(str(file)))
            elif target not in seen:
                seen.add(target)
                found.places[shown(file.relative_to(where).as_posix())] = file
    return found


def _is_file(file: Path) -> bool:
    try:
        return file.is_file()
    except OSError as error:  # a folder whose names may be read, and nothing else
        _unreadable(error)
        return False


def _unreadable(error: OSError) -> None:
    logger.warning("%s cannot be read and is left out: %s", shown(str(error.filename)), error.strerror)
