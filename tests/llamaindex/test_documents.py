from __future__ import annotations

import logging
import math
import shutil
import subprocess
import sys
from pathlib import Path

import filelock
import pytest
from llama_index.core.base.embeddings.base import BaseEmbedding

from llamaindex_sot import TransformersLLM
from llamaindex_sot.documents import vectors
from llamaindex_sot.documents.embedding import LONGEST, PackagedEmbedding
from llamaindex_sot.documents.folder import ask_folder, cited_files, folder_index
from llamaindex_sot.documents.reading import read_documents
from skeleton_of_thought import ConfigurationError, MissingExtraError
from skeleton_of_thought.routing import sentences

from .fakes import ChatLLM

DOCUMENTS = Path(__file__).parents[2] / "cookbook" / "documents"
TOPICS = ["compost", "water", "foxglove", "novelty", "slug", "bee"]


class WordEmbedding(BaseEmbedding):
    """How often each topic is named; and which texts it was asked to embed."""

    model_name: str = "words"
    embedded: list[str] = []  # noqa: RUF012 - a pydantic field

    def _vector(self, text: str) -> list[float]:
        counts = [float(text.lower().count(topic)) for topic in TOPICS] + [0.1]
        return [count / math.hypot(*counts) for count in counts]

    def _get_text_embedding(self, text: str) -> list[float]:
        self.embedded.append(text)
        return self._vector(text)

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._vector(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._vector(query)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(DOCUMENTS, tmp_path / "documents"))


def best(folder: Path, question: str, embed: BaseEmbedding) -> tuple[str, str]:
    index = folder_index(folder, embed_model=embed, storage=folder.parent / "index")
    found = index.as_retriever(similarity_top_k=1).retrieve(question)[0].node
    return found.metadata["source"], found.get_content()


def everything(folder: Path, embed: BaseEmbedding) -> list[tuple[str, str]]:
    index = folder_index(folder, embed_model=embed, storage=folder.parent / "index")
    found = index.as_retriever(similarity_top_k=500).retrieve("bee")
    return [(chunk.node.metadata["source"], chunk.node.get_content()) for chunk in found]


def test_an_index_survives_and_is_updated_not_rebuilt(folder):
    embed = WordEmbedding(embedded=[])
    source, text = best(folder, "foxglove", embed)
    assert source == "safety.pdf"
    assert "Foxglove" in text
    assert len(embed.embedded) > 30
    restarted = WordEmbedding(embedded=[])
    assert best(folder, "foxglove", restarted) == (source, text)
    assert restarted.embedded == []

    (folder / "new.txt").write_text("The novelty is here.")
    (folder / "compost.md").write_text("Nothing about it any more.")
    (folder / "bees_and_wildlife.md").unlink()
    (folder / "soil.md").write_text("A foreword.\n\n" + (folder / "soil.md").read_text())
    assert best(folder, "novelty", restarted) == ("new.txt", "The novelty is here.")
    assert 3 <= len(restarted.embedded) <= 5
    kept = everything(folder, restarted)
    assert {source for source, _ in kept} == {file.name for file in folder.iterdir()}
    assert [text for source, text in kept if source == "compost.md"] == ["Nothing about it any more."]
    assert len(kept) == len(set(kept))


def test_processes_in_between_see_the_same_index(folder):
    embed = WordEmbedding(embedded=[])
    here = everything(folder, embed)
    elsewhere = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, str(folder), str(folder.parent / "index")],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert elsewhere.stdout.split() == ["1", str(len(here) + 1)]
    assert elsewhere.stderr == ""
    assert len(everything(folder, embed)) == len(here) + 1
    assert len(embed.embedded) == len(here)


ELSEWHERE = """
import sys
from pathlib import Path
from llama_index.core import MockEmbedding
from llamaindex_sot.documents.folder import folder_index

class Counting(MockEmbedding):
    embedded: int = 0
    def _get_text_embedding(self, text):
        self.embedded += 1
        return [1.0] * self.embed_dim

folder, storage = map(Path, sys.argv[1:])
(folder / "new.txt").write_text("The novelty is here.")
embed = Counting(embed_dim=7, model_name="words")
index = folder_index(folder, embed_model=embed, storage=storage)
print(embed.embedded, len(index.as_retriever(similarity_top_k=500).retrieve("bee")))
"""


