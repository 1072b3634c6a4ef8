"""Attention of a few queries over a rectangle of keys: the kernels a step of decoding spends its time in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn.functional import scaled_dot_product_attention

if TYPE_CHECKING:
    from torch import Tensor

_MATRICES = 8  # as many small matrices at least, for the batched product to be faster: measured


def reads_whole(query: Tensor) -> bool:
    """Whether attention is fastest as two batched matrix products, which want the whole rectangle.

    On a CPU, in bfloat16, torch's fused kernel pays for every row and head what the batched product pays
    once: with 8 rows of 200 tokens it takes twice as long. The scores are then rounded to bfloat16, as in
    transformers' eager attention; on the packaged model the texts' likelihoods are the same.

    Args:
        query: Shape `(rows, heads, queries, dim)`.
    """
    return (
        query.device.type == "cpu"
        and query.dtype == torch.bfloat16
        and query.shape[0] > 1
        and query.shape[0] * query.shape[1] >= _MATRICES
    )


def attention(
    query: Tensor, key: Tensor, value: Tensor, *, mask: Tensor | None = None, scale: float | None = None
) -> Tensor:
    """Attention.

    Args:
        query: Shape `(batch, heads, queries, dim)`.
        key: Shape `(batch, heads, tokens, dim)`.
        value: The same.
        mask: Added to the scores.
        scale: Factor of the scores, if it is not one over the root of dim.

    Returns:
        Shape `(batch, heads, queries, dim)`.
    """
    if not reads_whole(query):
        return scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=scale)
    scores = _scores(query, key, mask, scale)
    return torch.bmm(scores.softmax(-1).flatten(0, 1), value.flatten(0, 1)).view(*query.shape[:-1], -1)


def attention_and_weight(
    query: Tensor, key: Tensor, value: Tensor, *, mask: Tensor | None = None, scale: float | None = None
) -> tuple[Tensor, Tensor]:
    """Attention over a part of the tokens, and the logarithm of the sum of its weights, to merge parts with.

    Args and shapes are those of `attention`; the second result has shape `(batch, heads, queries)`.
    """
    if query.device.type == "cpu" and key.shape[-1] == value.shape[-1] and not reads_whole(query):
        flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu  # noqa: SLF001
        out, weight = flash(query, key, value, attn_mask=mask, scale=scale)
        return out, weight
    scores = _scores(query, key, mask, scale).float()
    weight = scores.logsumexp(-1)
    shares = (scores - weight[..., None]).exp().to(value.dtype)
    return torch.bmm(shares.flatten(0, 1), value.flatten(0, 1)).view(*query.shape[:-1], -1), weight


def merged(out: Tensor, weight: Tensor, more: Tensor, more_weight: Tensor) -> tuple[Tensor, Tensor]:
    """Attention over two parts together, from the attention over each."""
    share = torch.sigmoid(more_weight - weight).unsqueeze(-1)
    return torch.lerp(out.float(), more.float(), share).to(out.dtype), torch.logaddexp(weight, more_weight)


def _scores(query: Tensor, key: Tensor, mask: Tensor | None, scale: float | None) -> Tensor:
    scores = torch.bmm(query.flatten(0, 1), key.flatten(0, 1).transpose(1, 2))
    scores = scores.mul_(scale or query.shape[-1] ** -0.5).view(*query.shape[:-1], -1)
    return scores if mask is None else scores.add_(mask)
