"""Chunks and their vectors in Chroma, an embedded vector database, on disk."""

from __future__ import annotations

import logging
import os
import shutil
import weakref
from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING, Any

from llamaindex_sot.documents.progress import Progress, Watch, nobody
from skeleton_of_thought.errors import MissingExtraError, require

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from llama_index.core.base.embeddings.base import BaseEmbedding
    from llama_index.core.schema import BaseNode
    from llama_index.core.vector_stores.types import BasePydanticVectorStore

logger = logging.getLogger(__name__)

_NEEDED_FOR = "Answering from documents"
_MOMENT = 2.0
"""Seconds of waiting for another process of which nothing is said."""
_OPENINGS = count(1)
_AT_ONCE = 256
"""Chunks that are embedded and kept before the next ones are: what an interrupted update loses at most."""


def up_to_date(
    folder: Path, chunks: Mapping[str, BaseNode], embed_model: BaseEmbedding, *, watch: Watch = nobody
) -> BasePydanticVectorStore:
    """The vectors of these chunks; those kept in `folder` are changed as far as the chunks have changed.

    An index that cannot be read is made again: it holds nothing that does not stand in the documents.

    Args:
        folder: Where they are kept, a folder only its owner can read. Processes that use it at the same time take
            turns.
        chunks: All there are to be, by ids that tell one text in one place from all others.
        embed_model: Embeds those that are not kept yet.
        watch: Told of the chunks that are embedded.

    Raises:
        MissingExtraError: The extra `docs` is not installed.
        OSError: The folder cannot be written.
    """
    filelock = require("filelock", extra="docs", needed_for=_NEEDED_FOR)
    with _turn(filelock, folder / "lock"):
        vectors, known = _opened(folder)
        gone = sorted(known - chunks.keys())
        new = [chunk for key, chunk in chunks.items() if key not in known]
        for start in range(0, len(gone), _AT_ONCE):
            vectors.delete_nodes(gone[start : start + _AT_ONCE])
        for start in range(0, len(new), _AT_ONCE):
            watch(Progress("embedding", start, len(new)))
            vectors.add(list(embed_model(new[start : start + _AT_ONCE])))
        watch(Progress("embedding", len(new), len(new)))
    logger.info("%d chunks in %s: %d new, %d gone", len(chunks), folder, len(new), len(gone))
    return vectors


def _turn(filelock: Any, file: Path) -> Any:
    """The lock of an index, ours; says so where another process has it for more than a moment."""
    lock = filelock.FileLock(file)
    try:
        return lock.acquire(timeout=_MOMENT)
    except filelock.Timeout:
        logger.warning("waiting for another process that uses the index in %s", file.parent)
        return lock.acquire()


def _opened(folder: Path) -> tuple[BasePydanticVectorStore, set[str]]:
    """The vector database in a folder and the ids it holds; one that is damaged is replaced by an empty one."""
    try:
        return _checked(_open(folder))
    except (KeyboardInterrupt, SystemExit, OSError, MissingExtraError):
        raise
    except BaseException as error:
        if not os.access(folder / "vectors", os.W_OK):
            raise OSError(f"{folder} cannot be written") from error
        why = " ".join(str(error).split())[:200]
        logger.warning("the index in %s is damaged and is made again: %s", folder, why)
    _remove(folder / "vectors")
    return _checked(_open(folder))


def _checked(vectors: BasePydanticVectorStore) -> tuple[BasePydanticVectorStore, set[str]]:
    """The vectors and their ids, read as a question would read them."""
    collection = vectors.client
    known = set(collection.get(include=[])["ids"])
    if known:
        one = collection.get(limit=1, include=["embeddings"])["embeddings"]
        collection.query(query_embeddings=one, n_results=1)
    return vectors, known


def _remove(folder: Path) -> None:
    if folder.is_dir() and not folder.is_symlink():
        shutil.rmtree(folder)
    else:
        folder.unlink(missing_ok=True)


def _open(folder: Path) -> BasePydanticVectorStore:
    """The vector database in a folder, as it is now; it tells nobody of its use."""
    chromadb = require("chromadb", extra="docs", needed_for=_NEEDED_FOR)
    chroma = require("llama_index.vector_stores.chroma", extra="docs", needed_for=_NEEDED_FOR)
    with suppress(FileExistsError):  # a file in its place is a damaged index
        (folder / "vectors").mkdir(exist_ok=True)
    settings = chromadb.Settings(anonymized_telemetry=False)
    client = chromadb.PersistentClient(_new_name(folder / "vectors"), settings)
    collection = client.get_or_create_collection(
        "chunks", configuration={"hnsw": {"space": "cosine"}}, embedding_function=None
    )
    vectors: BasePydanticVectorStore = chroma.ChromaVectorStore(chroma_collection=collection)
    weakref.finalize(vectors, client.close)
    return vectors


def _new_name(folder: Path) -> str:
    """A name for a folder that was not used before in this process: with slashes and dots behind it.

    All of Chroma's clients with one name share what the first of them has read, and none of them sees what
    another process has added since.
    """
    return str(folder) + "".join("/." if bit == "1" else "/" for bit in f"{next(_OPENINGS):b}")
