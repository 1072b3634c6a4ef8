"""The products of a model on the CPU, each laid out once for the fastest kernel there is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from skeleton_of_thought.decoding.packed import PackedLinear, is_packable, works
from skeleton_of_thought.decoding.packed_groups import PackedGroups, has_kernel
from skeleton_of_thought.decoding.quantized import QuantizedLinear

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor
    from typing_extensions import TypeIs

_MOST_BYTES = 8 << 30  # the copy of larger models would cost more memory than its speed is worth
_MOST_DENSE_BYTES = 4 << 30  # of dense copies of quantised weights; larger models make them as they go
_SAME_INPUT = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))


class PackedPart(nn.Module):
    """One of several linear layers that are given the same tensor and are multiplied as one matrix."""

    def __init__(self, together: _Together, index: int) -> None:
        super().__init__()
        self._together = together
        self._index = index

    def forward(self, inputs: Tensor) -> Tensor:
        """This layer's part of the product; the first part that is asked for computes all."""
        return self._together.part(inputs, self._index)


class _Together:
    """The one matrix of several layers, and its last product until every part was asked for."""

    def __init__(self, layers: Sequence[nn.Module], dense: torch.dtype | None) -> None:
        self._product = product_of(layers, dense=dense)
        self._sizes = [_outputs(layer) for layer in layers]
        self._inputs: Tensor | None = None
        self._parts: Sequence[Tensor] = ()

    def part(self, inputs: Tensor, index: int) -> Tensor:
        if inputs is not self._inputs:
            self._inputs, self._parts = inputs, torch.split(self._product(inputs), self._sizes, dim=-1)
        part = self._parts[index]
        if index == len(self._sizes) - 1:
            self._inputs, self._parts = None, ()
        return part


class _SideBySide(nn.Module):
    """Products that do not fit into one, for instance of different precision."""

    def __init__(self, products: Sequence[nn.Module]) -> None:
        super().__init__()
        self._products = nn.ModuleList(products)
        self.in_features: int = products[0].in_features  # type: ignore[assignment]

    def forward(self, inputs: Tensor) -> Tensor:
        """All outputs, one after another."""
        return torch.cat([product(inputs) for product in self._products], -1)


def product_of(
    layers: Sequence[nn.Module],
    orders: Sequence[Tensor | None] | None = None,
    *,
    dense: torch.dtype | None,
) -> nn.Module:
    """One product with the matrices of several layers.

    Args:
        layers: Plain or quantised linear layers with the same inputs.
        orders: For each, the order in which its outputs are wanted; None for the one they have.
        dense: Of quantised layers: the dtype of a dense copy for many rows, None for no copy.

    Returns:
        A module from `(..., inputs)` to `(..., all outputs)`.
    """
    orders = orders or [None] * len(layers)
    if all(isinstance(layer, QuantizedLinear) for layer in layers):
        quantized = [layer for layer in layers if isinstance(layer, QuantizedLinear)]
        if len({(layer.bits, layer.bias is None) for layer in quantized}) == 1:
            return PackedGroups(_stacked(quantized, orders), dense)
    elif all(is_packable(layer) for layer in layers):
        plain = [layer for layer in layers if is_packable(layer)]
        if len({layer.bias is None for layer in plain}) == 1:
            weight, bias = (
                _cat([getattr(layer, name) for layer in plain], orders) for name in ("weight", "bias")
            )
            assert weight is not None
            return PackedLinear(weight, bias)
    return _SideBySide(
        [product_of([layer], [order], dense=dense) for layer, order in zip(layers, orders, strict=True)]
    )


def pack(model: nn.Module) -> None:
    """Replace the linear layers of a model on the CPU by packed ones, where that is possible.

    Only plain `nn.Linear` layers in float32 or bfloat16 are replaced, and this project's own quantised ones;
    those that another library quantised stay as they are.
    """
    if not can_pack(model):
        return
    dense = dense_copies(model)
    for parent in list(model.modules()):
        for names in _SAME_INPUT:
            group = [child for name in names if _is_one_of_ours(child := getattr(parent, name, None))]
            if len(group) == len(names) and _can_be_one(group):
                together = _Together(group, dense)
                for index, name in enumerate(names):
                    setattr(parent, name, PackedPart(together, index))
        for name, child in list(parent.named_children()):
            if _is_one_of_ours(child):
                setattr(parent, name, product_of([child], dense=dense))


def can_pack(model: nn.Module) -> bool:
    """Whether packed kernels are here, and the copies they need are not too large."""
    layers = [module for module in model.modules() if is_packable(module)]
    size = sum(layer.weight.numel() * layer.weight.element_size() for layer in layers)
    quantized = any(isinstance(module, QuantizedLinear) for module in model.modules())
    if quantized and not has_kernel():
        return False
    return size <= _MOST_BYTES and bool(layers or quantized) and (not layers or works(layers[0]))


def dense_copies(model: nn.Module) -> torch.dtype | None:
    """The dtype of dense copies of a model's quantised weights, None if they would be too large."""
    dtype = next((tensor.dtype for tensor in model.parameters()), torch.float32)
    weights = sum(
        module.out_features * module.in_features
        for name, module in model.named_modules()
        if isinstance(module, QuantizedLinear) and name != "lm_head"
    )
    return dtype if weights * dtype.itemsize <= _MOST_DENSE_BYTES else None


def _is_one_of_ours(module: object) -> TypeIs[nn.Linear | QuantizedLinear]:
    return is_packable(module) or isinstance(module, QuantizedLinear)


def _can_be_one(layers: Sequence[nn.Module]) -> bool:
    """Whether layers make one matrix."""
    kinds = {
        (type(layer), getattr(layer, "bits", 0), getattr(layer, "in_features", 0), layer.bias is None)
        for layer in layers
    }
    return len(kinds) == 1


def _outputs(layer: nn.Module) -> int:
    count: int = layer.out_features  # type: ignore[assignment]
    return count


def _stacked(layers: Sequence[QuantizedLinear], orders: Sequence[Tensor | None]) -> QuantizedLinear:
    codes, scale, minimum, bias = (
        _cat([getattr(layer, name) for layer in layers], orders)
        for name in ("codes", "scale", "minimum", "bias")
    )
    assert codes is not None
    assert scale is not None
    return QuantizedLinear(codes, scale, minimum, bias)


def _cat(tensors: Sequence[Tensor | None], orders: Sequence[Tensor | None]) -> Tensor | None:
    """Rows of several tensors as one, each in its order; None if there are none."""
    there = [
        tensor if order is None else tensor[order]
        for tensor, order in zip(tensors, orders, strict=True)
        if tensor is not None
    ]
    if not there:
        return None
    return there[0].detach() if len(there) == 1 else torch.cat([tensor.detach() for tensor in there])
