"""Chunks and their vectors in Chroma, an embedded vector database, on disk."""

from __future__ import annotations

import logging
import weakref
from itertools import count
from typing import TYPE_CHECKING

from skeleton_of_thought.errors import require

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from llama_index.core.base.embeddings.base import BaseEmbedding
    from llama_index.core.schema import BaseNode
    from llama_index.core.vector_stores.types import BasePydanticVectorStore

logger = logging.getLogger(__name__)

_NEEDED_FOR = "Answering from documents"
_OPENINGS = count(1)
_AT_ONCE = 256
"""Chunks that are embedded and kept before the next ones are: what an interrupted update loses at most."""


def up_to_date(
    folder: Path, chunks: Mapping[str, BaseNode], embed_model: BaseEmbedding
) -> BasePydanticVectorStore:
    """The vectors of these chunks; those kept in `folder` are changed as far as the chunks have changed.

    Args:
        folder: Where they are kept; made if need be. Processes that use it at the same time take turns.
        chunks: All there are to be, by ids that tell one text in one place from all others.
        embed_model: Embeds those that are not kept yet.

    Raises:
        MissingExtraError: The extra `docs` is not installed.
    """
    filelock = require("filelock", extra="docs", needed_for=_NEEDED_FOR)
    folder.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(folder / "lock"):
        vectors = _open(folder)
        known = set(vectors.client.get(include=[])["ids"])
        gone = sorted(known - chunks.keys())
        new = [chunk for key, chunk in chunks.items() if key not in known]
        for start in range(0, len(gone), _AT_ONCE):
            vectors.delete_nodes(gone[start : start + _AT_ONCE])
        for start in range(0, len(new), _AT_ONCE):
            vectors.add(list(embed_model(new[start : start + _AT_ONCE])))
    logger.info("%d chunks in %s: %d new, %d gone", len(chunks), folder, len(new), len(gone))
    return vectors


def _open(folder: Path) -> BasePydanticVectorStore:
    """The vector database in a folder, as it is now; it tells nobody of its use."""
    chromadb = require("chromadb", extra="docs", needed_for=_NEEDED_FOR)
    chroma = require("llama_index.vector_stores.chroma", extra="docs", needed_for=_NEEDED_FOR)
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
