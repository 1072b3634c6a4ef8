"""Attention of a few queries over a rectangle of keys: the kernels a step of decoding spends its time in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

_MATRICES = 8  # as many small matrices at least, for the batched product to be faster: measured


def wants_products(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether attention is fastest as two batched products, which read the whole rectangle.

    On a CPU, in bfloat16, torch's fused kernel pays for every row and head what the batched product pays
    once: with 8 rows of 200 tokens, or for 8 short prompts behind a long one, it takes twice as long. The
    scores are then rounded to bfloat16, as in transformers' eager attention; on the packaged model the texts'
    likelihoods are the same.
    """
    return device.type == "cpu" and dtype == torch.bfloat16


def rows_want_products(device: torch.device, dtype: torch.dtype, rows: int, heads: int) -> bool:
    """The same for rows of one token each, of which it takes a few."""
    return wants_products(device, dtype) and rows > 1 and rows * heads >= _MATRICES


def product_attention(query: Tensor, key: Tensor, value: Tensor, *, mask: Tensor, scale: float) -> Tensor:
    """Attention as two batched products.

    Args:
        query: Shape `(batch, queries, dim)`.
        key: Shape `(batch, tokens, dim)`.
        value: The same.
        mask: Added to the scores, of a shape that broadcasts to `(batch, queries, tokens)`.
        scale: Factor of the scores.

    Returns:
        Shape `(batch, queries, dim)`.
    """
    scores = torch.baddbmm(mask, query, key.transpose(1, 2), alpha=scale)
    return torch.bmm(scores.softmax(-1), value)


def product_attention_with_shared(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    shared_key: Tensor,
    shared_value: Tensor,
    *,
    mask: Tensor,
    scale: float,
) -> Tensor:
    """Attention of every row over its own tokens and over tokens that all rows have before them.

    The shared tokens are read once for all rows: the queries of all rows are one matrix.

    Args:
        query: Shape `(rows, heads, queries, dim)`.
        key: The rows' own, shape `(rows, heads, tokens, dim)`.
        value: The same.
        shared_key: Shape `(heads, shared tokens, dim)`.
        shared_value: The same.
        mask: Added to the scores of the rows' own tokens, shape `(rows, 1, 1, tokens)`.
        scale: Factor of the scores.

    Returns:
        Shape `(rows, heads, queries, dim)`.
    """
    rows, heads, queries, dim = query.shape
    shared = shared_key.shape[1]
    scores = query.new_empty(rows, heads, queries, shared + key.shape[2])
    folded = query.transpose(0, 1).reshape(heads, rows * queries, dim)
    common = torch.bmm(folded, shared_key.transpose(1, 2)).view(heads, rows, queries, shared)
    torch.mul(common.transpose(0, 1), scale, out=scores[..., :shared])
    own = torch.bmm(query.flatten(0, 1), key.flatten(0, 1).transpose(1, 2)).view(rows, heads, queries, -1)
    torch.add(mask, own, alpha=scale, out=scores[..., shared:])
    weights = scores.softmax(-1)
    common = weights[..., :shared].transpose(0, 1).reshape(heads, rows * queries, shared)
    out = torch.bmm(common, shared_value).view(heads, rows, queries, -1).transpose(0, 1)
    own = torch.bmm(weights[..., shared:].flatten(0, 1), value.flatten(0, 1))
    return out + own.view(rows, heads, queries, -1)


def attention_and_weight(
    query: Tensor, key: Tensor, value: Tensor, *, scale: float, mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Attention over a part of the tokens, and the logarithm of the sum of its weights, to merge parts with.

    Args:
        query: Shape `(batch, heads, queries, dim)`.
        key: Shape `(batch, heads, tokens, dim)`.
        value: The same.
        scale: Factor of the scores.
        mask: Added to the scores.

    Returns:
        Shapes `(batch, heads, queries, dim)` and `(batch, heads, queries)`.
    """
    rows, heads = query.shape[:2]
    if (
        query.device.type == "cpu"
        and key.shape[-1] == value.shape[-1]
        and not rows_want_products(query.device, query.dtype, rows, heads)
    ):
        flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu  # noqa: SLF001
        out, weight = flash(query, key, value, attn_mask=mask, scale=scale)
        return out, weight
    scores = torch.bmm(query.flatten(0, 1), key.flatten(0, 1).transpose(1, 2)).float().mul_(scale)
    scores = scores.view(rows, heads, -1, scores.shape[-1])
    if mask is not None:
        scores += mask
    weight = scores.logsumexp(-1)
    shares = (scores - weight[..., None]).exp().to(value.dtype)
    out = torch.bmm(shares.flatten(0, 1), value.flatten(0, 1))
    return out.view(rows, heads, -1, out.shape[-1]), weight


def merged(out: Tensor, weight: Tensor, more: Tensor, more_weight: Tensor) -> tuple[Tensor, Tensor]:
    """Attention over two parts together, from the attention over each."""
    share = torch.sigmoid(more_weight - weight).unsqueeze(-1)
    return torch.lerp(out.float(), more.float(), share).to(out.dtype), torch.logaddexp(weight, more_weight)


def hidden_after(newest: Tensor, total: int, window: int | None, dtype: torch.dtype) -> Tensor:
    """A mask to add to scores: minus infinity for tokens after a query's own, or before its window.

    Args:
        newest: Index of each query's own token, shape `(queries,)`.
        total: How many tokens there are.
        window: How many tokens a query sees; None for all.
        dtype: Of the mask.

    Returns:
        Shape `(queries, total)`.
    """
    token = torch.arange(total, device=newest.device)
    newest = newest[:, None]
    hidden = token > newest
    if window is not None:
        hidden |= token <= newest - window
    return torch.zeros(hidden.shape, dtype=dtype, device=newest.device).masked_fill_(hidden, float("-inf"))
