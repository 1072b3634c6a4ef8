"""Weights in 4 and 8 bits: what is carried over, what is rounded, and that a batch does not change a text."""

from __future__ import annotations

import copy
import platform
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType
from gguf.quants import dequantize as gguf_dequantize
from gguf.quants import quantize as gguf_quantize
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

from skeleton_of_thought.decoding import Engine, GenerationRequest
from skeleton_of_thought.decoding.packed_groups import PackedGroups, few_rows, has_kernel
from skeleton_of_thought.decoding.products import product_of
from skeleton_of_thought.decoding.quantized import (
    QuantizedEmbedding,
    QuantizedLinear,
    bits_of,
    dequantize,
    quantize,
    quantize_model,
)
from skeleton_of_thought.decoding.stored import load_quantized, save_quantized
from skeleton_of_thought.decoding.view import ModelView

needs_kernel = pytest.mark.skipif(not has_kernel(), reason="this build of torch has no 4-bit kernel")

SHAPE: dict[str, Any] = {
    "vocab_size": 320,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "eos_token_id": 1,
    "bos_token_id": None,
    "pad_token_id": None,
}


def small(tied: bool, kind: str = "llama") -> Any:
    torch.manual_seed(0)
    if kind == "qwen2":  # biases in query, key and value
        model = Qwen2ForCausalLM(Qwen2Config(**SHAPE, tie_word_embeddings=tied))
    else:
        model = LlamaForCausalLM(LlamaConfig(**SHAPE, tie_word_embeddings=tied))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.mul_(3)
            if name.endswith("bias"):
                parameter.normal_()
    return model.float().eval()


def matrix(outputs: int = 32, inputs: int = 96, seed: int = 0) -> torch.Tensor:
    return torch.randn(outputs, inputs, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=40, deadline=None)
@given(
    kind=st.sampled_from(["Q4_0", "Q4_1", "Q8_0"]),
    seed=st.integers(0, 10_000),
    scale=st.sampled_from([1e-4, 0.02, 3.0]),
    offset=st.sampled_from([0.0, 0.5]),
)
def test_what_comes_from_a_file_is_carried_over_unchanged(
    kind: str, seed: int, scale: float, offset: float
) -> None:
    type_ = GGMLQuantizationType[kind]
    stored = gguf_quantize((matrix(seed=seed) * scale + offset * scale).numpy(), type_)
    weight = torch.from_numpy(gguf_dequantize(stored, type_))
    codes, scales, minimum = quantize(weight, "file")
    assert (minimum is None) == (kind == "Q8_0")
    torch.testing.assert_close(dequantize(codes, scales, minimum), weight, rtol=2e-6, atol=1e-6 * scale)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    low=st.integers(0, 7),
    high=st.integers(8, 15),
    least=st.sampled_from([-0.7, 0.0]),
)
def test_a_grid_whose_ends_are_not_used_is_found(seed: int, low: int, high: int, least: float) -> None:
    """Q4_K takes a group's scale from its neighbours' too, so its codes need not reach 0 and 15."""
    chance = torch.Generator().manual_seed(seed)
    codes = torch.randint(low, high + 1, (16, 64), generator=chance).float()
    weight = torch.addcmul(torch.tensor(least), codes, torch.tensor(0.0371))
    found = quantize(weight, "file")
    assert found[2] is not None
    torch.testing.assert_close(dequantize(*found), weight, rtol=2e-6, atol=2e-7)


@pytest.mark.parametrize(("precision", "steps"), [("int4", 15), ("int8", 254)])
def test_other_weights_are_rounded_to_the_nearest_level(precision: Any, steps: int) -> None:
    weight = matrix()
    groups = weight.unflatten(1, (-1, 32))
    span = groups.amax(-1) - groups.amin(-1) if precision == "int4" else 2 * groups.abs().amax(-1)
    error = (dequantize(*quantize(weight, precision)) - weight).unflatten(1, (-1, 32)).abs().amax(-1)
    assert (error <= span / steps / 2 * 1.001).all()
    assert quantize(weight, "file")[2] is None  # on no grid of 4 bits: 8 are kept


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_blocks_of_q4_k_are_carried_over_unchanged(seed: int) -> None:
    chance = np.random.default_rng(seed)
    blocks = chance.integers(0, 256, (16, 144), dtype=np.uint8)
    blocks[:, :4] = np.array([0.013, 0.009], dtype=np.float16).view(np.uint8)  # scale and minimum of a block
    weight = torch.from_numpy(gguf_dequantize(blocks, GGMLQuantizationType.Q4_K))
    found = quantize(weight, "file")
    assert found[2] is not None
    torch.testing.assert_close(dequantize(*found), weight, rtol=1e-5, atol=2e-5)


def test_groups_of_equal_weights_and_of_zeros() -> None:
    weight = torch.cat((torch.zeros(16, 32), torch.full((16, 32), -0.3)), 1)
    for precision in ("int4", "int8"):
        torch.testing.assert_close(dequantize(*quantize(weight, precision)), weight)


@pytest.mark.skipif(
    platform.machine() != "x86_64" or not torch.cpu._is_avx512_supported(), reason="another chip"
)
def test_this_chip_has_the_kernel_so_nothing_here_is_skipped() -> None:
    assert has_kernel()


