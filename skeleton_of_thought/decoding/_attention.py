"""The attention of one flat pass: rows that decode side by side, and prompts on their way, of any length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import scaled_dot_product_attention

from skeleton_of_thought.decoding._kernels import hidden_after
from skeleton_of_thought.decoding._rows import DecodeRow, RowAttention

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from skeleton_of_thought.decoding._memory import Chain, Layout, Segment, Slots


@dataclass(frozen=True, slots=True)
class Fill:
    """Tokens of a segment on their way through the model.

    Attributes:
        segment: The segment; what it has so far is read, what it gets is written.
        count: Tokens in this pass.
        position: Position of the first of them in the text.
        past: The segments before it.
    """

    segment: Segment
    count: int
    position: int
    past: Chain


class FlatPass:
    """One run through the model of tokens from many texts, side by side in one row: no padding anywhere.

    First come the rows that decode, in the order of their slots, then the fills. A fill may be read by a
    later fill of the same pass: in every layer all keys and values are written before any are read.

    Args:
        layout: The model's layers.
        slots: Where the decoding rows have their keys and values.
        rows: The rows that decode, all slots in order.
        fills: The prompts on their way.

    Attributes:
        tokens: All tokens.
        positions: Their positions, each in its text.
        last: The index of each text's last token.
    """

    def __init__(
        self, layout: Layout, slots: Slots, rows: Sequence[DecodeRow], fills: Sequence[Fill]
    ) -> None:
        self._place = layout.place
        self._count = len(rows)
        self._rows = RowAttention(slots, rows)
        self._fills = fills
        self._masks: dict[tuple[object, ...], Tensor] = {}
        self.tokens = [row.token for row in rows]
        self.positions = [row.position for row in rows]
        self.last = list(range(len(rows)))
        for fill in fills:
            start = fill.segment.filled
            self.tokens += fill.segment.tokens[start : start + fill.count]
            self.positions += range(fill.position, fill.position + fill.count)
            self.last.append(len(self.tokens) - 1)

    def attend(
        self,
        layer: int,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        *,
        scale: float | None = None,
        window: int | None = None,
    ) -> Tensor:
        """Write the keys and values of all tokens, then let every token look at what came before it.

        Args:
            layer: Index of the layer.
            query: Shape `(1, heads, tokens, dim)`.
            key: Shape `(1, key-value heads, tokens, dim)`.
            value: The same.
            scale: Factor of the scores, if it is not one over the root of dim.
            window: Tokens see only so many, themselves included.

        Returns:
            Shape `(1, tokens, heads, dim)`.
        """
        scale = query.shape[-1] ** -0.5 if scale is None else scale
        query, key, value = query[0], key[0], value[0]
        if not self._fills:
            return self._rows.attend(layer, query, key, value, scale=scale, window=window).unsqueeze(0)
        counts = [self._count, *(fill.count for fill in self._fills)]
        queries, keys, values = (torch.split(tensor, counts, dim=1) for tensor in (query, key, value))
        group, index = self._place[layer]
        for fill, new_keys, new_values in zip(self._fills, keys[1:], values[1:], strict=True):
            start, end = fill.segment.filled, fill.segment.filled + fill.count
            fill.segment.keys[group][index][:, start:end] = new_keys
            fill.segment.values[group][index][:, start:end] = new_values
        outputs = [
            self._fill(fill, (group, index), one, scale, window)
            for fill, one in zip(self._fills, queries[1:], strict=True)
        ]
        if self._count:
            rows = self._rows.attend(layer, queries[0], keys[0], values[0], scale=scale, window=window)
            outputs.insert(0, rows)
        return torch.cat(outputs).unsqueeze(0)

    def _fill(
        self, fill: Fill, place: tuple[int, int], query: Tensor, scale: float, window: int | None
    ) -> Tensor:
        """The tokens of one prompt; query of shape `(heads, tokens, dim)`, the result `(tokens, heads, dim)`."""
        group, index = place
        end = fill.segment.filled + fill.count
        keys = [segment.keys[group][index][:, :used] for segment, used in fill.past]
        values = [segment.values[group][index][:, :used] for segment, used in fill.past]
        keys.append(fill.segment.keys[group][index][:, :end])
        values.append(fill.segment.values[group][index][:, :end])
        key = keys[0] if len(keys) == 1 else torch.cat(keys, 1)
        value = values[0] if len(values) == 1 else torch.cat(values, 1)
        total = key.shape[1]
        causal = total == fill.count and (window is None or total <= window)
        out = scaled_dot_product_attention(
            query.unsqueeze(0),
            key.unsqueeze(0),
            value.unsqueeze(0),
            attn_mask=None if causal else self._mask(fill.count, total, window, query),
            is_causal=causal,
            scale=scale,
            enable_gqa=query.shape[0] != key.shape[0],
        )
        return out[0].transpose(0, 1)

    def _mask(self, count: int, total: int, window: int | None, query: Tensor) -> Tensor:
        """What the last `count` of `total` tokens see: `(count, total)`, added to the scores."""
        key = (count, total, window, query.device)
        if key not in self._masks:
            newest = torch.arange(total - count, total, device=query.device)
            self._masks[key] = hidden_after(newest, total, window, query.dtype)
        return self._masks[key]
