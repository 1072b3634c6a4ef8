"""The documents of a folder, as LlamaIndex's readers see them."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

from llama_index.core import Document, SimpleDirectoryReader
from llama_index.core.node_parser import SentenceSplitter

from skeleton_of_thought.errors import require

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from llama_index.core.schema import BaseNode

logger = logging.getLogger(__name__)

SUFFIXES = (".md", ".pdf", ".txt")


def read_documents(folder: Path) -> list[Document]:
    """Read the files of a folder and of the folders inside it; a PDF is one document per page.

    A file that cannot be read is logged and left out.
    """
    with _root_logger_kept():
        require("llama_index.readers.file", extra="docs", needed_for="Reading documents")
    documents: list[Document] = []
    for file in sorted(folder.rglob("*")):
        place = file.relative_to(folder)
        hidden = any(part.startswith(".") for part in place.parts)
        if file.suffix.lower() in SUFFIXES and file.is_file() and not hidden:
            documents += _read(file, place.as_posix())
    return documents


def read_chunks(folder: Path, *, tokens: int) -> dict[str, BaseNode]:
    """The documents of a folder in chunks of whole sentences.

    Args:
        folder: Where the documents are.
        tokens: The longest chunk.

    Returns:
        The chunks by their ids. An id is made of the document, the page and the text, so that the same text in
        the same place has the same id the next time.
    """
    splitter = SentenceSplitter(chunk_size=tokens, chunk_overlap=0, include_prev_next_rel=False)
    seen: Counter[str] = Counter()
    chunks: dict[str, BaseNode] = {}
    for chunk in splitter.get_nodes_from_documents(read_documents(folder)):
        what = "\n".join((chunk.metadata["source"], chunk.metadata["page"], chunk.get_content()))
        seen[what] += 1
        chunk.id_ = hashlib.sha256(f"{seen[what]}\n{what}".encode()).hexdigest()[:32]
        chunks[chunk.id_] = chunk
    return chunks


@contextmanager
def _root_logger_kept() -> Iterator[None]:
    """Undo what an import does to the root logger: one of the readers would have it print every INFO."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)


@contextmanager
def _quiet_pypdf() -> Iterator[None]:
    """Keep what pypdf says of every oddity of a file to itself; whether it can be read is what matters."""
    pypdf = logging.getLogger("pypdf")
    level = pypdf.level
    pypdf.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        pypdf.setLevel(level)


def _read(file: Path, place: str) -> list[Document]:
    reader = SimpleDirectoryReader(input_files=[file], exclude_hidden=False, raise_on_error=True)
    try:
        with _quiet_pypdf():
            parts = reader.load_data()
    except Exception:
        logger.warning("%s cannot be read and is left out; it may be damaged", file)
        logger.debug("reading %s", file, exc_info=True)
        return []
    return [_document(part, place, number) for number, part in enumerate(parts) if part.text.strip()]


def _document(part: Document, place: str, number: int) -> Document:
    """A part of a file with what an answer needs to know: where it stands, and nothing that changes by itself."""
    return Document(
        id_=f"{place}#{number}",
        text=part.text.strip(),
        metadata={"source": place, "page": str(part.metadata.get("page_label", ""))},
        excluded_llm_metadata_keys=["source", "page"],
        excluded_embed_metadata_keys=["page"],
    )
