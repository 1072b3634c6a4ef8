"""The attention of one flat pass: rows that decode side by side, prompts of any length, shared beginnings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import scaled_dot_product_attention

from skeleton_of_thought.decoding._kernels import attention, attention_and_weight, merged, reads_whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from skeleton_of_thought.decoding._memory import Chain, Layout, Segment, Slots


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
    """

    def __init__(
        self, layout: Layout, slots: Slots, rows: Sequence[DecodeRow], fills: Sequence[Fill]
    ) -> None:
        self._place = layout.place
        self._slots = slots
        self._rows = rows
        self._fills = fills
        self.tokens = [row.token for row in rows]
        self.positions = [row.position for row in rows]
        self.last = list(range(len(rows)))  # the index of each text's last token
        for fill in fills:
            start = fill.segment.filled
            self.tokens += fill.segment.tokens[start : start + fill.count]
            self.positions += range(fill.position, fill.position + fill.count)
            self.last.append(len(self.tokens) - 1)
        self._longest = max((row.length for row in rows), default=0) + 1
        self._shared = _by_segment(rows)
        self._cache: dict[tuple[object, ...], Tensor | None] = {}

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
        group, index = self._place[layer]
        count = len(self._rows)
        outputs = []
        at = count
        for fill in self._fills:
            start, end = fill.segment.filled, fill.segment.filled + fill.count
            fill.segment.keys[group][index][:, start:end] = key[0, :, at : at + fill.count]
            fill.segment.values[group][index][:, start:end] = value[0, :, at : at + fill.count]
            at += fill.count
        if count:
            self._write(layer, key[0, :, :count], value[0, :, :count])
            outputs.append(self._decode(layer, query[0, :, :count], scale, window))
        at = count
        for fill in self._fills:
            outputs.append(self._fill(fill, (group, index), query[:, :, at : at + fill.count], scale, window))
            at += fill.count
        return (outputs[0] if len(outputs) == 1 else torch.cat(outputs)).unsqueeze(0)

    def _write(self, layer: int, key: Tensor, value: Tensor) -> None:
        """Keys and values of the rows' new tokens, shape `(heads, rows, dim)`, into the slots."""
        where = self._where(key.shape[0], key.device)
        for flat, new in ((self._slots.flat_keys[layer], key), (self._slots.flat_values[layer], value)):
            flat.index_copy_(0, where, new.transpose(0, 1).reshape(len(where), -1))

    def _decode(self, layer: int, query: Tensor, scale: float | None, window: int | None) -> Tensor:
        """One token per row; query of shape `(heads, rows, dim)`, the result `(rows, heads, dim)`."""
        group, index = self._place[layer]
        keys = self._slots.keys[group][index, : len(self._rows)]
        values = self._slots.values[group][index, : len(self._rows)]
        count, heads = keys.shape[:2]
        # The query heads that share a key-value head are rows of one small matrix: (rows, heads, shared, dim).
        query = query.transpose(0, 1).reshape(count, heads, -1, query.shape[-1])
        end = self._slots.capacity if reads_whole(query) else self._longest
        mask = self._row_mask(query, end, window)
        keys, values = keys[:, :, :end], values[:, :, :end]
        if not self._shared:
            return attention(query, keys, values, mask=mask, scale=scale).reshape(count, -1, values.shape[-1])
        out, weight = attention_and_weight(query, keys, values, mask=mask, scale=scale)
        for segment, used, rows in self._shared:
            chosen = self._index(rows, query.device)
            some = query if chosen is None else query[chosen]
            # All rows read the segment at once: (1, heads, rows * shared, dim).
            folded = some.transpose(0, 1).reshape(1, heads, -1, query.shape[-1])
            more, more_weight = attention_and_weight(
                folded,
                segment.keys[group][index, None, :, :used],
                segment.values[group][index, None, :, :used],
                scale=scale,
            )
            more = more.view(heads, len(rows), -1, more.shape[-1]).transpose(0, 1)
            more_weight = more_weight.view(heads, len(rows), -1).transpose(0, 1)
            if chosen is None:
                out, weight = merged(out, weight, more, more_weight)
            else:
                out[chosen], weight[chosen] = merged(out[chosen], weight[chosen], more, more_weight)
        return out.reshape(count, -1, out.shape[-1])

    def _fill(
        self, fill: Fill, place: tuple[int, int], query: Tensor, scale: float | None, window: int | None
    ) -> Tensor:
        """The tokens of one prompt; query of shape `(1, heads, tokens, dim)`, the result `(tokens, heads, dim)`."""
        group, index = place
        end = fill.segment.filled + fill.count
        keys = [segment.keys[group][index][:, :used] for segment, used in fill.past]
        values = [segment.values[group][index][:, :used] for segment, used in fill.past]
        keys.append(fill.segment.keys[group][index][:, :end])
        values.append(fill.segment.values[group][index][:, :end])
        key = (keys[0] if len(keys) == 1 else torch.cat(keys, 1)).unsqueeze(0)
        value = (values[0] if len(values) == 1 else torch.cat(values, 1)).unsqueeze(0)
        total = key.shape[2]
        plain = total == fill.count and (window is None or total <= window)
        out = scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=None if plain else self._causal_mask(fill.count, total, window, query),
            is_causal=plain,
            scale=scale,
            enable_gqa=query.shape[1] != key.shape[1],
        )
        return out[0].transpose(0, 1)

    def _where(self, heads: int, device: torch.device) -> Tensor:
        """Where in the flat slots the heads of each row's new token go."""
        key = ("where", heads, device)
        if key not in self._cache:
            lengths = torch.tensor([row.length for row in self._rows])
            first = torch.arange(len(self._rows) * heads) * self._slots.capacity
            self._cache[key] = (first + lengths.repeat_interleave(heads)).to(device)
        found = self._cache[key]
        assert found is not None
        return found

    def _index(self, rows: tuple[int, ...], device: torch.device) -> Tensor | None:
        """Rows as an index, None for all of them."""
        key = ("rows", rows, device)
        if key not in self._cache:
            everything = len(rows) == len(self._rows)
            self._cache[key] = None if everything else torch.tensor(rows, device=device)
        return self._cache[key]

    def _row_mask(self, query: Tensor, end: int, window: int | None) -> Tensor | None:
        """What of the first tokens of its slot each row sees: `(rows, 1, 1, end)`, added; None if everything."""
        key = ("slots", end, window, query.device)
        if key not in self._cache:
            lengths = [row.length for row in self._rows]
            if min(lengths) == end - 1 and (window is None or end <= window):
                self._cache[key] = None
            else:
                token = torch.arange(end, device=query.device)
                newest = torch.tensor(lengths, device=query.device)[:, None]
                hidden = token > newest
                if window is not None:
                    hidden |= token <= newest - window
                self._cache[key] = _added(hidden, query.dtype)[:, None, None]
        return self._cache[key]

    def _causal_mask(self, count: int, total: int, window: int | None, query: Tensor) -> Tensor | None:
        """What the last `count` of `total` tokens see: `(count, total)`, added to the scores."""
        key = ("fill", count, total, window, query.device)
        if key not in self._cache:
            newest = torch.arange(total - count, total, device=query.device)[:, None]
            token = torch.arange(total, device=query.device)
            hidden = token > newest
            if window is not None:
                hidden |= token <= newest - window
            self._cache[key] = _added(hidden, query.dtype)
        return self._cache[key]


def _by_segment(rows: Sequence[DecodeRow]) -> list[tuple[Segment, int, tuple[int, ...]]]:
    """For each stretch of a segment that is read in place, the rows that read it."""
    found: dict[tuple[Segment, int], list[int]] = {}
    for index, row in enumerate(rows):
        for part in row.past:
            found.setdefault(part, []).append(index)
    return [(segment, used, tuple(readers)) for (segment, used), readers in found.items()]


def _added(hidden: Tensor, dtype: torch.dtype) -> Tensor:
    """A mask to add to scores: minus infinity where hidden."""
    return torch.zeros(hidden.shape, dtype=dtype, device=hidden.device).masked_fill_(hidden, float("-inf"))
