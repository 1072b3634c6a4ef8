"""The attention of one flat pass: rows that decode side by side, and prompts on their way, of any length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import scaled_dot_product_attention

from skeleton_of_thought.decoding.kernels import hidden_after, product_attention, wants_products
from skeleton_of_thought.decoding.rows import DecodeRow, RowAttention

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from skeleton_of_thought.decoding.memory import Chain, Layout, Segment, Slots

_MOST_SCORES = 1 << 26  # as many scores at once at most: 128 MiB in bfloat16


@dataclass(frozen=True, slots=True)
class Fill:
    """Tokens of a segment on their way through the model.

    Attributes:
        segment: The segment; what it has so far is read, what it gets is written.
        count: Tokens in this pass.
        position: Position of the first of them in the text.
        past: The segments before it.
        wanted: For how many of its tokens, the last ones, the logits are wanted.
    """

    segment: Segment
    count: int
    position: int
    past: Chain
    wanted: int = 1


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
        last: The index of each text's last token, or of its last ones.
    """

    def __init__(
        self, layout: Layout, slots: Slots, rows: Sequence[DecodeRow], fills: Sequence[Fill]
    ) -> None:
        self._place = layout.place
        self._count = len(rows)
        self._rows = RowAttention(slots, rows)
        self._fills = fills
        self._masks: dict[tuple[object, ...], Tensor] = {}
        self._grouped: list[list[int]] | None = None
        self._products = False
        self.tokens = [row.token for row in rows]
        self.positions = [row.position for row in rows]
        self.last = list(range(len(rows)))
        for fill in fills:
            start = fill.segment.filled
            self.tokens += fill.segment.tokens[start : start + fill.count]
            self.positions += range(fill.position, fill.position + fill.count)
            self.last += range(len(self.tokens) - fill.wanted, len(self.tokens))

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
        outputs: list[Tensor] = [query] * len(counts)
        if self._count:
            outputs[0] = self._rows.attend(layer, queries[0], keys[0], values[0], scale=scale, window=window)
        else:
            outputs[0] = query.new_empty(0, query.shape[0], value.shape[-1])
        for members in self._groups(key, query.shape[0]):
            chosen = [self._fills[member] for member in members]
            asked = [queries[member + 1] for member in members]
            seen = _seen(chosen, group, index)
            if self._products:
                found = self._together(chosen, asked, *seen, scale=scale, window=window)
            else:
                found = [self._alone(chosen[0], asked[0], *seen, scale=scale, window=window)]
            for member, output in zip(members, found, strict=True):
                outputs[member + 1] = output
        return torch.cat(outputs).unsqueeze(0)

    def _groups(self, key: Tensor, heads: int) -> list[list[int]]:
        """The fills that are computed together: those with one past, where batched products are fastest."""
        if self._grouped is None:
            by_past: dict[Chain, list[int]] = {}
            for number, fill in enumerate(self._fills):
                by_past.setdefault(fill.past, []).append(number)
            groups = list(by_past.values())
            largest = max(_score_count([self._fills[member] for member in members]) for members in groups)
            self._products = wants_products(key.device, key.dtype) and largest * heads <= _MOST_SCORES
            if not self._products:
                groups = [[number] for number in range(len(self._fills))]
            self._grouped = groups
        return self._grouped

    def _together(
        self,
        fills: Sequence[Fill],
        queries: Sequence[Tensor],
        key: Tensor,
        value: Tensor,
        *,
        scale: float,
        window: int | None,
    ) -> Sequence[Tensor]:
        """Several prompts with one past; like `_alone` for each of them."""
        query = torch.cat(tuple(queries), 1) if len(queries) > 1 else queries[0]
        heads, tokens, dim = query.shape
        kept = key.shape[0]
        mask = self._mask(fills, heads // kept, window, query)
        out = product_attention(
            query.reshape(kept, heads // kept * tokens, dim), key, value, mask=mask, scale=scale
        )
        out = out.view(heads, tokens, -1).transpose(0, 1)
        return torch.split(out, [fill.count for fill in fills])

    def _alone(
        self,
        fill: Fill,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        *,
        scale: float,
        window: int | None,
    ) -> Tensor:
        """The tokens of one prompt; query of shape `(heads, tokens, dim)`, the result `(tokens, heads, dim)`."""
        total = key.shape[1]
        causal = total == fill.count and (window is None or total <= window)
        out = scaled_dot_product_attention(
            query.unsqueeze(0),
            key.unsqueeze(0),
            value.unsqueeze(0),
            attn_mask=None if causal else self._mask([fill], 1, window, query),
            is_causal=causal,
            scale=scale,
            enable_gqa=query.shape[0] != key.shape[0],
        )
        return out[0].transpose(0, 1)

    def _mask(self, fills: Sequence[Fill], copies: int, window: int | None, query: Tensor) -> Tensor:
        """What the tokens of fills with one past see, added to the scores: `(copies * tokens, past and own)`.

        A token sees the past, and of its own segment what is not after it; nothing of the other fills'.
        """
        key = (*(id(fill) for fill in fills), copies, window, query.device)
        if key not in self._masks:
            past = sum(used for _, used in fills[0].past)
            ends = [fill.segment.filled + fill.count for fill in fills]
            mask = query.new_full((sum(fill.count for fill in fills), past + sum(ends)), float("-inf"))
            row, column = 0, past
            for fill, end in zip(fills, ends, strict=True):
                newest = torch.arange(past + fill.segment.filled, past + end, device=query.device)
                seen = hidden_after(newest, past + end, window, query.dtype)
                rows = mask[row : row + fill.count]
                rows[:, :past], rows[:, column : column + end] = seen[:, :past], seen[:, past:]
                row, column = row + fill.count, column + end
            self._masks[key] = mask.repeat(copies, 1)
        return self._masks[key]


def _seen(fills: Sequence[Fill], group: int, index: int) -> tuple[Tensor, Tensor]:
    """Keys and values, in one layer, of what comes before fills with one past, and of all their segments have."""
    parts = [*fills[0].past, *((fill.segment, fill.segment.filled + fill.count) for fill in fills)]
    keys = [segment.keys[group][index][:, :used] for segment, used in parts]
    values = [segment.values[group][index][:, :used] for segment, used in parts]
    return (keys[0], values[0]) if len(parts) == 1 else (torch.cat(keys, 1), torch.cat(values, 1))


def _score_count(fills: Sequence[Fill]) -> int:
    """How many scores one head has of fills that are computed together."""
    own = sum(fill.segment.filled + fill.count for fill in fills)
    return sum(fill.count for fill in fills) * (own + sum(used for _, used in fills[0].past))
