"""The text of HTML pages, tables and Word documents, with the standard library."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from xml.parsers import expat

if TYPE_CHECKING:
    from collections.abc import Iterator

_UNSEEN = frozenset({"script", "style", "template", "noscript", "svg", "math", "iframe", "object"})
_BLOCKS = frozenset(
    re.findall(
        r"\w+",
        "address article aside blockquote body br caption dd div dl dt figcaption figure footer form h1 h2 h3 h4 h5 h6 "
        "header hr html li main nav ol option p pre section table td th title tr ul",
    )
)
_CHARSET = re.compile(rb"<meta[^>]{0,200}charset\s{0,9}=\s{0,9}[\"']?([\w-]{1,40})", re.IGNORECASE)
_BLANKS = re.compile(r"[^\S\n]+")
_SEVERAL_LINES = re.compile(r"\n\s*\n\s*|\n[^\S\n]+")
_LARGEST_XML = 30_000_000  # bytes


def charset_of(page: bytes) -> str | None:
    """The encoding an HTML page names for itself."""
    named = _CHARSET.search(page[:2048])
    return named[1].decode() if named else None


def html_text(page: str) -> str:
    """What a reader of an HTML page sees, a line for each block."""
    reader = _Page()
    reader.feed(page)
    reader.close()
    text = _BLANKS.sub(" ", "".join(reader.texts))
    return _SEVERAL_LINES.sub(lambda found: "\n\n" if found[0].count("\n") > 1 else "\n", text).strip()


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.texts: list[str] = []
        self._unseen = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: ARG002
        self._unseen += tag in _UNSEEN
        if tag in _BLOCKS:
            self.texts.append("\n" if tag in {"br", "td", "th", "tr", "li"} else "\n\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in _UNSEEN:
            self._unseen = max(0, self._unseen - 1)
        elif tag in _BLOCKS:
            self.texts.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._unseen:
            self.texts.append(data.replace("\n", " "))


def csv_text(table: str) -> str:
    """A table's rows as lines that can be understood alone: `Plant: leek; Sown: March`."""
    try:
        dialect: type[csv.Dialect] | csv.Dialect = csv.Sniffer().sniff(table[:4096], delimiters=",;\t|")
    except csv.Error:
        dialect = csv.excel
    rows = csv.reader(io.StringIO(table), dialect, doublequote=True)
    header = [cell.strip() for cell in next(rows, [])]
    lines = [_row(header, row) for row in rows]
    return "\n\n".join(line for line in lines if line) or "; ".join(header)


def _row(header: list[str], row: list[str]) -> str:
    cells = [(header[place] if place < len(header) else "", cell.strip()) for place, cell in enumerate(row)]
    return "; ".join(f"{name}: {cell}" if name else cell for name, cell in cells if cell)


def docx_text(data: bytes) -> str:
    """The paragraphs of a Word document, tables cell by cell.

    Raises:
        ValueError: It is no Word document, or unpacks to more than anybody wrote.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as parts, parts.open("word/document.xml") as part:
            xml = part.read(_LARGEST_XML + 1)
    except (zipfile.BadZipFile, KeyError, NotImplementedError, RuntimeError) as error:
        raise ValueError("it is no Word document, or it is protected") from error
    if len(xml) > _LARGEST_XML:
        raise ValueError(f"it unpacks to more than {_LARGEST_XML:,} bytes")
    lines = ("".join(_paragraph) for _paragraph in _paragraphs(xml))
    return "\n\n".join(line for line in lines if line.strip())


_TWICE = frozenset({"Fallback", "moveFrom"})
"""Elements of a Word document whose text stands somewhere else, too."""


def _paragraphs(xml: bytes) -> Iterator[list[str]]:
    paragraphs: list[list[str]] = [[]]
    open_ones = [paragraphs[0]]  # a text box has paragraphs of its own, inside of one
    within: list[str] = []

    def start(name: str, _attributes: dict[str, str]) -> None:
        within.append(name.rpartition(":")[2])
        if within[-1] == "p":
            paragraphs.append([])
            open_ones.append(paragraphs[-1])
        elif within[-1] in {"tab", "br", "cr"} and not _TWICE.intersection(within):
            open_ones[-1].append("\n" if within[-1] != "tab" else " ")

    def end(_name: str) -> None:
        if within.pop() == "p":
            open_ones.pop()

    def text(data: str) -> None:
        if within and within[-1] == "t" and not _TWICE.intersection(within):
            open_ones[-1].append(data)

    def refuse(*_: object) -> None:
        raise ValueError("it declares entities, which a Word document has no use for")

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    parser.EntityDeclHandler = refuse
    try:
        parser.Parse(xml, True)
    except expat.ExpatError as error:
        raise ValueError(f"its XML is damaged: {error}") from error
    yield from paragraphs
