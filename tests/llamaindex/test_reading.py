from __future__ import annotations

import errno
import io
import logging
import os
import sys
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from llamaindex_sot.documents import pdf
from llamaindex_sot.documents.encodings import UnknownEncodingError, clean, decode, shown
from llamaindex_sot.documents.files import find_files
from llamaindex_sot.documents.markup import csv_text, docx_text, html_text
from llamaindex_sot.documents.reading import read_chunks, read_documents
from skeleton_of_thought import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llamaindex_sot.documents.progress import Progress

GERMAN = "Für große Mengen genügt ein Behälter über 1 m³ – „so“."


def texts(folder: Path) -> list[str]:
    return [chunk.get_content() for chunk in read_chunks(folder, tokens=64).values()]


@pytest.mark.parametrize(
    ("encoding", "mark"),
    [
        ("utf-8", b""),
        ("utf-8", b"\xef\xbb\xbf"),
        ("utf-16", b""),
        ("utf-16-be", b"\xfe\xff"),
        ("utf-16-le", b""),
        ("utf-32", b""),
        ("cp1252", b""),
    ],
)
@pytest.mark.parametrize("suffix", [".txt", ".md", ".html", ".csv"])
def test_a_file_is_read_in_the_encoding_it_was_saved_in(tmp_path, caplog, encoding, mark, suffix):
    (tmp_path / f"a{suffix}").write_bytes(mark + GERMAN.encode(encoding))
    assert texts(tmp_path) == [GERMAN]
    assert ("is not UTF-8" in caplog.text) == (encoding == "cp1252")


@pytest.mark.parametrize(
    "data",
    [
        "堆肥需要空气和水。".encode("gb18030"),
        "Компост любит воздух.".encode("cp1251"),
        "土にミミズ".encode("shift_jis"),
        "ogród działkowy, łąka, źródło".encode("iso-8859-2"),
        b"\xff\xfea",
        b"GIF89a\0\0\1\0\xff\0\0\0",
    ],
)
def test_an_encoding_nobody_can_tell_is_named_not_guessed(tmp_path, caplog, data):
    (tmp_path / "a.txt").write_bytes(data)
    (tmp_path / "b.txt").write_text("Readable.")
    with pytest.raises(UnknownEncodingError):
        decode(data)
    assert texts(tmp_path) == ["Readable."]
    assert "a.txt cannot be read and is left out" in caplog.text


@pytest.mark.parametrize("text", [GERMAN, "Plain words.", "Компост любит воздух.", "堆肥需要空气和水。"])
def test_a_stray_zero_byte_is_no_other_encoding(text):
    data = text.encode() * 3
    assert decode(data + b"\0" + data) == (f"{text * 3}\0{text * 3}", "utf-8")


