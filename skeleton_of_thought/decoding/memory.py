"""Keys and values: of shared prompts, kept in segments, and of what each row writes, kept in slots."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor


@dataclass(frozen=True, slots=True)
class LayerShape:
    """What one attention layer keeps for a token."""

    heads: int
    key_dim: int
    value_dim: int
    dtype: torch.dtype
    device: torch.device


class Layout:
    """Layers that keep the same shape on the same device are stored in one tensor; most models have one group.

    Attributes:
        groups: For each group, its shape and how many layers it has.
        place: For each layer, its group and its index in it.
    """

    def __init__(self, shapes: Mapping[int, LayerShape]) -> None:
        members: dict[LayerShape, int] = {}
        self.place: dict[int, tuple[int, int]] = {}
        for layer, shape in sorted(shapes.items()):
            index = members.setdefault(shape, 0)
            self.place[layer] = (list(members).index(shape), index)
            members[shape] += 1
        self.groups = tuple(members.items())

    def tokens_that_fit(self) -> int | None:
        """Tokens whose keys and values fit half of the memory there is; None if that cannot be known."""
        fits = []
        for device in {shape.device for shape, _ in self.groups}:
            free = _free_bytes(device)
            if free is None:
                return None
            size = sum(
                layers * shape.heads * (shape.key_dim + shape.value_dim) * shape.dtype.itemsize
                for shape, layers in self.groups
                if shape.device == device
            )
            fits.append(free // 2 // size)
        return min(fits)

    def empty(self, before: Sequence[int], after: Sequence[int]) -> tuple[list[Tensor], list[Tensor]]:
        """Room for keys and values of every group.

        Args:
            before: Dimensions between layers and heads.
            after: Dimensions between heads and the head's dimension.
        """
        keys: list[Tensor] = []
        values: list[Tensor] = []
        for shape, layers in self.groups:
            for tensors, dim in ((keys, shape.key_dim), (values, shape.value_dim)):
                size = (layers, *before, shape.heads, *after, dim)
                tensors.append(torch.empty(size, dtype=shape.dtype, device=shape.device))
        return keys, values


class Segment:
    """A stretch of tokens with its keys and values, somewhere in a tree of everything computed lately.

    It follows the first `offset` tokens of its parent; the root has none and is empty. Keys and values have
    shape `(layers, heads, tokens, dim)` per group of layers, positions already rotated in.

    Attributes:
        parent: The segment it follows.
        offset: How many of the parent's tokens come before it.
        tokens: Its own tokens.
        filled: How many of them have been through the model.
        wanted: Requests that wait for it to be filled.
        children: Segments that follow it.
        used: When it was last of use, for eviction.
    """

    __slots__ = ("children", "filled", "keys", "offset", "parent", "tokens", "used", "values", "wanted")

    def __init__(
        self,
        tokens: Sequence[int] = (),
        *,
        parent: Segment | None = None,
        offset: int = 0,
        keys: Sequence[Tensor] = (),
        values: Sequence[Tensor] = (),
        filled: int = 0,
    ) -> None:
        self.tokens = tuple(tokens)
        self.parent = parent
        self.offset = offset
        self.keys = keys
        self.values = values
        self.filled = filled
        self.wanted = 0
        self.children: list[Segment] = []
        self.used = 0


Chain = tuple[tuple[Segment, int], ...]
"""A prompt as segments, each with how many of its first tokens count."""


@dataclass(frozen=True, slots=True)
class LayerSlots:
    """All slots of one layer, in two views of the same memory.

    Attributes:
        keys: Shape `(slots, heads, capacity, dim)`.
        values: The same.
        key_cells: The same memory as a list, `(slots * heads * capacity, dim)`.
        value_cells: The same.
        group: The layer's group in the layout.
        index: Its index in the group.
    """

    keys: Tensor
    values: Tensor
    key_cells: Tensor
    value_cells: Tensor
    group: int
    index: int


class Slots:
    """What the rows of the batch write, one slot each: a rectangle, so that one kernel reads all rows.

    Keys and values have shape `(layers, slots, heads, capacity, dim)` per group. A row's tokens lie at the
    start of its slot, whatever their positions are. The rectangle is little longer than the longest row: the
    kernels for many rows read all of it.

    Args:
        layout: The model's layers.
    """

    _SLOTS = 8
    _STEP = 32  # tokens the capacity grows by, or a sixteenth

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self.slots = 0
        self.capacity = 0
        self.keys: list[Tensor] = []
        self.values: list[Tensor] = []
        self.layers: dict[int, LayerSlots] = {}

    def fit(self, rows: int, length: int, more: tuple[int, int] = (0, 1)) -> None:
        """Make the rectangle fit.

        Args:
            rows: Slots in use, which are kept.
            length: Tokens of the longest of them.
            more: Slots and tokens to make room for beyond these.
        """
        slots, tokens = rows + more[0], length + more[1]
        if slots <= self.slots and tokens <= self.capacity <= 2 * (tokens + self._STEP):
            return
        if slots <= self.slots <= 2 * slots:
            slots = self.slots
        elif slots > 1:  # a text alone, a plain answer, often stays so
            grown = self.slots + self.slots // 2 if slots > self.slots else slots
            slots = max(slots, grown, self._SLOTS)
        capacity = -(-(tokens + tokens // 16) // self._STEP) * self._STEP
        keys, values = self._layout.empty((slots,), (capacity,))
        for old, new in ((self.keys, keys), (self.values, values)):
            for source, target in zip(old, new, strict=False):
                target[:, :rows, :, :length] = source[:, :rows, :, :length]
            for (
                target
            ) in new:  # what lies behind a row's tokens is read and weighted with 0: it must not be NaN
                target[:, :rows, :, length:] = 0
                target[:, rows:] = 0
        self._set(keys, values, slots, capacity)

    def release(self) -> None:
        """Give all memory back."""
        self._set([], [], 0, 0)

    def take(self, slot: int, at: int, segment: Segment, count: int) -> None:
        """Copy the first tokens of a segment into a slot."""
        for mine, theirs in ((self.keys, segment.keys), (self.values, segment.values)):
            for target, source in zip(mine, theirs, strict=True):
                target[:, slot, :, at : at + count] = source[:, :, :count]

    def give(self, slot: int, start: int, end: int) -> tuple[list[Tensor], list[Tensor]]:
        """Keys and values of some of a slot's tokens, copied, in a segment's shape."""
        keys, values = (
            [tensor[:, slot, :, start:end].clone(memory_format=torch.contiguous_format) for tensor in tensors]
            for tensors in (self.keys, self.values)
        )
        return keys, values

    def as_segment(self, slot: int, tokens: Sequence[int], *, filled: int) -> Segment:
        """A slot as a segment: what is filled into the segment stands in the slot."""
        keys, values = ([tensor[:, slot] for tensor in tensors] for tensors in (self.keys, self.values))
        return Segment(tokens, keys=keys, values=values, filled=filled)

    def move(self, source: int, target: int, count: int) -> None:
        """Copy one slot's tokens over another's."""
        for tensor in (*self.keys, *self.values):
            tensor[:, target, :, :count] = tensor[:, source, :, :count]

    def _set(self, keys: list[Tensor], values: list[Tensor], slots: int, capacity: int) -> None:
        self.keys, self.values, self.slots, self.capacity = keys, values, slots, capacity
        self.layers = {}
        for layer, (group, index) in self._layout.place.items() if keys else ():
            key, value = keys[group][index], values[group][index]
            self.layers[layer] = LayerSlots(key, value, key.flatten(0, 2), value.flatten(0, 2), group, index)


def _free_bytes(device: torch.device) -> int | None:
    """Memory of a device: what is free of a GPU's, all of the machine's."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    if device.type == "mps":
        return torch.mps.recommended_max_memory()
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # Windows has no sysconf
        return None
