"""Answers from a folder of documents: read, embedded, kept in a vector database on disk, cited."""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llama_index.core import VectorStoreIndex
from llama_index.core.query_engine import RetrieverQueryEngine
from platformdirs import user_data_path

from llamaindex_sot.documents.embedding import PackagedEmbedding
from llamaindex_sot.documents.reading import SUFFIXES, read_chunks
from llamaindex_sot.documents.vectors import up_to_date
from llamaindex_sot.model_defaults import default_llm, is_packaged, named_llm
from llamaindex_sot.synthesizer import SkeletonOfThoughtSynthesizer
from skeleton_of_thought.errors import ConfigurationError

__all__ = ["CHUNK_TOKENS", "ask_folder", "cited_files", "folder_index", "named_llm"]

if TYPE_CHECKING:
    from llama_index.core.base.embeddings.base import BaseEmbedding
    from llama_index.core.base.response.schema import RESPONSE_TYPE
    from llama_index.core.llms import LLM

CHUNK_TOKENS = 64
"""Chunks are two or three sentences: one point of an answer, found and retold even by small models."""


def ask_folder(
    question: str,
    folder: str | Path,
    *,
    llm: LLM | None = None,
    chunks: int | None = None,
    storage: str | Path | None = None,
    streaming: bool = False,
    **options: Any,
) -> RESPONSE_TYPE:
    """Answer a question from the text, Markdown and PDF files of a folder, with citations.

    Args:
        question: The question.
        folder: Where the documents are; folders inside it are read too, hidden ones are not.
        llm: Writes the answer; see `SkeletonOfThoughtSynthesizer`.
        chunks: How many chunks of the documents the answer may use; None for 5 with the packaged model, which
            makes a point of each, and for 12 with any other.
        storage: Where the index is kept; None for a place of the user's own, one per folder.
        streaming: Return a `StreamingResponse`.
        **options: Further options of `SkeletonOfThoughtSynthesizer`.

    Returns:
        LlamaIndex's response. `response.metadata["sot"]` tells how the answer came about; `cited_files` tells
        which documents it cites.

    Raises:
        ConfigurationError: No such folder, or nothing to read in it.
        MissingExtraError: The extra `docs` is not installed.
    """
    index = folder_index(folder, storage=storage)
    llm = llm or default_llm()
    synthesizer = SkeletonOfThoughtSynthesizer(llm, streaming=streaming, **options)
    retriever = index.as_retriever(similarity_top_k=chunks or (5 if is_packaged(llm) else 12))
    return RetrieverQueryEngine(retriever, response_synthesizer=synthesizer).query(question)


def cited_files(response: RESPONSE_TYPE) -> dict[str, str]:
    """The documents an answer cites, by the number in its text: `{"1": "safety.pdf, page 2"}`."""
    nodes = {source.node.node_id: source.node.metadata for source in response.source_nodes}
    citations = (response.metadata or {}).get("sot", {}).get("citations", {})
    return {number: _place(nodes[node]) for number, node in citations.items()}


def _place(metadata: dict[str, Any]) -> str:
    page = metadata.get("page")
    return f"{metadata['source']}, page {page}" if page else str(metadata["source"])


def folder_index(
    folder: str | Path, *, embed_model: BaseEmbedding | None = None, storage: str | Path | None = None
) -> VectorStoreIndex:
    """The index of a folder's documents, brought up to date.

    The chunks are kept in Chroma under ids made of their place and their text. So what is kept says by itself
    what is missing: only chunks that are new or have changed are embedded, those that are gone are removed,
    and an update that was interrupted goes on where it stopped. Several processes may ask at once: the first
    one updates, the others wait for it.

    Args:
        folder: Where the documents are.
        embed_model: Embeds chunks and questions; None for the packaged all-MiniLM-L6-v2. An index is kept per
            model.
        storage: Where the index is kept; None for a place of the user's own, one per folder.

    Raises:
        ConfigurationError: No such folder, or nothing to read in it.
        MissingExtraError: The extra `docs` is not installed.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ConfigurationError(
            f"There is no folder {str(folder)!r}. Give a folder with {', '.join(SUFFIXES)} files."
        )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "IProgress not found")  # in Jupyter, tqdm's bars are text then
        return _index(folder, embed_model, storage)


def _index(folder: Path, embed_model: BaseEmbedding | None, storage: str | Path | None) -> VectorStoreIndex:
    chunks = read_chunks(folder, tokens=CHUNK_TOKENS)
    if not chunks:
        raise ConfigurationError(f"The folder {str(folder)!r} has no text in {', '.join(SUFFIXES)} files.")
    embed = embed_model or PackagedEmbedding()
    home = Path(storage) if storage is not None else _home(folder)
    kept = home / hashlib.sha256(embed.model_name.encode()).hexdigest()[:16]
    return VectorStoreIndex.from_vector_store(up_to_date(kept, chunks, embed), embed_model=embed)


def _home(folder: Path) -> Path:
    """Where the index of a folder is kept if nobody says where."""
    path = folder.resolve()
    digest = hashlib.sha256(str(path).encode()).hexdigest()[:16]
    return user_data_path("skeleton-of-thought") / "documents" / f"{path.name}-{digest}"
