"""GGUF files: the models other tools leave on people's disks, in the precision the file has."""

from __future__ import annotations

import contextlib
import io
import struct
import sys
from functools import lru_cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
from transformers.utils import logging as transformers_logging

from skeleton_of_thought.decoding.quantized import quantize_model
from skeleton_of_thought.decoding.quiet import quiet
from skeleton_of_thought.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from skeleton_of_thought.decoding.quantized import Precision

_TYPE, _PARTS = "general.file_type", "split.count"
_FLOAT_TYPES = {0, 1, 32}  # float32, float16, bfloat16


def is_gguf(name: str) -> bool:
    """Whether a model's name is that of a GGUF file."""
    return name.lower().endswith(".gguf")


def read_gguf(file: Path, dtype: torch.dtype) -> tuple[Any, Any]:
    """A GGUF file's model with its weights as numbers, and its tokenizer with its chat template.

    While the weights are read, a terminal sees transformers' progress bar.

    Raises:
        ConfigurationError: There is no such file, it is none or not whole, or transformers cannot read its
            architecture.
    """
    if not file.is_file():
        raise ConfigurationError(
            f"There is no file {str(file)!r}. Give the path of a GGUF file, a folder, or a Hub id."
        )
    if (parts := parts_of(file)) > 1:
        raise ConfigurationError(
            f"{str(file)!r} is one of {parts} parts of a model. Join them first: llama-gguf-split --merge FIRST JOINED."
        )
    try:
        with _bars_on_terminals_only():
            model, found = AutoModelForCausalLM.from_pretrained(
                file.parent,
                gguf_file=file.name,
                dtype=dtype,
                quantization_config=GgufConfig(dequantize=True),
                output_loading_info=True,
            )
            tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    except Exception as error:
        raise ConfigurationError(
            f"transformers {version('transformers')} cannot read {str(file)!r}: {error} "
            "Give a folder or a Hub id of the same model, or a file of an architecture it reads."
        ) from error
    if missing := sorted(found["missing_keys"]):
        raise ConfigurationError(
            f"{str(file)!r} lacks {len(missing)} weights of its model, such as {missing[0]}. Give a whole file."
        )
    return model.eval(), tokenizer


def quantized_gguf(file: Path, precision: Precision) -> tuple[Any, Any]:
    """A GGUF file's model in 4 and 8 bits, and its tokenizer.

    `"file"` keeps what torch's kernels can hold: Q4_0, Q4_1 and Q4_K weights keep their 4 bits and Q8_0 its 8,
    nothing is rounded; Q5 and Q6 become 8 bits in groups of 32, which moves a weight by at most 1/254 of its
    group's largest. Needs memory for the weights in float32, once.
    """
    model, tokenizer = read_gguf(file, torch.float32)
    quantize_model(model, precision)
    return model, tokenizer


def has_float_weights(file: Path) -> bool:
    """Whether a file's weights are not quantised: then there is no precision of its own to keep."""
    return _numbers(file)[_TYPE] in _FLOAT_TYPES


def parts_of(file: Path) -> int:
    """Into how many files a model was split, of which this is one."""
    return _numbers(file)[_PARTS] or 1


def _numbers(file: Path) -> Mapping[str, int | None]:
    """What is wanted of a file's metadata; None for what is not there.

    Raises:
        ConfigurationError: The file is no GGUF file, or broken off.
    """
    try:
        return _read_numbers(file, file.stat().st_mtime_ns)
    except (OSError, ValueError, LookupError, struct.error) as error:
        raise ConfigurationError(
            f"{str(file)!r} is not a GGUF file: {error}. Give another one, or download it again."
        ) from error


@lru_cache(maxsize=8)
def _read_numbers(file: Path, _changed: int) -> Mapping[str, int | None]:
    """Read once as long as the file does not change: a vocabulary makes it a matter of seconds."""
    from gguf import GGUFReader

    fields = {name: reader.get_field(name) for reader in [GGUFReader(file)] for name in (_TYPE, _PARTS)}
    return {name: None if field is None else int(field.contents()) for name, field in fields.items()}


@contextlib.contextmanager
def _bars_on_terminals_only() -> Any:
    """Let a terminal only see transformers' bar: it writes a progress bar that its own switch does not reach."""
    if sys.stderr is not None and sys.stderr.isatty() and transformers_logging.is_progress_bar_enabled():
        yield
        return
    with quiet(), contextlib.redirect_stderr(io.StringIO()):
        yield
