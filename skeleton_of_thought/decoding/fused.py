"""Decoder blocks of the Llama family with nothing in them but the arithmetic of a flat pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import nn
from torch.nn.functional import rms_norm, silu

from skeleton_of_thought.decoding.products import can_pack, dense_copies, product_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

_FAMILY = {
    *("LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM"),
}


class Attends(Protocol):
    """What a pass does in every layer."""

    def attend(
        self,
        layer: int,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        *,
        scale: float | None,
        window: int | None,
    ) -> Tensor:
        """See `FlatPass.attend`."""


class FusedDecoder:
    """A causal language model of the Llama family, as a step of decoding runs it.

    transformers spends a few microseconds per module and several kernels per norm and rotation, thirty times a
    step; on small models that is half of a step. Here a block is four products, two norms, one complex product
    that rotates queries and keys, and the attention; the residual stream is float32 where the weights are
    quantised.

    The rows of the query and key matrices are reordered so that the two numbers of a rotation lie side by side,
    which changes neither scores nor outputs.

    Args:
        model: A model of which `is_fusable` is true.
        scales: Factor of each layer's scores.
        windows: How many tokens each layer sees; None for all.
    """

    def __init__(
        self,
        model: Any,
        *,
        scales: Mapping[int, float | None],
        windows: Mapping[int, int | None],
    ) -> None:
        base = model.model
        dense = dense_copies(model)
        self._embed = base.embed_tokens
        self._rotary = base.rotary_emb
        self._norm = _Norm(base.norm)
        self._head = product_of([model.lm_head], dense=None)
        self._blocks = [
            _Block(layer, index, scales[index], windows[index], dense)
            for index, layer in enumerate(base.layers)
        ]

    def logits(self, tokens: Tensor, positions: Tensor, last: Tensor, step: Attends) -> Tensor:
        """Logits of some tokens of a flat pass.

        Args:
            tokens: Shape `(1, tokens)`.
            positions: The same.
            last: Which tokens' logits are wanted, shape `(texts,)`.
            step: Attends.

        Returns:
            Shape `(texts, vocabulary)`.
        """
        hidden = self._embed(tokens)[0]
        cos, sin = self._rotary(hidden.unsqueeze(0), positions)
        half = cos.shape[-1] // 2
        angles = torch.complex(cos[0, :, :half].float(), sin[0, :, :half].float()).unsqueeze(1)
        for block in self._blocks:
            hidden = block.run(hidden, angles, step)
        out: Tensor = self._head(self._norm(hidden[last]))
        return out

    def products(self) -> list[tuple[Any, int]]:
        """Every product of a step, with how many inputs it has; for measurements."""
        all_: list[Any] = [product for block in self._blocks for product in block.products]
        return [(product, int(product.in_features)) for product in (*all_, self._head)]


class _Block:
    """One layer; see `FusedDecoder`."""

    def __init__(
        self, layer: Any, index: int, scale: float | None, window: int | None, dense: torch.dtype | None
    ) -> None:
        attention, mlp = layer.self_attn, layer.mlp
        self._index, self._scale, self._window = index, scale, window
        self._dim: int = attention.head_dim
        self._query_heads = attention.q_proj.out_features // self._dim
        self._key_heads = attention.k_proj.out_features // self._dim
        pairs = torch.arange(self._dim).view(2, -1).t().reshape(-1)
        queries, keys = (
            (torch.arange(heads)[:, None] * self._dim + pairs).reshape(-1)
            for heads in (self._query_heads, self._key_heads)
        )
        self._qkv = product_of(
            [attention.q_proj, attention.k_proj, attention.v_proj], [queries, keys, None], dense=dense
        )
        self._out = product_of([attention.o_proj], dense=dense)
        self._gate_up = product_of([mlp.gate_proj, mlp.up_proj], dense=dense)
        self._down = product_of([mlp.down_proj], dense=dense)
        self.products = (self._qkv, self._out, self._gate_up, self._down)
        self._before, self._between = _Norm(layer.input_layernorm), _Norm(layer.post_attention_layernorm)
        self._head_norm: Tensor | None = None
        if hasattr(attention, "q_norm"):
            weights = [attention.q_norm.weight[pairs]] * self._query_heads
            weights += [attention.k_norm.weight[pairs]] * self._key_heads
            self._head_norm = torch.stack(weights).detach()
            self._epsilon: float = attention.q_norm.variance_epsilon

    def run(self, hidden: Tensor, angles: Tensor, step: Attends) -> Tensor:
        """The layer's output, shape `(tokens, width)`; angles of shape `(tokens, 1, dim / 2)`."""
        tokens, dtype = hidden.shape[0], hidden.dtype
        turned = self._query_heads + self._key_heads
        heads = self._qkv.forward(self._before(hidden)).float().view(tokens, -1, self._dim)
        both = heads[:, :turned]
        if self._head_norm is not None:
            both = rms_norm(both, (self._dim,), eps=self._epsilon) * self._head_norm
        both = torch.view_as_real(torch.view_as_complex(both.unflatten(-1, (-1, 2))) * angles).flatten(-2)
        query, key, value = (
            part.transpose(0, 1).unsqueeze(0).to(dtype)
            for part in (both[:, : self._query_heads], both[:, self._query_heads :], heads[:, turned:])
        )
        seen = step.attend(self._index, query, key, value, scale=self._scale, window=self._window)
        hidden = hidden + self._out.forward(seen.reshape(tokens, -1))
        gate, up = self._gate_up.forward(self._between(hidden)).chunk(2, -1)
        out: Tensor = hidden + self._down.forward(silu(gate).mul_(up))
        return out


class _Norm:
    """A root-mean-square norm in one call."""

    def __init__(self, module: Any) -> None:
        self._weight: Tensor = module.weight.detach()
        self._epsilon: float = module.variance_epsilon

    def __call__(self, hidden: Tensor) -> Tensor:
        out: Tensor = rms_norm(hidden, self._weight.shape, self._weight, self._epsilon)
        return out


def is_fusable(model: Any) -> bool:
    """Whether a model is made of the blocks that are known here, on one CPU, in float32 or bfloat16.

    A view compares what it made with the model itself, so a wrong guess here would be noticed.
    """
    name = type(model).__name__
    config = model.config
    return (
        name in _FAMILY
        and type(model).__module__.startswith("transformers.")
        and model.dtype in {torch.float32, torch.bfloat16}
        and all(tensor.device.type == "cpu" for tensor in _tensors(model))
        and getattr(config, "hidden_act", None) == "silu"
        and all(_turns_whole_heads(model, layer) for layer in model.model.layers)
        and can_pack(model)
    )


def _turns_whole_heads(model: Any, layer: Any) -> bool:
    """Whether a layer's rotation takes all of a head, in pairs."""
    frequencies = getattr(model.model.rotary_emb, "inv_freq", None)
    return frequencies is not None and 2 * len(frequencies) == layer.self_attn.head_dim


def _tensors(model: nn.Module) -> Sequence[Tensor]:
    return [*model.parameters(), *model.buffers()]