@pytest.mark.parametrize(
    "text",
    [
        "Компостированные удобрения обогащают почву.\n",
        "खादनिर्माण प्रतिदिन करनाचाहिए।\n",
        "コンポストには空気がひつようです。\n",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_alphabets_with_few_zero_bytes_are_still_read_as_utf_16(text, encoding):
    assert decode((text * 3).encode(encoding)) == (text * 3, encoding)


@pytest.mark.slow
def test_a_long_path_is_neither_split_nor_embedded_nor_printed(tmp_path, capsys):
    deep = tmp_path
    for name in (
        "Projekte 2025 – Abschlussberichte",
        "Ministerium für Umwelt und Naturschutz",
        "Arbeitspaket 07",
    ):
        deep /= name
        deep.mkdir()
    (deep / f"{'Zusammenfassung der Ergebnisse ' * 6}.md").write_text("Compost needs air and water. " * 24)
    (tmp_path / "short.md").write_text("Compost needs air and water. " * 24)
    chunks = list(read_chunks(tmp_path, tokens=64).values())
    assert len(chunks) == 6
    assert len({chunk.get_content() for chunk in chunks}) <= 2
    assert all("Projekte" not in chunk.get_content("embed") for chunk in chunks)
    assert capsys.readouterr().out == ""


def test_unseen_characters_and_halves_of_characters_do_not_get_through(tmp_path):
    assert clean("a\x1b[31mred\x07 \ud83d half\r\nline\x9b") == "a[31mred \ufffd half\nline"
    assert shown("a\x1b]0;b\udcff.md") == r"a\x1b]0;b\udcff.md"
    (tmp_path / "a\x1b[2J.md").write_bytes(b"\x1b[2Jtext")
    os.close(os.open(os.fsencode(tmp_path) + b"/b\xff.md", os.O_CREAT | os.O_WRONLY))
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/b\xff.md")).write_text("More.")
    documents = read_documents(tmp_path)
    assert [document.text for document in documents] == ["[2Jtext", "More."]
    assert [document.metadata["source"] for document in documents] == [r"a\x1b[2J.md", r"b\udcff.md"]
    assert [chunk.get_content() for chunk in read_chunks(tmp_path, tokens=64).values()] == [
        "[2Jtext",
        "More.",
    ]


def test_links_do_not_lead_out_of_the_folder(tmp_path, caplog):
    inside = tmp_path / "inside"
    (inside / "deep").mkdir(parents=True)
    (tmp_path / "secret.md").write_text("secret")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "secret.md").write_text("secret")
    (inside / "own.md").write_text("Own.")
    (inside / "link.md").symlink_to(tmp_path / "secret.md")
    (inside / "more").symlink_to(tmp_path / "more")
    (inside / "deep" / "again.md").symlink_to(inside / "own.md")
    (inside / "broken.md").symlink_to(tmp_path / "nothing.md")
    (tmp_path / "front").symlink_to(inside)
    for folder in (inside, tmp_path / "front"):
        caplog.clear()
        assert texts(folder) == ["Own."]
        assert "link.md is a link out of the folder" in caplog.text


def test_a_folder_that_may_not_be_entered_does_not_end_the_others(tmp_path, caplog, monkeypatch):
    (tmp_path / "closed").mkdir()
    for file in ("closed/a.md", "open.md"):
        (tmp_path / file).write_text("Text.")
    is_file = Path.is_file

    def refused(path: Path) -> bool:  # root, who runs tests, may enter every folder
        if path.parent.name == "closed":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return is_file(path)

    monkeypatch.setattr(Path, "is_file", refused)
    assert list(find_files(tmp_path).places) == ["open.md"]
    assert "closed/a.md cannot be read and is left out: Permission denied" in caplog.text


def test_other_kinds_are_counted_and_told(tmp_path, caplog):
    for name in ("a.md", "b.md", "c.pptx", "d.PPTX", "noise"):
        (tmp_path / name).write_text("Text.")
    (tmp_path / ".hidden").write_text("no")
    seen: list[Progress] = []
    with caplog.at_level(logging.INFO):
        read_documents(tmp_path, watch=seen.append)
    assert [(progress.done, progress.total) for progress in seen] == [(0, 2), (1, 2), (2, 2)]
    assert seen[-1].skipped == {".pptx": 2, "": 1}
    assert "2 .pptx" in caplog.text


def test_one_file_is_read_alone_and_a_kind_that_is_not_read_is_refused(tmp_path):
    (tmp_path / "a.md").write_text("Alone.")
    (tmp_path / "b.md").write_text("Not asked for.")
    (tmp_path / "c.pptx").write_text("No.")
    assert texts(tmp_path / "a.md") == ["Alone."]
    assert list(find_files(tmp_path / "a.md").places) == ["a.md"]
    with pytest.raises(ConfigurationError, match=r"c\.pptx.*\.docx"):
        read_documents(tmp_path / "c.pptx")


def test_html_is_what_a_reader_sees():
    page = (
        "<html><head><title>Beds &amp; bees</title><style>p{}</style><script>if (1<2) alert('x')</script></head><body>"
        "<p>One\nparagraph,<br>two <b>li</b>nes.</p><ul><li>First<li>Second</ul><table><tr><td>a<td>b</table>"
    )
    assert html_text(page) == "Beds & bees\n\nOne paragraph,\ntwo lines.\n\nFirst\nSecond\n\na\nb"


def test_tables_are_lines_that_can_be_understood_alone():
    assert csv_text("Plant;Sown\nleek;March\nkale;\n;\n") == "Plant: leek; Sown: March\n\nPlant: kale"
    assert csv_text('a,b\n"x, y",2,3\n') == "a: x, y; b: 2; 3"
    assert csv_text("") == ""


@pytest.mark.parametrize("rows", [1, 1000], ids=["at once", "far down"])
def test_a_quote_within_a_cell_is_doubled_and_ends_none(rows):
    rest = '"kale","wait"\n' * rows
    assert csv_text(f'Plant,Note\n{rest}"leek","say ""sow"", then wait"\n').endswith(
        'Plant: leek; Note: say "sow", then wait'
    )


def word(xml: str) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as parts:
        parts.writestr("word/document.xml", xml)
    return data.getvalue()


def test_word_documents_are_read_and_bombs_are_not(tmp_path, caplog, monkeypatch):
    paragraph = '<w:d xmlns:w="x"><w:p><w:r><w:t>Hello </w:t><w:t>all</w:t></w:r></w:p><w:p><w:t>Bye</w:t><w:tab/></w:p></w:d>'
    assert docx_text(word(paragraph)) == "Hello all\n\nBye "
    (tmp_path / "good.docx").write_bytes(word(paragraph))
    (tmp_path / "bad.docx").write_bytes(b"PK no zip")
    (tmp_path / "entities.docx").write_bytes(
        word('<!DOCTYPE d [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><d><p><t>&b;</t></p></d>')
    )
    monkeypatch.setattr("llamaindex_sot.documents.markup._LARGEST_XML", 1000)
    (tmp_path / "large.docx").write_bytes(word(paragraph.replace("Bye", "Bye" * 1000)))
    assert texts(tmp_path) == ["Hello all\n\nBye"]
    assert [
        name for name in ("bad", "entities", "large") if f"{name}.docx cannot be read" in caplog.text
    ] == [
        "bad",
        "entities",
        "large",
    ]


BOX = "<w:txbxContent><w:p><w:r><w:t>In the box</w:t></w:r></w:p></w:txbxContent>"


@pytest.mark.parametrize(
    ("inside", "text"),
    [
        (
            (
                f"<w:r><w:t>Before</w:t></w:r><w:r><mc:AlternateContent><mc:Choice>{BOX}</mc:Choice>"
                f"<mc:Fallback>{BOX}</mc:Fallback></mc:AlternateContent></w:r><w:r><w:t> and after</w:t></w:r>"
            ),
            "Before and after\n\nIn the box",
        ),
        (
            (
                "<w:moveFrom><w:r><w:t>Moved</w:t><w:br/></w:r></w:moveFrom><w:r><w:t>Here </w:t></w:r>"
                "<w:moveTo><w:r><w:t>Moved</w:t></w:r></w:moveTo>"
            ),
            "Here Moved",
        ),
        ("<w:del><w:r><w:delText>Gone</w:delText></w:r></w:del><w:r><w:t>Left</w:t></w:r>", "Left"),
    ],
    ids=["text box", "moved", "deleted"],
)
def test_what_a_word_document_holds_twice_is_read_once_and_in_its_place(inside, text):
    xml = f'<w:d xmlns:w="x" xmlns:mc="y"><w:p>{inside}</w:p><w:p><w:r><w:t>Next</w:t></w:r></w:p></w:d>'
    assert docx_text(word(xml)) == f"{text}\n\nNext"


def written_pdf(
    pages: list[int], streams: list[bytes], extra: Sequence[bytes] = (), unicode: dict[int, str] | None = None
):
    """A PDF whose pages draw these streams, by number; `extra` objects come behind the streams."""
    objects = [b"", b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica"]
    for stream in streams:
        packed = zlib.compress(stream)
        objects.append(
            b"<< /Length %d /Filter /FlateDecode >>\nstream\n%b\nendstream" % (len(packed), packed)
        )
    objects += extra
    if unicode is not None:
        lines = "\n".join(f"<{code:02X}> <{to}>" for code, to in unicode.items())
        cmap = (
            f"begincmap\n1 begincodespacerange\n<00> <FF>\nendcodespacerange\n{len(unicode)} beginbfchar\n{lines}\n"
            "endbfchar\nendcmap"
        ).encode()
        objects.append(b"<< /Length %d >>\nstream\n%b\nendstream" % (len(cmap), cmap))
        objects[1] += b" /ToUnicode %d 0 R" % len(objects)
    objects[1] += b" >>"
    resources = b"<< /Font << /F1 2 0 R >> /XObject << /Big %d 0 R >> >>" % (2 + len(streams) + len(extra))
    kids = []
    for number in pages:
        objects.append(
            b"<< /Type /Page /Parent 1 0 R /MediaBox [0 0 600 700] /Resources %b /Contents %d 0 R >>"
            % (resources, 3 + number)
        )
        kids.append(b"%d 0 R" % len(objects))
    objects[0] = b"<< /Type /Pages /Kids [%b] /Count %d >>" % (b" ".join(kids), len(kids))
    objects.append(b"<< /Type /Catalog /Pages 1 0 R >>")
    data, places = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, start=1):
        places.append(len(data))
        data += b"%d 0 obj\n%b\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    return (
        data
        + b"xref\n0 %d\n0000000000 65535 f \n%btrailer << /Size %d /Root %d 0 R >>\nstartxref\n%d\n%%%%EOF"
        % (
            len(objects) + 1,
            table,
            len(objects) + 1,
            len(objects),
            len(data),
        )
    )


