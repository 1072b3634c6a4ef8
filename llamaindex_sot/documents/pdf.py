"""The text of a PDF, page by page, with a bound on the work a small file can ask for."""

from __future__ import annotations

import hashlib
import io
import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from skeleton_of_thought.errors import require

if TYPE_CHECKING:
    from collections.abc import Iterator

logger = logging.getLogger(__name__)

_MOST_PER_PAGE = 500_000
"""Bytes of drawing commands of a page; a page of nothing but text has some 10,000."""
_MOST_PER_FILE = 10_000_000
_LEAST_PER_PAGE = 1_000
_DRAWN_PER_COMPARED = 100
"""How many bytes can be compared with another page in the time in which one is drawn."""


class _TooLongError(Exception):
    """A page asks for more work than a document does."""


def pdf_pages(data: bytes, name: str) -> list[tuple[str, str]]:
    """The pages of a PDF as pairs of page label and text.

    A PDF of 10 kB can have hundreds of pages that all draw the same megabytes, and a form may be drawn any number of
    times. So a page that is drawn exactly like one before it is read once, of a page with very many drawing commands
    only the first are read, and reading ends where a file goes beyond what documents are; all this is logged.

    Args:
        data: The file.
        name: What to call it in the log.

    Raises:
        Exception: pypdf cannot read it, for one of many reasons.
        MissingExtraError: pypdf is not installed.
    """
    pypdf = require("pypdf", extra="docs", needed_for="Reading PDF files")
    with _quiet_pypdf():
        reader = pypdf.PdfReader(io.BytesIO(data))
        labels = reader.page_labels
        texts: list[tuple[str, str]] = []
        seen: set[bytes] = set()
        left = _MOST_PER_FILE
        for label, page in zip(labels, reader.pages, strict=False):
            if left <= 0:
                logger.warning(
                    "%s: page %s and those behind it are not read, there is too much in them", name, label
                )
                break
            drawing = _Drawing(page, min(left, _MOST_PER_PAGE))
            if drawing.digest not in seen:
                seen.add(drawing.digest)
                texts.append((label, drawing.text()))
                if drawing.cut:
                    logger.warning("%s: page %s is read in part, there is too much on it", name, label)
            left -= drawing.spent
    return texts


class _Drawing:
    """What a page draws, up to a number of bytes; forms count as often as they are drawn.

    Attributes:
        digest: Tells this drawing from others.
        cut: Whether there is more than that.
        spent: How many bytes have been read.
    """

    def __init__(self, page: Any, most: int) -> None:
        self._page = page
        self._forms: dict[str, int] | None = None
        self._pieces: list[str] = []
        contents = page.get("/Contents")
        data = _data_of(contents.get_object()) if contents is not None else b""
        resources = page.raw_get("/Resources") if "/Resources" in page else None
        self.digest = hashlib.sha256(data + repr(resources).encode("utf-8", "replace")).digest()
        self.cut = len(data) > most
        self.spent = max(_LEAST_PER_PAGE, len(data) // _DRAWN_PER_COMPARED)
        self._drawn = min(len(data), most)
        self._room = most - self._drawn
        if self.cut:
            generic = require("pypdf.generic", extra="docs", needed_for="Reading PDF files")
            beginning = generic.DecodedStreamObject()
            beginning.set_data(data[: data.rfind(b"\n", 0, most) + 1 or data.rfind(b" ", 0, most) + 1])
            page[generic.NameObject("/Contents")] = beginning

    def text(self) -> str:
        """The text of what is drawn."""
        self.spent += self._drawn
        try:
            text: str = self._page.extract_text(visitor_operand_before=self._visit, visitor_text=self._hear)
        except _TooLongError:
            self.cut = True
            return "".join(self._pieces)
        return text

    def _hear(self, text: str, *_: Any) -> None:
        self._pieces.append(text)

    def _visit(self, operator: bytes, operands: Any, *_: Any) -> None:
        if operator != b"Do" or not operands:
            return
        if self._forms is None:
            self._forms = _forms_of(self._page)
        size = self._forms.get(str(operands[0]), 0)
        self.spent += size
        self._room -= size
        if self._room < 0:
            raise _TooLongError


def _data_of(contents: Any) -> bytes:
    """The drawing commands of a page, which may be one stream or several."""
    if isinstance(contents, list):
        return b"\n".join(part.get_object().get_data() for part in contents)
    data: bytes = contents.get_data() if hasattr(contents, "get_data") else b""
    return data


def _forms_of(page: Any) -> dict[str, int]:
    """The sizes of the forms a page can draw, those inside other forms included, by their names."""
    sizes: dict[str, int] = {}
    todo, known = [page], set()
    while todo:
        resources = _resolved(todo.pop().get("/Resources")) or {}
        for name, reference in (_resolved(resources.get("/XObject")) or {}).items():
            form = _resolved(reference)
            if id(form) in known or form is None or form.get("/Subtype") != "/Form":
                continue
            known.add(id(form))
            sizes[str(name)] = max(sizes.get(str(name), 0), len(form.get_data()))
            todo.append(form)
    return sizes


def _resolved(value: Any) -> Any:
    return value.get_object() if value is not None else None


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
