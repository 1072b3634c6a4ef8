"""Attention of the rows that decode: one token each, against their slots and what they share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch.nn.functional import scaled_dot_product_attention

from skeleton_of_thought.decoding.kernels import (
    attention_and_weight,
    hidden_after,
    merged,
    product_attention,
    product_attention_with_shared,
    rows_want_products,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from skeleton_of_thought.decoding.memory import Chain, LayerSlots, Segment, Slots


@dataclass(frozen=True, slots=True)
class DecodeRow:
    """A row that adds one token.

    Attributes:
        token: The token.
        position: Its position in the text.
        length: Tokens in the row's slot before it.
        past: What is read in place, before the slot.
    """

    token: int
    position: int
    length: int
    past: Chain


@dataclass(frozen=True, slots=True)
class _Prepared:
    """What all layers of a group need that does not change from layer to layer.

    Attributes:
        cells: Where in the slots, as a list of heads' tokens, the new ones go.
        end: How much of every slot is read.
        mask: Added to the scores, `(rows, 1, 1, end)`; None if every row sees all of it.
        products: Whether the kernel of batched products is used, for which a mask is always there.
    """

    cells: Tensor
    end: int
    mask: Tensor | None
    products: bool


class _Shared(NamedTuple):
    """A stretch of a segment that rows read in place.

    Attributes:
        segment: The segment.
        used: How many of its first tokens are read.
        rows: The rows that read it; None for all.
    """

    segment: Segment
    used: int
    rows: Tensor | None


class RowAttention:
    """The part of a pass that decodes; made for one pass.

    Args:
        slots: Where the rows have their keys and values.
        rows: All rows, in the order of their slots.
    """

    def __init__(self, slots: Slots, rows: Sequence[DecodeRow]) -> None:
        self._slots = slots
        self._rows = rows
        self._shared = _by_segment(rows)
        self._prepared: dict[tuple[int, int | None], _Prepared] = {}

    def attend(
        self,
        layer: int,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        *,
        scale: float,
        window: int | None,
    ) -> Tensor:
        """Write each row's key and value, then read; shapes `(heads, rows, dim)`, the result `(rows, heads, dim)`."""
        slots = self._slots.layers[layer]
        prepared = self._prepared.get((slots.group, window)) or self._prepare(slots, query, key, window)
        count, heads = len(self._rows), key.shape[0]
        slots.key_cells.index_copy_(0, prepared.cells, key.transpose(0, 1).reshape(count * heads, -1))
        slots.value_cells.index_copy_(0, prepared.cells, value.transpose(0, 1).reshape(count * heads, -1))
        # The query heads that share a key-value head are the rows of one small matrix.
        query = query.transpose(0, 1).reshape(count * heads, -1, query.shape[-1])
        if self._shared:
            out = self._with_shared(slots, prepared, query.view(count, heads, -1, query.shape[-1]), scale)
        elif prepared.products:
            assert prepared.mask is not None
            out = product_attention(
                query,
                slots.keys[:count].flatten(0, 1),
                slots.values[:count].flatten(0, 1),
                mask=prepared.mask,
                scale=scale,
            )
        else:
            out = scaled_dot_product_attention(
                query.view(count, heads, -1, query.shape[-1]),
                slots.keys[:count, :, : prepared.end],
                slots.values[:count, :, : prepared.end],
                attn_mask=prepared.mask,
                scale=scale,
            )
        return out.reshape(count, -1, out.shape[-1])

    def _with_shared(self, slots: LayerSlots, prepared: _Prepared, query: Tensor, scale: float) -> Tensor:
        """Attention over the slots and over every segment read in place; query `(rows, heads, shared, dim)`."""
        count, heads = query.shape[:2]
        if prepared.products and len(self._shared) == 1 and self._shared[0].rows is None:
            segment, used, _ = self._shared[0]
            assert prepared.mask is not None
            return product_attention_with_shared(
                query,
                slots.keys[:count],
                slots.values[:count],
                segment.keys[slots.group][slots.index, :, :used],
                segment.values[slots.group][slots.index, :, :used],
                mask=prepared.mask,
                scale=scale,
            )
        out, weight = attention_and_weight(
            query,
            slots.keys[:count, :, : prepared.end],
            slots.values[:count, :, : prepared.end],
            mask=prepared.mask,
            scale=scale,
        )
        for segment, used, rows in self._shared:
            chosen = slice(None) if rows is None else rows.to(query.device)
            # All rows read the segment at once: (1, heads, rows * shared, dim).
            folded = query[chosen].transpose(0, 1).reshape(1, heads, -1, query.shape[-1])
            more, more_weight = attention_and_weight(
                folded,
                segment.keys[slots.group][slots.index, None, :, :used],
                segment.values[slots.group][slots.index, None, :, :used],
                scale=scale,
            )
            readers = count if rows is None else len(rows)
            more = more.view(heads, readers, -1, more.shape[-1]).transpose(0, 1)
            more_weight = more_weight.view(heads, readers, -1).transpose(0, 1)
            out[chosen], weight[chosen] = merged(out[chosen], weight[chosen], more, more_weight)
        return out

    def _prepare(self, slots: LayerSlots, query: Tensor, key: Tensor, window: int | None) -> _Prepared:
        count, heads = len(self._rows), key.shape[0]
        lengths = torch.tensor([row.length for row in self._rows])
        cells = torch.arange(count * heads) * self._slots.capacity + lengths.repeat_interleave(heads)
        products = rows_want_products(key.device, key.dtype, count, heads)
        end = self._slots.capacity if products else int(lengths.max()) + 1
        mask = None
        if products or int(lengths.min()) + 1 < end or (window is not None and window < end):
            mask = hidden_after(lengths.to(query.device), end, window, query.dtype)[:, None, None]
            if products and not self._shared:
                mask = mask.expand(count, heads, 1, end).flatten(0, 1)
        prepared = _Prepared(cells.to(key.device), end, mask, products)
        self._prepared[slots.group, window] = prepared
        return prepared


def _by_segment(rows: Sequence[DecodeRow]) -> list[_Shared]:
    """Each stretch of a segment that is read in place."""
    found: dict[tuple[Segment, int], list[int]] = {}
    for index, row in enumerate(rows):
        for part in row.past:
            found.setdefault(part, []).append(index)
    return [
        _Shared(segment, used, None if len(readers) == len(rows) else torch.tensor(readers))
        for (segment, used), readers in found.items()
    ]