def drawn(text: bytes, times: int = 1) -> bytes:
    return b"BT /F1 12 Tf 50 700 Td " + b"(%b) Tj 0 -14 Td\n" % text * times + b" ET"


def test_pages_of_a_pdf_and_half_characters(tmp_path):
    (tmp_path / "a.pdf").write_bytes(
        written_pdf([0, 1], [drawn(b"First page"), drawn(b"Second #")], unicode={0x23: "D83D"})
    )
    documents = read_documents(tmp_path)
    assert [document.metadata["page"] for document in documents] == ["1", "2"]
    assert documents[1].text.encode() == "Second \ufffd".encode()


@pytest.mark.slow
def test_a_small_pdf_of_many_heavy_pages_is_read_in_bounded_work(monkeypatch, caplog):
    monkeypatch.setattr(pdf, "_MOST_PER_PAGE", 20_000)
    monkeypatch.setattr(pdf, "_MOST_PER_FILE", 50_000)
    commands = 0

    def count(_frame, event, _arg):
        nonlocal commands
        commands += event == "call"

    def read(data: bytes) -> list[tuple[str, str]]:
        nonlocal commands
        commands = 0
        sys.setprofile(count)
        try:
            return pdf.pdf_pages(data, "a.pdf")
        finally:
            sys.setprofile(None)

    shared = written_pdf([0] * 300, [drawn(b"word", 10_000)])
    assert len(shared) < 60_000
    pages = read(shared)
    assert [label for label, _ in pages] == ["1"]
    assert 500 < pages[0][1].count("word") < 1_100
    assert "page 1 is read in part" in caplog.text
    most = commands

    form = zlib.compress(drawn(b"form", 500))
    big = b"<< /Type /XObject /Subtype /Form /Resources << /Font << /F1 2 0 R >> >> /Filter /FlateDecode /Length %d >>\n"
    big = big % len(form) + b"stream\n%b\nendstream" % form
    streams = [drawn(b"page %d" % number) + b" /Big Do" * 100 for number in range(300)]
    pages = read(written_pdf(list(range(300)), streams, [big]))
    assert 2 <= len(pages) <= 6
    assert pages[0][1].count("page 0") == 1
    assert 400 < pages[0][1].count("form") < 1_200
    assert "are not read" in caplog.text
    assert commands < 10 * most


def test_a_file_that_cannot_be_read_says_why(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr("llamaindex_sot.documents.reading._LARGEST_FILE", 100)
    (tmp_path / "a.txt").write_text("a" * 101)
    (tmp_path / "b.pdf").write_bytes(b"%PDF-1.4 not really")
    assert read_documents(tmp_path) == []
    assert (
        "a.txt cannot be read and is left out; it may be damaged: it has more than 100 bytes" in caplog.text
    )
    assert "b.pdf cannot be read" in caplog.text


@pytest.mark.slow
def test_a_very_long_text_is_split_in_pieces_and_its_end_left_out(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr("llamaindex_sot.documents.reading._LONGEST_TEXT", 60_000)
    (tmp_path / "a.txt").write_text("Slugs hide. " * 10_000)
    chunks = texts(tmp_path)
    assert 59_000 < sum(map(len, chunks)) <= 60_000
    assert all(chunk.strip(". ").startswith("Slugs") for chunk in chunks)
    assert "only the first 60000 characters" in caplog.text
