"""Which models the engine serves, and how it says no."""

from __future__ import annotations

import pytest
import torch
from transformers import (
    BloomConfig,
    BloomForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    Lfm2Config,
    Lfm2ForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
)

from skeleton_of_thought.decoding._attention import attention_and_weight, merged
from skeleton_of_thought.decoding._packed import PackedLinear
from skeleton_of_thought.decoding._view import ModelView
from skeleton_of_thought.errors import ConfigurationError

SHAPE = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": None,
}


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: BloomForCausalLM(BloomConfig(vocab_size=64, hidden_size=32, n_layer=1, n_head=4)),
            "BloomForCausalLM does not let its attention be replaced",
        ),
        (
            lambda: Lfm2ForCausalLM(Lfm2Config(**SHAPE, layer_types=["conv", "full_attention"])),
            r"Lfm2ForCausalLM has layers of type conv \(Lfm2Config\)",
        ),
        (lambda: Gemma2ForCausalLM(Gemma2Config(**SHAPE, head_dim=16)), "Gemma2ForCausalLM uses softcap"),
    ],
)
def test_models_it_cannot_serve_are_refused_by_name(build, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        ModelView(build())


def test_a_model_whose_results_would_differ_is_refused() -> None:
    class Strange(LlamaForCausalLM):
        """Depends on where in the input a token lies, which its attention does not tell."""

        def forward(self, input_ids, **options):
            output = super().forward(input_ids=input_ids, **options)
            output.logits = output.logits + input_ids.shape[1] * torch.arange(64)
            return output

    with pytest.raises(
        ConfigurationError, match="Strange gives other results when its attention is replaced"
    ):
        ModelView(Strange(LlamaConfig(**SHAPE)))


@pytest.mark.parametrize("rope", ["dynamic", "longrope"])
def test_the_context_ends_where_the_angles_would_change(rope: str) -> None:
    parameters = {
        "rope_type": rope,
        "rope_theta": 10000.0,
        "factor": 4.0,
        "original_max_position_embeddings": 128,
    }
    if rope == "longrope":
        parameters |= {"short_factor": [1.0] * 4, "long_factor": [4.0] * 4}
    model = LlamaForCausalLM(LlamaConfig(**SHAPE, max_position_embeddings=512, rope_parameters=parameters))
    assert ModelView(model).context == 128


def test_weights_are_shared_but_for_packed_ones(tiny_model) -> None:
    model = tiny_model("llama")
    view = ModelView(model)
    assert view._model.get_input_embeddings().weight is model.get_input_embeddings().weight
    packed = [module for module in view._model.modules() if isinstance(module, PackedLinear)]
    assert len(packed) == 2 * 7 + 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("rows", [1, 7, 64])
def test_packed_layers_compute_what_linear_layers_do(dtype: torch.dtype, bias: bool, rows: int) -> None:
    torch.manual_seed(0)
    linear = torch.nn.Linear(48, 80, bias=bias).to(dtype)
    inputs = torch.randn(1, rows, 48).to(dtype)
    with torch.inference_mode():
        torch.testing.assert_close(PackedLinear(linear)(inputs), linear(inputs))


@pytest.mark.parametrize("value_dim", [16, 8])  # the CPU's own kernel, and the one for everything else
@pytest.mark.parametrize("masked", [True, False])
def test_attention_in_parts_is_attention_over_all(value_dim: int, masked: bool) -> None:
    torch.manual_seed(0)
    query, key, value = torch.randn(2, 3, 4, 16), torch.randn(2, 3, 30, 16), torch.randn(2, 3, 30, value_dim)
    mask = (
        torch.zeros(2, 1, 1, 30).masked_fill_(torch.rand(2, 1, 1, 30) < 0.3, float("-inf"))
        if masked
        else None
    )
    expected = torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=0.3)
    parts = [
        attention_and_weight(
            query,
            key[:, :, part],
            value[:, :, part],
            mask=None if mask is None else mask[..., part],
            scale=0.3,
        )
        for part in (slice(0, 11), slice(11, 30))
    ]
    torch.testing.assert_close(merged(*parts[0], *parts[1])[0], expected)
