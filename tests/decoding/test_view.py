"""Which models the engine serves, and how it says no."""

from __future__ import annotations

from collections import Counter

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

from skeleton_of_thought.decoding.attention import Fill, FlatPass
from skeleton_of_thought.decoding.kernels import attention_and_weight, merged, product_attention
from skeleton_of_thought.decoding.memory import Chain, Segment, Slots
from skeleton_of_thought.decoding.packed import PackedLinear
from skeleton_of_thought.decoding.products import PackedPart, pack
from skeleton_of_thought.decoding.rows import DecodeRow
from skeleton_of_thought.decoding.view import ModelView
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
    model = tiny_model("gemma3, mixed windows")
    view = ModelView(model)
    assert view._model.get_input_embeddings().weight is model.get_input_embeddings().weight
    kinds = Counter(type(module) for module in view._model.modules())
    # In two layers: query, key and value as one, gate and up as one, two more; and the head.
    assert (kinds[PackedPart], kinds[PackedLinear], kinds[torch.nn.Linear]) == (2 * 5, 2 * 2 + 1, 0)


@pytest.mark.parametrize("kind", ["llama grouped-query", "qwen2 multi-query", "qwen3", "mistral, window 7"])
def test_the_llama_family_is_decoded_without_modules(kind: str, tiny_model) -> None:
    model = tiny_model(kind)
    view = ModelView(model)
    assert view._model is None
    assert view._fused._embed.weight is model.get_input_embeddings().weight


def test_a_head_that_is_not_rotated_in_pairs_is_decoded_module_by_module() -> None:
    model = LlamaForCausalLM(LlamaConfig(**SHAPE | {"num_attention_heads": 32, "num_key_value_heads": 32}))
    assert model.model.layers[0].self_attn.head_dim == 1
    assert ModelView(model)._fused is None


def test_a_block_that_is_not_what_it_was_is_decoded_module_by_module(caplog) -> None:
    class Changed(LlamaForCausalLM):
        """Has a block of the family, and something more."""

        def forward(self, *inputs, **options):
            output = super().forward(*inputs, **options)
            output.logits = output.logits * torch.linspace(0.1, 2, 64)
            return output

    Changed.__name__, Changed.__module__ = "LlamaForCausalLM", "transformers.models.llama"
    torch.manual_seed(0)
    view = ModelView(Changed(LlamaConfig(**SHAPE)))
    assert view._fused is None
    assert view._model is not None
    assert "module by module" in caplog.text


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("rows", [1, 7, 64])
def test_packed_layers_compute_what_linear_layers_do(dtype: torch.dtype, bias: bool, rows: int) -> None:
    torch.manual_seed(0)
    linear = torch.nn.Linear(48, 80, bias=bias).to(dtype)
    inputs = torch.randn(1, rows, 48).to(dtype)
    with torch.inference_mode():
        packed = PackedLinear(linear.weight, linear.bias)
        torch.testing.assert_close(packed(inputs), linear(inputs))


@pytest.mark.parametrize("bias", [True, False])
def test_layers_packed_together_do_not_depend_on_the_order_of_calls(bias: bool) -> None:
    torch.manual_seed(0)
    parent = torch.nn.Module()
    layers = {
        name: torch.nn.Linear(48, size, bias=bias)
        for name, size in (("q_proj", 32), ("k_proj", 16), ("v_proj", 24))
    }
    for name, layer in layers.items():
        setattr(parent, name, layer)
    pack(parent)
    first, second = torch.randn(1, 3, 48), torch.randn(1, 3, 48)
    with torch.inference_mode():
        for name, inputs in (
            *(("q_proj", first), ("k_proj", first), ("v_proj", first)),
            *(
                ("v_proj", second),
                ("q_proj", second),
                ("q_proj", first),
                ("k_proj", second),
                ("v_proj", first),
            ),
        ):
            assert isinstance(getattr(parent, name), PackedPart)
            torch.testing.assert_close(getattr(parent, name)(inputs), layers[name](inputs))


