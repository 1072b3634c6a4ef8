"""A quantised model in a folder: written once, loaded in a second."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from skeleton_of_thought.decoding.quantized import bits_of, prepare_empty, retie

if TYPE_CHECKING:
    from pathlib import Path

    import torch

_WEIGHTS, _BITS = "quantized.safetensors", "bits.json"


def save_quantized(model: Any, tokenizer: Any, folder: Path) -> None:
    """Write a model that `quantize_model` made, and its tokenizer, into an existing folder.

    What head and embedding have in common is written once.
    """
    from safetensors.torch import save_file

    state: dict[str, torch.Tensor] = {}
    seen: set[int] = set()
    for name, tensor in model.state_dict().items():
        if tensor.data_ptr() not in seen:
            state[name] = tensor.contiguous()
            seen.add(tensor.data_ptr())
    save_file(state, folder / _WEIGHTS)
    (folder / _BITS).write_text(json.dumps(bits_of(model)))
    config = model.config.to_dict()
    config.pop("quantization_config", None)
    (folder / "config.json").write_text(json.dumps(type(model.config).from_dict(config).to_dict()))
    model.generation_config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def load_quantized(folder: Path, dtype: torch.dtype) -> tuple[Any, Any]:
    """The model and the tokenizer that were saved in a folder.

    Args:
        folder: The folder.
        dtype: Of everything that is not quantised, and of what the layers compute.
    """
    from accelerate import init_empty_weights
    from safetensors.torch import load_file
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig

    with init_empty_weights():
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder), dtype=dtype)
    prepare_empty(model, json.loads((folder / _BITS).read_text()), dtype)
    whole = {"codes", "scale", "minimum"}
    state = {
        name: tensor if name.rsplit(".", 1)[-1] in whole else tensor.to(dtype)
        for name, tensor in load_file(folder / _WEIGHTS).items()
    }
    model.load_state_dict(state, strict=False, assign=True)
    retie(model)
    missing = [name for name, tensor in model.state_dict().items() if tensor.device.type == "meta"]
    if missing:
        raise ValueError(f"{folder} lacks the weights {', '.join(missing[:3])}")
    model.generation_config = GenerationConfig.from_pretrained(folder)
    return model.eval(), AutoTokenizer.from_pretrained(folder)
