"""Where the index of a folder is kept: a place only its owner can read."""

from __future__ import annotations

import hashlib
import logging
import tempfile
from pathlib import Path

from platformdirs import user_data_path

from llamaindex_sot.documents.encodings import shown
from skeleton_of_thought.errors import ConfigurationError

logger = logging.getLogger(__name__)

_FOR_THIS_RUN: list[tempfile.TemporaryDirectory[str]] = []
_PRIVATE = 0o700


def index_place(documents: Path, model: str, storage: str | Path | None) -> Path:
    """The folder for the index of some documents, made if need be.

    Args:
        documents: The folder, or the file, that is indexed.
        model: The name of the embedding model.
        storage: Where the user wants it; None for a place of the user's own, or, where that cannot be written, one
            that is removed when the process ends.

    Raises:
        ConfigurationError: `storage` cannot be written.
    """
    kept = hashlib.sha256(model.encode()).hexdigest()[:16]
    if storage is not None:
        try:
            return _private(Path(storage) / kept)
        except OSError as error:
            raise ConfigurationError(
                f"The index cannot be kept in {shown(str(storage))!r}: {error.strerror or error}. Choose another "
                "storage, a folder that can be written."
            ) from error
    path = documents.resolve()
    own = f"{shown(path.name)[:80]}-{hashlib.sha256(str(path).encode('utf-8', 'surrogateescape')).hexdigest()[:16]}"
    home = user_data_path("skeleton-of-thought") / "documents"
    try:
        _private(home)
        _private(home / own)
        return _private(home / own / kept)
    except OSError as error:
        if not _FOR_THIS_RUN:
            _FOR_THIS_RUN.append(
                tempfile.TemporaryDirectory(prefix="skeleton-of-thought-", ignore_cleanup_errors=True)
            )
            logger.warning(
                "the index cannot be kept in %s (%s) and lasts only until this process ends; set XDG_DATA_HOME to a "
                "folder that can be written",
                home,
                error.strerror or error,
            )
        return _private(Path(_FOR_THIS_RUN[0].name) / own / kept)


def _private(folder: Path) -> Path:
    """A folder that can be written, by its owner alone.

    Raises:
        OSError: There is none, and none can be made.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=_PRIVATE)
    if folder.stat().st_mode & 0o077:
        folder.chmod(_PRIVATE)
    with tempfile.TemporaryFile(dir=folder):
        return folder
