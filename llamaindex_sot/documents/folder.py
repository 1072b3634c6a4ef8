"""Answers from a folder of documents: read, embedded, kept in a vector database on disk, cited."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llama_index.core import VectorStoreIndex
from llama_index.core.query_engine import RetrieverQueryEngine

from llamaindex_sot.documents.embedding import PackagedEmbedding
from llamaindex_sot.documents.encodings import shown
from llamaindex_sot.documents.files import SUFFIXES
from llamaindex_sot.documents.places import index_place
from llamaindex_sot.documents.progress import Watch, nobody
from llamaindex_sot.documents.reading import read_chunks
from llamaindex_sot.documents.vectors import up_to_date
from llamaindex_sot.model_defaults import default_llm, is_packaged, named_llm
from llamaindex_sot.synthesizer import SkeletonOfThoughtSynthesizer
from skeleton_of_thought.errors import ConfigurationError

__all__ = ["CHUNK_TOKENS", "ask_folder", "cited_files", "folder_index", "given_files", "named_llm"]

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
    watch: Watch = nobody,
    **options: Any,
) -> RESPONSE_TYPE:
    """Answer a question from the documents of a folder, with citations.

    Args:
        question: The question.
        folder: Where the documents are (text, Markdown, PDF, Word, HTML, CSV): a folder, with those inside it but not
            hidden ones, or one file.
        llm: Writes the answer; see `SkeletonOfThoughtSynthesizer`.
        chunks: How many chunks of the documents the answer may use; None for 5 with the packaged model, which
            makes a point of each, and for 12 with any other.
        storage: Where the index is kept; None for a place of the user's own, one per folder.
        streaming: Return a `StreamingResponse`.
        watch: Told how many files are read and how many chunks embedded.
        **options: Further options of `SkeletonOfThoughtSynthesizer`.

    Returns:
        LlamaIndex's response. `response.metadata["sot"]` tells how the answer came about; `cited_files` tells
        which documents it cites.

    Raises:
        ConfigurationError: No such folder, or nothing to read in it.
        MissingExtraError: The extra `docs` is not installed.
    """
    index = folder_index(folder, storage=storage, watch=watch)
    llm = llm or default_llm()
    synthesizer = SkeletonOfThoughtSynthesizer(llm, streaming=streaming, **options)
    retriever = index.as_retriever(similarity_top_k=chunks or (5 if is_packaged(llm) else 12))
    return RetrieverQueryEngine(retriever, response_synthesizer=synthesizer).query(question)


def cited_files(response: RESPONSE_TYPE) -> dict[str, str]:
    """The documents an answer cites, by the number in its text: `{"1": "safety.pdf, page 2"}`."""
    nodes = {source.node.node_id: source.node.metadata for source in response.source_nodes}
    citations = (response.metadata or {}).get("sot", {}).get("citations", {})
    return {number: _place(nodes[node]) for number, node in citations.items()}


def given_files(response: RESPONSE_TYPE) -> list[str]:
    """The documents an answer was written from, whether it cites them or not, the best first."""
    return list(dict.fromkeys(_place(source.node.metadata) for source in response.source_nodes))


def _place(metadata: dict[str, Any]) -> str:
    page = metadata.get("page")
    return f"{metadata['source']}, page {page}" if page else str(metadata["source"])


def folder_index(
    folder: str | Path,
    *,
    embed_model: BaseEmbedding | None = None,
    storage: str | Path | None = None,
    watch: Watch = nobody,
) -> VectorStoreIndex:
    """The index of a folder's documents, brought up to date.

    The chunks are kept in Chroma under ids made of their place and their text. So what is kept says by itself
    what is missing: only chunks that are new or have changed are embedded, those that are gone are removed,
    and an update that was interrupted goes on where it stopped. Several processes may ask at once: the first
    one updates, the others wait for it.

    Args:
        folder: Where the documents are: a folder, or one file.
        embed_model: Embeds chunks and questions; None for the packaged all-MiniLM-L6-v2. An index is kept per
            model.
        storage: Where the index is kept; None for a place of the user's own, one per folder.
        watch: Told how many files are read and how many chunks embedded.

    Raises:
        ConfigurationError: No such folder, nothing to read in it, or the index cannot be kept.
        MissingExtraError: The extra `docs` is not installed.
    """
    where = Path(folder)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "IProgress not found")  # in Jupyter, tqdm's bars are text then
        return _index(where, embed_model, storage, watch)


def _index(
    where: Path, embed_model: BaseEmbedding | None, storage: str | Path | None, watch: Watch
) -> VectorStoreIndex:
    chunks = read_chunks(where, tokens=CHUNK_TOKENS, watch=watch)
    if not chunks:
        raise ConfigurationError(f"{shown(str(where))!r} has no text in {', '.join(SUFFIXES)} files.")
    embed = embed_model or PackagedEmbedding()
    place = index_place(where, embed.model_name, storage)
    try:
        vectors = up_to_date(place, chunks, embed, watch=watch)
    except OSError as error:
        raise ConfigurationError(
            f"The index in {str(place)!r} cannot be kept: {error}. It holds nothing but a copy: remove that "
            "folder, make room on its disk, or set XDG_DATA_HOME to another folder."
        ) from error
    return VectorStoreIndex.from_vector_store(vectors, embed_model=embed)