def test_an_interrupted_update_goes_on_where_it_stopped(folder, monkeypatch):
    monkeypatch.setattr("llamaindex_sot.documents.vectors._AT_ONCE", 10)

    class Broken(WordEmbedding):
        def _get_text_embedding(self, text: str) -> list[float]:
            if "Okafor" in text:
                raise RuntimeError("power cut")
            return super()._get_text_embedding(text)

    broken, embed = Broken(embedded=[]), WordEmbedding(embedded=[])
    with pytest.raises(RuntimeError, match="power cut"):
        best(folder, "foxglove", broken)
    kept = everything(folder, embed)
    assert len(kept) == len(set(kept)) > 30
    assert 0 < len(embed.embedded) < len(kept)
    assert not set(embed.embedded) & set(broken.embedded[: len(kept) - len(embed.embedded)])


def test_waiting_for_another_process_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(vectors, "_MOMENT", 0.0)
    other = filelock.FileLock(tmp_path / "lock")
    other.acquire()
    told: list[str] = []

    class Releasing(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told.append(record.getMessage())
            other.release()

    handler = Releasing()
    vectors.logger.addHandler(handler)
    try:
        with vectors._turn(filelock, tmp_path / "lock"):
            assert told == [f"waiting for another process that uses the index in {tmp_path}"]
    finally:
        vectors.logger.removeHandler(handler)


def test_what_is_read_and_what_is_not(folder, caplog):
    (folder / ".hidden.md").write_text("secret")
    (folder / "deep").mkdir()
    (folder / "deep" / "leaf.TXT").write_text("A leaf.")
    (folder / "image.png").write_bytes(b"no text")
    (folder / "empty.md").write_text("  \n")
    (folder / "broken.pdf").write_bytes(b"%PDF-1.4 not really")
    handlers = list(logging.getLogger().handlers)
    with caplog.at_level(logging.WARNING):
        documents = read_documents(folder)
    places = [(document.metadata["source"], document.metadata["page"]) for document in documents]
    assert ("deep/leaf.TXT", "") in places
    assert [page for source, page in places if source == "safety.pdf"] == ["1", "2"]
    assert not {"image.png", ".hidden.md", "empty.md", "broken.pdf"} & {source for source, _ in places}
    (warning,) = caplog.messages
    assert "broken.pdf cannot be read" in warning
    assert logging.getLogger("pypdf").level == logging.NOTSET
    assert logging.getLogger().handlers == handlers
    assert len({document.id_ for document in documents}) == len(documents)


@pytest.mark.parametrize(("name", "says"), [("nowhere", "There is no folder"), ("empty", "has no text")])
def test_folders_without_documents_are_refused(tmp_path, name, says):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigurationError, match=says):
        ask_folder("How?", tmp_path / name, llm=ChatLLM(), storage=tmp_path / "index")


def test_the_packaged_embedding_knows_what_is_alike():
    embed = PackagedEmbedding()
    question = embed.get_query_embedding("How do I keep snails off my lettuce?")
    near, far = embed.get_text_embedding_batch(
        ["Collect slugs in the evening.", "The fee is due in February."]
    )
    assert embed.similarity(question, near) > embed.similarity(question, far) + 0.2
    assert len(near) == 384
    assert sum(value * value for value in near) == pytest.approx(1, abs=1e-4)


def test_the_packaged_embedding_reads_a_text_to_its_longest_and_not_the_end_of_a_longer_one():
    embed = PackagedEmbedding()
    start = "tea " * (LONGEST - 2)  # and the two tokens at both ends
    first, second, shorter = embed.get_text_embedding_batch(
        [start + "eat.", start + "fee", start[:-4] + "fee"]
    )
    assert first == pytest.approx(second, abs=1e-6)
    assert first != pytest.approx(shorter, abs=1e-3)


def test_what_the_packaged_embedding_needs_is_named(monkeypatch):
    monkeypatch.setattr(sentences, "PACKAGED_MODEL", "gt_not_there")
    with pytest.raises(MissingExtraError, match=r"embedding model needs gt_not_there.*\[docs\]"):
        PackagedEmbedding()


async def test_the_packaged_models_answer_from_the_folder_and_cite_the_right_documents(tmp_path):
    response = ask_folder(
        "How do members keep slugs and other pests away?",
        DOCUMENTS,
        llm=TransformersLLM(temperature=0),
        storage=tmp_path,
        streaming=True,
    )
    text = "".join(response.response_gen)
    points = response.metadata["sot"]["points"]
    files = cited_files(response)
    assert len([point for point in points if point["status"] == "ok"]) >= 3
    right = [file for file in files.values() if file in {"pests.md", "bees_and_wildlife.md"}]
    assert len(right) > len(points) / 2
    assert all(f"[{number}]" in text for number in files)
    assert response.metadata["sot"]["removed_citations"] <= 1