@pytest.mark.parametrize("value_dim", [16, 8])  # the CPU's own kernel, and the one for everything else
@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rows", [1, 5])
def test_attention_in_parts_is_attention_over_all(
    value_dim: int, masked: bool, dtype: torch.dtype, rows: int
) -> None:
    torch.manual_seed(0)
    query, key = torch.randn(rows, 3, 4, 16).to(dtype), torch.randn(rows, 3, 30, 16).to(dtype)
    value = torch.randn(rows, 3, 30, value_dim).to(dtype)
    mask = torch.zeros(rows, 1, 1, 30, dtype=dtype)
    if masked:
        mask.masked_fill_(torch.rand(rows, 1, 1, 30) < 0.3, float("-inf"))
    expected = torch.nn.functional.scaled_dot_product_attention(
        query.float(), key.float(), value.float(), attn_mask=mask.float(), scale=0.3
    )
    close = {"rtol": 1e-5, "atol": 1e-5} if dtype == torch.float32 else {"rtol": 0.03, "atol": 0.03}
    flat = mask.expand(rows, 3, 1, 30).flatten(0, 1)
    products = product_attention(*(part.flatten(0, 1) for part in (query, key, value)), mask=flat, scale=0.3)
    torch.testing.assert_close(products.unflatten(0, (rows, 3)).float(), expected, **close)
    parts = [
        attention_and_weight(query, key[:, :, part], value[:, :, part], mask=mask[..., part], scale=0.3)
        for part in (slice(0, 11), slice(11, 30))
    ]
    torch.testing.assert_close(merged(*parts[0], *parts[1])[0].float(), expected, **close)


def test_a_text_alone_does_not_take_the_memory_of_many(tiny_model) -> None:
    slots = Slots(ModelView(tiny_model("llama")).layout)
    slots.fit(0, 0, more=(32, 40))
    many = slots.slots
    slots.fit(20, 40, more=(0, 100))
    assert slots.slots == many  # twenty may soon be as many again
    slots.fit(1, 140, more=(0, 300))
    assert slots.slots == 1


def test_a_wave_takes_the_slots_it_needs_and_rows_one_by_one_grow_by_half(tiny_model) -> None:
    slots = Slots(ModelView(tiny_model("llama")).layout)
    for rows, found in ((1, 1), (2, 8), (9, 12), (32, 32), (33, 48)):
        slots.fit(0, 0, more=(rows, 40))
        assert slots.slots == found


@pytest.mark.parametrize(("shared", "by_all"), [(0, True), (20, True), (20, False)])
def test_many_rows_in_bfloat16_have_the_models_logits(shared: int, by_all: bool) -> None:
    """The kernels for many rows are not those of one row, and are chosen in bfloat16 only."""
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**SHAPE)).to(torch.bfloat16).eval()
    view = ModelView(model)
    texts = [[*range(2, 22), *([5 + row] * (row + 1)), 30 + row] for row in range(8)]

    def fill(tokens: list[int], past: Chain) -> Segment:
        keys, values = view.layout.empty((), (len(tokens),))
        segment = Segment(tokens, keys=keys, values=values)
        at = sum(count for _, count in past)
        view.run(FlatPass(view.layout, Slots(view.layout), [], [Fill(segment, len(tokens), at, past)]))
        segment.filled = len(tokens)
        return segment

    past: Chain = ((fill(texts[0][:shared], ()), shared),) if shared else ()
    slots = Slots(view.layout)
    slots.fit(0, 0, more=(8, 40))
    rows = []
    for row, text in enumerate(texts):
        own = fill(text[shared:-1], past)
        slots.take(row, 0, own, len(own.tokens))
        # Those that do not read the shared tokens in place have a copy.
        if row % 3 or not shared or by_all:
            rows.append(DecodeRow(text[-1], len(text) - 1, len(own.tokens), past))
        else:
            slots.take(row, 0, past[0][0], shared)
            slots.take(row, shared, own, len(own.tokens))
            rows.append(DecodeRow(text[-1], len(text) - 1, shared + len(own.tokens), ()))
    found = view.run(FlatPass(view.layout, slots, rows, [])).float()
    with torch.inference_mode():
        expected = torch.stack([model(torch.tensor([text])).logits[0, -1] for text in texts]).float()
    assert (found - expected).abs().max() < 0.05 * expected.std() + 0.02 * expected.abs().max()
    assert (
        found - expected.roll(1, 0)
    ).abs().max() > 0.5 * expected.std()  # which would not hold for other rows


def test_a_layer_that_another_library_quantised_is_left_alone() -> None:
    class Theirs(torch.Tensor):
        """A tensor with a product of its own, as torchao's are."""

    model = torch.nn.Sequential(torch.nn.Linear(32, 32), torch.nn.Linear(32, 32))
    theirs = torch.nn.Parameter(torch.randn(32, 32).as_subclass(Theirs), requires_grad=False)
    model[0].weight = theirs
    pack(model)
    assert model[0].weight is theirs
    assert isinstance(model[1], PackedLinear)