@needs_kernel
@pytest.mark.parametrize("rows", [1, 5, 16, 17, 40, 130])
@pytest.mark.parametrize("precision", ["int4", "int8"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dense", [None, torch.float32])
def test_the_kernel_computes_with_the_same_weights(
    rows: int, precision: Any, bias: bool, dense: torch.dtype | None
) -> None:
    layer = QuantizedLinear(*quantize(matrix(), precision), matrix(1, 32)[0] if bias else None)
    inputs = matrix(rows, 96, seed=1)
    found, expected = PackedGroups(layer, dense)(inputs).float(), layer(inputs)
    # bfloat16 has 8 bits: in inputs, scales and outputs; the sums are float32.
    assert (found - expected).abs().max() < 0.02 * expected.std()
    assert few_rows() < 40  # so that both kernels are tried, with a dense copy and without


@needs_kernel
@pytest.mark.parametrize("precision", ["int4", "int8"])
def test_a_row_is_the_same_whatever_is_beside_it(precision: Any) -> None:
    packed = PackedGroups(QuantizedLinear(*quantize(matrix(), precision)), None)
    inputs = matrix(few_rows(), 96, seed=1)
    together = packed(inputs)
    for row in range(len(inputs)):
        assert torch.equal(packed(inputs[row : row + 1])[0], together[row])


@needs_kernel
def test_layers_of_different_bits_stand_side_by_side_in_the_order_asked_for() -> None:
    layers = [QuantizedLinear(*quantize(matrix(seed=seed), "int4")) for seed in (1, 2)]
    layers.append(QuantizedLinear(*quantize(matrix(seed=3), "int8")))
    order = torch.arange(31, -1, -1)
    inputs = matrix(3, 96, seed=9)
    found = product_of(layers, [order, None, order], dense=torch.float32)(inputs).float()
    first, second, third = (layer(inputs) for layer in layers)
    expected = torch.cat((first[:, order], second, third[:, order]), 1)
    assert (found - expected).abs().max() < 0.02 * expected.std()


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("kind", ["llama", "qwen2"])
def test_a_quantised_model_comes_back_from_its_folder(tmp_path, tokenizer, tied: bool, kind: str) -> None:
    model = small(tied, kind)
    quantize_model(model, "int4")
    bits = bits_of(model)
    assert {bits["model.embed_tokens"], bits["lm_head"]} == {8}
    assert bits["model.layers.1.mlp.down_proj"] == 4
    assert isinstance(model.get_input_embeddings(), QuantizedEmbedding)
    assert (model.lm_head.codes is model.model.embed_tokens.codes) == tied
    save_quantized(model, tokenizer, tmp_path)
    loaded, loaded_tokenizer = load_quantized(tmp_path, torch.float32)
    assert loaded_tokenizer.chat_template == tokenizer.chat_template
    assert (loaded.lm_head.codes is loaded.model.embed_tokens.codes) == tied
    ids = torch.tensor([[5, 7, 200, 31]])
    with torch.inference_mode():
        torch.testing.assert_close(loaded(ids).logits, model(ids).logits)


@needs_kernel
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("kind", ["llama", "qwen2"])
def test_a_view_of_a_quantised_model_says_what_the_model_says(tied: bool, kind: str) -> None:
    model = small(tied, kind)
    original = copy.deepcopy(model)
    quantize_model(model, "int8")
    view = ModelView(model)  # compares, and refuses what differs
    assert view._fused is not None
    ids = torch.tensor([[5, 7, 200, 31]])
    with torch.inference_mode():
        found, expected = model(ids).logits, original(ids).logits
    assert (found - expected).abs().mean() < 0.05 * expected.std()


@needs_kernel
def test_batched_and_single_texts_are_equal_but_for_near_ties(tokenizer) -> None:
    """The bound: where texts part, the two tokens' logits are within the rounding of bfloat16.

    A row's products are bit for bit the same in any batch; a shared beginning that is read in place, and prompts
    filled together, change the order of the attention's and the dense products' sums, in float32.
    """
    model = small(tied=True)
    quantize_model(model, "int4")
    prompts = [tuple(range(10, 40)) + (100 + number,) * (number + 1) for number in range(8)]
    requests = [GenerationRequest(input_ids=prompt, max_tokens=30, ignore_eos=True) for prompt in prompts]
    with Engine(model, tokenizer, prefix_cache_tokens=0) as engine:
        together = [each.result().token_ids for each in engine.submit_many(requests)]
        alone = [engine.submit(request).result().token_ids for request in requests]
    equal = 0
    for prompt, first, second in zip(prompts, together, alone, strict=True):
        if first == second:
            equal += 1
            continue
        at = next(place for place, pair in enumerate(zip(first, second, strict=True)) if pair[0] != pair[1])
        with torch.inference_mode():
            logits = model(torch.tensor([[*prompt, *first[:at]]])).logits[0, -1]
        assert abs(float(logits[first[at]] - logits[second[at]])) < 2**-6 * float(logits.abs().max())
    assert equal >= 6


@needs_kernel
def test_a_view_makes_the_weights_of_the_given_model_once(monkeypatch) -> None:
    """And its own products are right afterwards: what gives zeros for the shapes is gone."""
    model = small(tied=True)
    quantize_model(model, "int4")
    layers = sum(isinstance(module, QuantizedLinear) for module in model.modules())
    passed: list[QuantizedLinear] = []
    forward = QuantizedLinear.forward

    def counted(self: QuantizedLinear, inputs: torch.Tensor) -> torch.Tensor:
        passed.append(self)
        return forward(self, inputs)

    monkeypatch.setattr(QuantizedLinear, "forward", counted)
    ModelView(model)  # compares itself with the model, or raises
    assert len(passed) == layers > 0


def test_nothing_is_collected_while_torch_is_imported_and_then_it_is_again() -> None:
    code = (
        "import gc, sys, skeleton_of_thought.decoding as decoding; seen = []; "
        "decoding.require = lambda *_, **__: seen.append(gc.isenabled()); "
        "decoding.load_model; print(seen, gc.isenabled())"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[False, False] True"
