"""The documents of a folder, and the chunks they are split into."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING

from llama_index.core import Document
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.schema import TextNode

from llamaindex_sot.documents.encodings import clean, decode, shown
from llamaindex_sot.documents.files import find_files
from llamaindex_sot.documents.markup import charset_of, csv_text, docx_text, html_text
from llamaindex_sot.documents.pdf import pdf_pages
from llamaindex_sot.documents.progress import Progress, Watch, nobody
from skeleton_of_thought.errors import MissingExtraError

if TYPE_CHECKING:
    from pathlib import Path

    from llama_index.core.schema import BaseNode

logger = logging.getLogger(__name__)

_LARGEST_FILE = 100_000_000  # bytes
_LONGEST_TEXT = 5_000_000
"""Characters of a file that are read, the length of ten thick books; more would be embedded for hours."""
_LONGEST_PIECE = 20_000
"""Characters that are split into sentences at a time: LlamaIndex's splitter is slow where there are none."""
_LONGEST_NAME = 60
"""Characters of a file's name that are embedded with each of its chunks."""
_PLAIN = ("utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")


def read_documents(where: Path, *, watch: Watch = nobody) -> list[Document]:
    """Read the files of a folder and of the folders inside it, or one file; a PDF is one document per page.

    A file that cannot be read is logged and left out.

    Args:
        where: The folder, or one file.
        watch: Told of every file.

    Raises:
        ConfigurationError: There is no such folder or file, or a file is no document.
        MissingExtraError: There are PDF files, and pypdf is not installed.
    """
    files = find_files(where)
    documents: list[Document] = []
    for done, (place, file) in enumerate(files.places.items()):
        watch(Progress("reading", done, len(files.places), files.skipped))
        documents += _read(file, place)
    watch(Progress("reading", len(files.places), len(files.places), files.skipped))
    if files.skipped:
        kinds = ", ".join(
            f"{count} {suffix or 'without a suffix'}" for suffix, count in files.skipped.items()
        )
        logger.info("files of kinds that are not read: %s", kinds)
    return documents


def read_chunks(where: Path, *, tokens: int, watch: Watch = nobody) -> dict[str, BaseNode]:
    """The documents of a folder in chunks of whole sentences.

    Args:
        where: Where the documents are: a folder, or one file.
        tokens: The longest chunk.
        watch: Told of every file.

    Returns:
        The chunks by their ids. An id is made of the document, the page and the text, so that the same text in
        the same place has the same id the next time.
    """
    splitter = SentenceSplitter(chunk_size=tokens, chunk_overlap=0)
    seen: Counter[str] = Counter()
    chunks: dict[str, BaseNode] = {}
    for document in read_documents(where, watch=watch):
        for text in _pieces(document.text):
            for part in splitter.split_text(text):
                what = "\n".join((document.metadata["source"], document.metadata["page"], part))
                seen[what] += 1
                key = hashlib.sha256(f"{seen[what]}\n{what}".encode()).hexdigest()[:32]
                chunks[key] = _chunk(key, part, document)
    return chunks


def _read(file: Path, place: str) -> list[Document]:
    """The parts of one file; none if it cannot be read, which is logged."""
    try:
        parts = _parts(file, place)
    except MissingExtraError:
        raise
    except Exception as error:
        why = " ".join(shown(str(error)).split())[:200] or type(error).__name__
        logger.warning("%s cannot be read and is left out; it may be damaged: %s", shown(str(file)), why)
        logger.debug("reading %s", shown(str(file)), exc_info=True)
        return []
    left = _LONGEST_TEXT
    documents = []
    for number, (page, text) in enumerate(parts):
        if len(text) > left:
            logger.warning("%s: only the first %d characters are read", shown(str(file)), _LONGEST_TEXT)
        readable = clean(text[:left]).strip()
        left -= min(left, len(text))
        if readable:
            documents.append(_document(readable, place, page, number))
    return documents


def _parts(file: Path, place: str) -> list[tuple[str, str]]:
    """The text of a file, as pairs of page (empty where there are none) and text."""
    with file.open("rb") as opened:
        data = opened.read(_LARGEST_FILE + 1)
    if len(data) > _LARGEST_FILE:
        raise ValueError(f"it has more than {_LARGEST_FILE:,} bytes")
    match file.suffix.lower():
        case ".pdf":
            return pdf_pages(data, place)
        case ".docx":
            return [("", docx_text(data))]
        case ".html" | ".htm":
            return [("", html_text(_html(data, file)))]
        case ".csv":
            return [("", csv_text(_decoded(data, file)))]
        case _:
            return [("", _decoded(data, file))]


def _html(data: bytes, file: Path) -> str:
    charset = charset_of(data)
    if charset is not None:
        try:
            return data.decode(charset)
        except (LookupError, UnicodeDecodeError):
            pass  # pages often name another encoding than the one they are saved in
    return _decoded(data, file)


def _decoded(data: bytes, file: Path) -> str:
    text, encoding = decode(data)
    if encoding not in _PLAIN:
        logger.warning(
            "%s is not UTF-8 and is read as %s; save it as UTF-8 if that is wrong", shown(str(file)), encoding
        )
    return text


def _document(text: str, place: str, page: str, number: int) -> Document:
    """A part of a file with what an answer needs to know: where it stands, and nothing that changes by itself.

    The path is neither shown to the model nor embedded: it can be longer than a chunk. The file's name is embedded.
    """
    return Document(
        id_=f"{place}#{number}",
        text=text,
        metadata={"source": place, "page": clean(page), "file": place.rpartition("/")[2][:_LONGEST_NAME]},
        excluded_llm_metadata_keys=["source", "page", "file"],
        excluded_embed_metadata_keys=["source", "page"],
    )


def _chunk(key: str, text: str, document: Document) -> TextNode:
    """A part of a document that is found, given and cited."""
    return TextNode(
        id_=key,
        text=text,
        metadata=document.metadata,
        excluded_llm_metadata_keys=document.excluded_llm_metadata_keys,
        excluded_embed_metadata_keys=document.excluded_embed_metadata_keys,
    )


def _pieces(text: str) -> list[str]:
    """A long text in pieces, cut between paragraphs, lines, sentences or words where there are any."""
    cuts = [0]
    while len(text) - cuts[-1] > _LONGEST_PIECE:
        start, end = cuts[-1] + _LONGEST_PIECE // 2, cuts[-1] + _LONGEST_PIECE
        found = (text.rfind(mark, start, end) for mark in ("\n\n", "\n", ". ", " "))
        cuts.append(next((place + 1 for place in found if place > 0), end))
    return [text[start:end] for start, end in pairwise([*cuts, len(text)])]
