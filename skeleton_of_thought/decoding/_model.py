"""A view of a transformers model whose attention is ours: many rows of any length in one flat pass."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import torch
from transformers import AttentionInterface

from skeleton_of_thought.errors import ConfigurationError

if TYPE_CHECKING:
    from torch import Tensor

_NAME = "skeleton_of_thought"


class Row:
    """Keys and values of one row."""

    def __init__(self) -> None:
        self.kv: dict[int, tuple[Tensor, Tensor]] = {}
        self.length = 0


def attend(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    _mask: Tensor | None,
    *,
    rows: list[tuple[Row, int]],
    scaling: float | None = None,
    sliding_window: int | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    layer = module.layer_idx
    outs = []
    at = 0
    for row, n in rows:
        q, k, v = (x[:, :, at : at + n] for x in (query, key, value))
        at += n
        if layer in row.kv:
            k = torch.cat([row.kv[layer][0], k], -2)
            v = torch.cat([row.kv[layer][1], v], -2)
        row.kv[layer] = (k, v)
        total = k.shape[-2]
        mask = None
        if n > 1 or sliding_window:
            distance = torch.arange(total - n, total)[:, None] - torch.arange(total)
            mask = distance >= 0
            if sliding_window:
                mask &= distance < sliding_window
            mask = mask.to(q.device)
        outs.append(
            torch.nn.functional.scaled_dot_product_attention(
                q, k, v, attn_mask=mask, scale=scaling, enable_gqa=q.shape[1] != k.shape[1]
            )
        )
    return torch.cat(outs, 2).transpose(1, 2).contiguous(), None


AttentionInterface.register(_NAME, attend)


def view_of(model: Any) -> Any:
    """A copy of the modules that shares every weight with `model`, with our attention."""
    if not model._supports_attention_backend:
        raise ConfigurationError(f"{type(model).__name__} does not let its attention be replaced.")
    shared = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    view = copy.deepcopy(model, shared).eval()
    view.set_attn_implementation(_NAME)
    return view


class Forward:
    def __init__(self, model: Any) -> None:
        self.view = view_of(model)
        self.device = model.get_input_embeddings().weight.device

    @torch.inference_mode()
    def __call__(self, batch: list[tuple[Row, list[int]]]) -> Tensor:
        ids = [t for _, tokens in batch for t in tokens]
        pos = [row.length + i for row, tokens in batch for i in range(len(tokens))]
        last, at = [], -1
        for _, tokens in batch:
            at += len(tokens)
            last.append(at)
        logits = self.view(
            input_ids=torch.tensor([ids], device=self.device),
            position_ids=torch.tensor([pos], device=self.device),
            use_cache=False,
            logits_to_keep=torch.tensor(last, device=self.device),
            rows=[(row, len(tokens)) for row, tokens in batch],
        ).logits[0]
        for row, tokens in batch:
            row.length += len(tokens)
        return logits
