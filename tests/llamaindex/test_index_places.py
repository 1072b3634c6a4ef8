from __future__ import annotations

import shutil
import stat
from typing import TYPE_CHECKING

import pytest

from llamaindex_sot.documents.folder import folder_index
from skeleton_of_thought import ConfigurationError

from .test_documents import WordEmbedding

if TYPE_CHECKING:
    from pathlib import Path

    from llamaindex_sot.documents.progress import Progress


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    documents = tmp_path / "documents"
    documents.mkdir()
    (documents / "a.md").write_text("A foxglove is poisonous.")
    (documents / "b.md").write_text("A bee drinks water.")
    return documents


def found(folder: Path, embed: WordEmbedding, storage: Path | None) -> list[str]:
    index = folder_index(folder, embed_model=embed, storage=storage)
    return [node.node.metadata["source"] for node in index.as_retriever(similarity_top_k=9).retrieve("bee")]


def nonsense(kept: Path) -> None:
    (kept / "vectors" / "chroma.sqlite3").write_bytes(b"no database at all" * 1000)


def half(kept: Path) -> None:
    database = kept / "vectors" / "chroma.sqlite3"
    database.write_bytes(database.read_bytes()[:8192])


def file(kept: Path) -> None:
    shutil.rmtree(kept / "vectors")
    (kept / "vectors").write_text("not a folder")


def vectors(kept: Path) -> None:
    for path in (kept / "vectors").rglob("*.bin"):
        path.write_bytes(b"\x07" * 100)


@pytest.mark.slow
@pytest.mark.parametrize("damage", [nonsense, half, file, vectors])
def test_a_damaged_index_is_made_again_and_its_place_is_said(folder, caplog, damage):
    embed, storage = WordEmbedding(embedded=[]), folder.parent / "index"
    assert found(folder, embed, storage) == ["b.md", "a.md"]
    (kept,) = storage.iterdir()
    damage(kept)
    again = WordEmbedding(embedded=[])
    assert found(folder, again, storage) == ["b.md", "a.md"]
    if again.embedded:
        assert f"the index in {kept} is damaged and is made again" in caplog.text
        assert len(again.embedded) == 2
    else:
        assert damage is vectors  # vectors this few stand in the database alone


def test_an_index_is_its_owners_alone(folder, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(folder.parent / "home"))
    found(folder, WordEmbedding(embedded=[]), None)
    home = folder.parent / "home" / "skeleton-of-thought" / "documents"
    folders = [home, *home.glob("*"), *home.glob("*/*")]
    assert len(folders) == 3
    assert {stat.S_IMODE(path.stat().st_mode) for path in folders} == {0o700}
    folders[2].chmod(0o755)
    found(folder, WordEmbedding(embedded=[]), None)
    assert stat.S_IMODE(folders[2].stat().st_mode) == 0o700


def test_a_home_that_cannot_be_written_is_replaced_for_this_run(folder, monkeypatch, caplog):
    home = folder.parent / "home"
    home.write_text("a file, where nobody can make folders")
    monkeypatch.setenv("XDG_DATA_HOME", str(home))
    assert found(folder, WordEmbedding(embedded=[]), None) == ["b.md", "a.md"]
    assert "XDG_DATA_HOME" in caplog.text
    assert str(home) in caplog.text
    again = WordEmbedding(embedded=[])
    assert found(folder, again, None) == ["b.md", "a.md"]
    assert again.embedded == []


def test_a_storage_that_cannot_be_written_is_an_error_with_its_name(folder):
    (folder.parent / "index").write_text("a file")
    with pytest.raises(ConfigurationError, match=r"index.*Choose another storage"):
        found(folder, WordEmbedding(embedded=[]), folder.parent / "index")


def test_progress_is_told_in_files_and_chunks(folder, monkeypatch):
    monkeypatch.setattr("llamaindex_sot.documents.vectors._AT_ONCE", 1)
    seen: list[Progress] = []
    embed = WordEmbedding(embedded=[])
    folder_index(folder, embed_model=embed, storage=folder.parent / "index", watch=seen.append)
    assert [(p.stage, p.done, p.total) for p in seen] == [
        ("reading", 0, 2),
        ("reading", 1, 2),
        ("reading", 2, 2),
        ("embedding", 0, 2),
        ("embedding", 1, 2),
        ("embedding", 2, 2),
    ]
