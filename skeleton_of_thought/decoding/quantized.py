"""Weights in 4 or 8 bits, in groups of 32: the formats of GGUF files, as modules of a transformers model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, cast

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

Bits = Literal[4, 8]
Precision = Literal["int4", "int8", "file"]
"""What a model is quantised to; `"file"`: 4 bits where the weights already are on such a grid, else 8."""

GROUP = 32
"""Weights that share a scale, in a row of the matrix."""

_LEVELS = 15  # the highest code of 4 bits
_ON_GRID = 1e-3  # of a step: how far float32 arithmetic may have moved a weight from its level
_SAMPLE = 512  # groups that are looked at before all of them are
_OUTPUTS = 16  # torch's kernel for 4 bits wants a multiple of so many


class QuantizedLinear(nn.Module):
    """A linear layer whose weights are integers with a scale, and in 4 bits a minimum, per group of 32.

    A weight is `code * scale + minimum` in 4 bits (GGUF's Q4_1; Q4_0 and Q4_K are special cases of it) and
    `code * scale` in 8 bits (GGUF's Q8_0). This module is the definition: it computes with the weights as
    they are, in float32, and is slow. `decoding/packed_groups.py` has the kernels a step of decoding uses.

    Args:
        codes: Two codes of 0 to 15 a byte, the lower nibble first, shape `(outputs, inputs / 2)`, uint8; or
            codes of -127 to 127, shape `(outputs, inputs)`, int8.
        scale: Shape `(outputs, inputs / 32)`, float32.
        minimum: The same shape for 4 bits, None for 8.
        bias: Shape `(outputs,)`, or None.
    """

    codes: Tensor
    scale: Tensor
    minimum: Tensor | None
    bias: Tensor | None

    def __init__(
        self, codes: Tensor, scale: Tensor, minimum: Tensor | None = None, bias: Tensor | None = None
    ) -> None:
        super().__init__()
        for name, tensor in (("codes", codes), ("scale", scale), ("minimum", minimum), ("bias", bias)):
            self.register_buffer(name, tensor)

    @classmethod
    def empty(cls, outputs: int, inputs: int, bits: Bits, *, bias: bool) -> QuantizedLinear:
        """A layer without weights, which are loaded later."""
        groups = torch.empty(outputs, inputs // GROUP, device="meta")
        return cls(
            _no_codes(outputs, inputs, bits),
            groups,
            groups if bits == 4 else None,  # noqa: PLR2004
            torch.empty(outputs, device="meta") if bias else None,
        )

    @property
    def bits(self) -> Bits:
        """Of a weight."""
        return 8 if self.minimum is None else 4

    @property
    def out_features(self) -> int:
        """Rows of the matrix."""
        return len(self.codes)

    @property
    def in_features(self) -> int:
        """Columns of the matrix."""
        return self.scale.shape[1] * GROUP

    def dequantized(self) -> Tensor:
        """The weights in float32, shape `(outputs, inputs)`."""
        return dequantize(self.codes, self.scale, self.minimum)

    def forward(self, inputs: Tensor) -> Tensor:
        """The product, in float32 whatever comes in, in the dtype of what comes in."""
        bias = None if self.bias is None else self.bias.float()
        return nn.functional.linear(inputs.float(), self.dequantized(), bias).to(inputs.dtype)


class QuantizedEmbedding(nn.Module):
    """An embedding in 8 bits; a token's row becomes numbers when it is asked for.

    Args:
        codes: Shape `(vocabulary, dim)`, int8.
        scale: Shape `(vocabulary, dim / 32)`, float32.
        dtype: Of the result.
    """

    codes: Tensor
    scale: Tensor

    def __init__(self, codes: Tensor, scale: Tensor, dtype: torch.dtype) -> None:
        super().__init__()
        self.register_buffer("codes", codes)
        self.register_buffer("scale", scale)
        self.dtype = dtype

    @classmethod
    def empty(cls, rows: int, dim: int, dtype: torch.dtype) -> QuantizedEmbedding:
        """An embedding without weights, which are loaded later."""
        return cls(_no_codes(rows, dim, 8), torch.empty(rows, dim // GROUP, device="meta"), dtype)

    def forward(self, ids: Tensor) -> Tensor:
        """The rows of some tokens, shape `(*ids, dim)`."""
        return dequantize(self.codes[ids], self.scale[ids], None).to(self.dtype)


def quantize(weight: Tensor, precision: Precision) -> tuple[Tensor, Tensor, Tensor | None]:
    """Codes, scales and minima of a matrix.

    Weights that come from 4 bits in groups of 32 (Q4_0, Q4_1, Q4_K) or from 8 bits (Q8_0) and were only
    converted to float32 are found on their grid and keep their codes: nothing is rounded. Others are rounded
    to the nearest level between the group's smallest and largest weight, or in 8 bits to 127ths of its largest.

    Args:
        weight: Shape `(outputs, inputs)`, the inputs a multiple of 32.
        precision: What to make of it.

    Returns:
        What `QuantizedLinear` takes.
    """
    groups = _in_groups(weight.detach().float())
    if precision == "int4" or (precision == "file" and _is_on_grid(groups)):
        codes, scale, minimum = _to_four_bits(groups)
        codes = codes.flatten(1)
        return codes[:, ::2] | (codes[:, 1::2] << 4), scale, minimum
    scale = groups.abs().amax(-1) / 127
    codes = (groups / scale.where(scale > 0, 1).unsqueeze(-1)).round_()
    return codes.to(torch.int8).flatten(1), scale, None


def dequantize(codes: Tensor, scale: Tensor, minimum: Tensor | None) -> Tensor:
    """The weights in float32: what `quantize` was given, but for its rounding."""
    if minimum is None:
        return _in_groups(codes.float()).mul_(scale.unsqueeze(-1)).flatten(-2)
    weights = _in_groups(unpacked(codes).float())
    return torch.addcmul(minimum.unsqueeze(-1), weights, scale.unsqueeze(-1)).flatten(-2)


def _in_groups(weights: Tensor) -> Tensor:
    """Shape `(..., columns)` as `(..., columns / 32, 32)`."""
    return weights.view(*weights.shape[:-1], -1, GROUP)


def unpacked(codes: Tensor) -> Tensor:
    """Two codes a byte as one a byte, uint8."""
    return torch.stack((codes & 15, codes >> 4), dim=-1).flatten(-2)


def quantize_model(model: nn.Module, precision: Precision) -> None:
    """Replace a model's linear layers and its embedding by quantised ones, in place, layer by layer.

    The embedding and the head, which have every token of the vocabulary, get 8 bits: they are the layers in
    which 4 bits cost a text most. What does not divide into groups stays as it is.
    """
    tied = _tied(model)
    for parent, name, child in _quantizable(model):
        vocabulary = child is cast("Any", model).get_output_embeddings() or isinstance(child, nn.Embedding)
        if tied and not isinstance(child, nn.Embedding) and vocabulary:
            continue
        parts = quantize(child.weight, "int8" if vocabulary else precision)
        if isinstance(child, nn.Embedding):
            setattr(parent, name, QuantizedEmbedding(parts[0], parts[1], child.weight.dtype))
        else:
            bias = None if child.bias is None else child.bias.detach()
            setattr(parent, name, QuantizedLinear(*parts, bias))
    _tie(model, tied=tied)


def bits_of(model: nn.Module) -> dict[str, int]:
    """How many bits each quantised module has, by its name."""
    return {
        name: module.bits if isinstance(module, QuantizedLinear) else 8
        for name, module in model.named_modules()
        if isinstance(module, QuantizedLinear | QuantizedEmbedding)
    }


def prepare_empty(model: nn.Module, bits: dict[str, int], dtype: torch.dtype) -> None:
    """Give a model without weights the modules that `bits_of` told of another one."""
    tied = _tied(model)
    names = {id(module): name for name, module in model.named_modules()}
    for parent, name, child in _quantizable(model):
        wanted = bits.get(names[id(child)])
        if wanted is None:
            continue
        if isinstance(child, nn.Embedding):
            setattr(parent, name, QuantizedEmbedding.empty(child.num_embeddings, child.embedding_dim, dtype))
        else:
            made = QuantizedLinear.empty(
                child.out_features, child.in_features, cast("Bits", wanted), bias=child.bias is not None
            )
            setattr(parent, name, made)
    _tie(model, tied=tied)


def retie(model: nn.Module) -> None:
    """Give a head without weights those of the embedding, after they were loaded."""
    embedding = cast("Any", model).get_input_embeddings()
    head = cast("Any", model).get_output_embeddings()
    if isinstance(embedding, QuantizedEmbedding) and isinstance(head, QuantizedLinear):
        if head.codes.device.type == "meta":
            head.codes, head.scale = embedding.codes, embedding.scale
    elif type(head) is nn.Linear and head.weight.device.type == "meta":
        head.weight = embedding.weight


def _tied(model: nn.Module) -> bool:
    """Whether head and embedding are one matrix."""
    embedding, head = cast("Any", model).get_input_embeddings(), cast("Any", model).get_output_embeddings()
    return type(embedding) is nn.Embedding and type(head) is nn.Linear and embedding.weight is head.weight


def _tie(model: nn.Module, *, tied: bool) -> None:
    embedding = cast("Any", model).get_input_embeddings()
    if tied and isinstance(embedding, QuantizedEmbedding):
        bias = cast("Any", model).get_output_embeddings().bias
        cast("Any", model).set_output_embeddings(QuantizedLinear(embedding.codes, embedding.scale, bias=bias))


def _quantizable(model: nn.Module) -> Iterator[tuple[nn.Module, str, Any]]:
    """The layers that divide into groups, each with its parent and its name there."""
    embedding = cast("Any", model).get_input_embeddings()
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is nn.Linear or (type(child) is nn.Embedding and child is embedding):
                rows, columns = child.weight.shape
                if rows % _OUTPUTS == 0 and columns % GROUP == 0:
                    yield parent, name, child


def _no_codes(rows: int, columns: int, bits: Bits) -> Tensor:
    if bits == 8:  # noqa: PLR2004
        return torch.empty(rows, columns, dtype=torch.int8, device="meta")
    return torch.empty(rows, columns // 2, dtype=torch.uint8, device="meta")


def _to_four_bits(groups: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Codes of shape `(outputs, groups, 32)`, and scale and minimum of every group."""
    minimum = groups.amin(-1)
    span = groups.amax(-1) - minimum
    step = span / _grid(groups, minimum, span)
    codes = (groups - minimum.unsqueeze(-1)).div_(step.where(step > 0, 1).unsqueeze(-1)).round_()
    return codes.to(torch.uint8), step, minimum


def _grid(groups: Tensor, minimum: Tensor, span: Tensor) -> Tensor:
    """Into how many steps each group's span is divided: the grid it is on, or 15 where it is on none.

    A quantiser that takes its scale from the group's extremes uses codes 0 and 15, so nearly all groups are on
    the grid of 15 steps; Q4_0 and Q4_K leave codes out at the ends.
    """
    found = torch.full_like(span, _LEVELS)
    open_ = (~_fits(groups, minimum, span, _LEVELS)).nonzero(as_tuple=True)
    for steps in range(_LEVELS - 1, 0, -1):
        if not len(open_[0]):
            break
        fits = _fits(groups[open_], minimum[open_], span[open_], steps)
        found[tuple(index[fits] for index in open_)] = steps
        open_ = tuple(index[~fits] for index in open_)
    return found


def _fits(groups: Tensor, minimum: Tensor, span: Tensor, steps: int | Tensor) -> Tensor:
    """Which groups have every weight on a level, if so many steps make their span."""
    step = span / steps
    places = (groups - minimum.unsqueeze(-1)).div_(step.where(step > 0, 1).unsqueeze(-1))
    return (places - places.round()).abs_().amax(-1) < _ON_GRID


def _is_on_grid(groups: Tensor) -> bool:
    """Whether a matrix comes from 4 bits: every group has at most 16 levels, equally far apart."""
    flat = groups.flatten(0, 1)
    for some in (flat[:: max(1, len(flat) // _SAMPLE)], flat):
        minimum = some.amin(-1)
        span = some.amax(-1) - minimum
        if not bool(_fits(some, minimum, span, _grid(some, minimum, span)).all()):
            return False
    return True
