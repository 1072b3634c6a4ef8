"""Quantised weights laid out for torch's 4-bit kernel, and the choice between it and a dense product."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import torch
from torch import nn

from skeleton_of_thought.decoding.packed import PackedLinear
from skeleton_of_thought.decoding.quantized import GROUP, QuantizedLinear, unpacked
from skeleton_of_thought.decoding.threads import in_passing

if TYPE_CHECKING:
    from torch import Tensor

_TILE = 16  # rows at once: with more, the kernel's own division of the work is slower, measured
_FEW_ROWS, _FEW_ROWS_AMX = 32, 12  # up to so many rows the 4-bit kernel wins over a dense product
_FEW_ROWS_WITHOUT_COPY = 128  # the same where the dense weights are made for the product and dropped


class PackedGroups(nn.Module):
    """The product with quantised weights, in the kernel that is fastest for so many rows.

    Few rows read 4 bits a weight and are bound by memory; torch's kernel expands every weight for every four
    rows, so from some number of rows on a dense product of the same weights is faster. The layers of the packaged
    model on two cores, 1 / 4 / 8 / 16 / 32 / 64 rows: on a chip with AVX-512 but no bfloat16 5.2 / 8.8 / 17 / 30 /
    60 / 119 ms against 24 / 28 / 35 / 39 / 74 / 88 dense in float32; with AMX 7.2 / 10.6 / 17.7 / 32.5 for 1 to
    16 rows against 26 to 29 dense in bfloat16.

    The kernel takes bfloat16 and sums in float32. Of 8 bits it sees the upper and the lower four as two columns
    with one input. Codes are carried over as they are; a group's scale and offset are rounded to bfloat16, by at
    most 2 to the -9th of themselves.

    Args:
        layer: The weights.
        dense: Keep a dense copy for many rows, in this dtype; None makes one anew for each product.
    """

    def __init__(self, layer: QuantizedLinear, dense: torch.dtype | None) -> None:
        super().__init__()
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self._planes = 1 if layer.bits == 4 else 2  # noqa: PLR2004
        codes, scale_and_zero = _planes(layer)
        self.packed = torch.ops.aten._convert_weight_to_int4pack_for_cpu(codes, 1)  # noqa: SLF001
        self.scale_and_zero = scale_and_zero
        self.bias = None if layer.bias is None else layer.bias.detach().float()
        self._layer = layer
        self._dense = None if dense is None else PackedLinear(layer.dequantized().to(dense), None)
        self._dense_dtype = dense or torch.float32
        self._few = _FEW_ROWS_WITHOUT_COPY if dense is None else few_rows()

    def forward(self, inputs: Tensor) -> Tensor:
        """The product, shape `(..., outputs)`, in bfloat16 for few rows and in the dense dtype for many."""
        flat = inputs if inputs.dim() == 2 else inputs.flatten(0, -2)  # noqa: PLR2004
        out = self._by_groups(flat) if flat.shape[0] <= self._few else self._by_dense(flat)
        if self.bias is not None:
            out = out + self.bias
        return out if flat is inputs else out.view(*inputs.shape[:-1], self.out_features)

    def _by_groups(self, rows: Tensor) -> Tensor:
        rows = rows.to(torch.bfloat16)
        if self._planes > 1:
            rows = torch.cat((rows, rows), 1)
        if rows.shape[0] <= _TILE:
            return self._product(rows)
        return torch.cat([self._product(some) for some in torch.split(rows, _TILE)])

    def _product(self, rows: Tensor) -> Tensor:
        product: Tensor = torch.ops.aten._weight_int4pack_mm_for_cpu(  # noqa: SLF001
            rows, self.packed, GROUP, self.scale_and_zero
        )
        return product

    def _by_dense(self, rows: Tensor) -> Tensor:
        rows = rows.to(self._dense_dtype)
        if self._dense is not None:
            dense: Tensor = self._dense(rows)
            return dense
        return nn.functional.linear(rows, self._layer.dequantized().to(self._dense_dtype))


@cache
def few_rows() -> int:
    """Up to how many rows the 4-bit kernel is faster than a dense product on this chip."""
    return _FEW_ROWS_AMX if getattr(torch.cpu, "_is_amx_tile_supported", bool)() else _FEW_ROWS


@cache
def has_kernel() -> bool:
    """Whether this build of torch multiplies 4-bit groups on a CPU, and rightly."""
    return in_passing(_is_right)


def _is_right() -> bool:
    codes = torch.arange(16 * GROUP).remainder(251).view(16, GROUP) - 125
    layer = QuantizedLinear(codes.to(torch.int8), torch.full((16, 1), 0.25))
    inputs = torch.linspace(-1, 1, GROUP).to(torch.bfloat16).view(1, -1)
    try:
        found = PackedGroups(layer, None)(inputs).float()
    except (AttributeError, RuntimeError):
        return False
    return torch.allclose(found, layer(inputs.float()), rtol=0.02, atol=0.05)


def _planes(layer: QuantizedLinear) -> tuple[Tensor, Tensor]:
    """What the kernel reads: codes `(outputs, columns)`, and scale and zero `(columns / 32, outputs, 2)`.

    The kernel's weight is `(code - 8) * scale + zero`.
    """
    if layer.minimum is not None:
        codes = unpacked(layer.codes)
        scale, zero = layer.scale, torch.addcmul(layer.minimum, layer.scale, torch.tensor(8.0))
    else:
        # code = 16 * upper + lower - 128: the upper plane needs no zero, the lower one 8 scales.
        shifted = layer.codes.to(torch.int16) + 128
        codes = torch.cat((shifted >> 4, shifted & 15), 1)
        scale = torch.cat((layer.scale * 16, layer.scale), 1)
        zero = torch.cat((torch.zeros_like(layer.scale), layer.scale * 8), 1)
    together = torch.stack((scale, zero), -1).transpose(0, 1).contiguous()
    return codes.to(torch.int32), together.to(torch.bfloat16)
