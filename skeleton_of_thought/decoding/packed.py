"""Weights laid out for the CPU's matrix kernels, once, instead of at every step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor
    from typing_extensions import TypeIs

_ROWS = 8  # the layout is chosen for this many rows; it is as good for one and for hundreds


class PackedLinear(nn.Module):
    """A linear layer whose weights are stored the way oneDNN reads them.

    A step of decoding multiplies a few rows with every weight, so its time is the time to read the weights.
    In the layout of `nn.Linear` the kernel gathers them from afar or copies them first; packed, it reads
    them in order, about twice as fast for up to 16 rows and as fast for a long prompt.

    Args:
        weight: Shape `(outputs, inputs)`.
        bias: Shape `(outputs,)`, or None.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.packed = torch.ops.mkldnn._reorder_linear_weight(weight.detach(), _ROWS)  # noqa: SLF001
        self.bias = None if bias is None else bias.detach()
        self.in_features = weight.shape[1]

    def forward(self, inputs: Tensor) -> Tensor:
        """The product, in one call."""
        result: Tensor = torch.ops.mkldnn._linear_pointwise(inputs, self.packed, self.bias, "none", [], "")  # noqa: SLF001
        return result


def is_packable(module: object) -> TypeIs[nn.Linear]:
    """Whether a module is a plain linear layer on the CPU, in float32 or bfloat16.

    Not those of libraries that quantise: they keep the class and put a tensor of their own inside.
    """
    return (
        type(module) is nn.Linear
        and type(module.weight.data) is torch.Tensor
        and module.weight.device.type == "cpu"
        and module.weight.dtype in {torch.float32, torch.bfloat16}
    )


def works(linear: nn.Linear) -> bool:
    """Whether this build of torch has the packed kernel, and it computes what the plain one does."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    probe = torch.linspace(-1, 1, 2 * linear.in_features, dtype=linear.weight.dtype).view(2, -1)
    try:
        found, expected = PackedLinear(linear.weight, linear.bias)(probe), linear(probe).detach().float()
    except (AttributeError, RuntimeError):
        return False
    return torch.allclose(found.float(), expected, rtol=0.02, atol=0.02 * float(expected.std()))
