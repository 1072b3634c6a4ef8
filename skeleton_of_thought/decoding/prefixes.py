"""What has been computed lately, as a tree of segments, for prompts that begin alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skeleton_of_thought.decoding.memory import Chain, Layout, Segment

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor


class PrefixTree:
    """Finds the longest beginning of a prompt that is in memory, token by token.

    A segment is never split: another one may follow any of its tokens. Memory is bounded in tokens; what was
    not of use for longest leaves first, children before their parents. A segment that leaves the tree lives
    on for the rows that still read it.

    Args:
        layout: The model's layers.
        limit: Most tokens to keep.
    """

    def __init__(self, layout: Layout, limit: int) -> None:
        self._layout = layout
        self._limit = limit
        self._clock = 0
        self._root = Segment()
        self.tokens = 0

    def match(self, tokens: Sequence[int], most: int) -> tuple[Chain, int]:
        """The chain of segments that covers most of a prompt's first tokens, and how many tokens it covers.

        Args:
            tokens: The prompt.
            most: Cover no more tokens than this.
        """
        best: Chain = ()
        reach = 0
        open_ends: list[tuple[Segment, int, int, Chain]] = [(self._root, 0, 0, ())]
        while open_ends:
            segment, start, matched, before = (
                open_ends.pop()
            )  # matched tokens of it equal those from start on
            for child in segment.children:
                if child.offset > matched:
                    continue
                at = start + child.offset
                if common := common_prefix(child.tokens, tokens, at, most):
                    chain = (*before, (segment, child.offset)) if child.offset else before
                    open_ends.append((child, at, common, chain))
                    if at + common > reach:
                        best, reach = (*chain, (child, common)), at + common
        self._clock += 1
        for segment, _ in best:
            segment.used = self._clock
        return best, reach

    def plan(self, chain: Chain, tokens: Sequence[int]) -> Segment:
        """Add a segment that will be filled, after the tokens of a chain."""
        keys, values = self._layout.empty((), (len(tokens),))
        return self._add(chain, Segment(tokens, keys=keys, values=values))

    def keep(self, chain: Chain, tokens: Sequence[int], keys: list[Tensor], values: list[Tensor]) -> None:
        """Add a segment that is computed already."""
        self._add(chain, Segment(tokens, keys=keys, values=values, filled=len(tokens)))

    def remove(self, segment: Segment) -> None:
        """Take a segment and everything after it out."""
        parent = segment.parent
        if parent is not None and segment in parent.children:
            parent.children.remove(segment)
            self.tokens -= sum(len(each.tokens) for each in _walk(segment))

    def clear(self) -> None:
        """Forget everything."""
        self._root = Segment()
        self.tokens = 0

    def evict(self) -> None:
        """Keep within the limit; what requests wait for stays."""
        while self.tokens > self._limit:
            leaves = [
                each
                for each in _walk(self._root)
                if each is not self._root and not each.children and not each.wanted
            ]
            if not leaves:
                return
            leaves.sort(key=lambda leaf: leaf.used)
            for leaf in leaves:
                if self.tokens > self._limit:
                    self.remove(leaf)

    def _add(self, chain: Chain, segment: Segment) -> Segment:
        segment.parent, segment.offset = chain[-1] if chain else (self._root, 0)
        self._clock += 1
        segment.used = self._clock
        segment.parent.children.append(segment)
        self.tokens += len(segment.tokens)
        return segment


def common_prefix(first: Sequence[int], second: Sequence[int], start: int, most: int) -> int:
    """How many tokens of `first` equal those of `second` from `start` on, up to index `most` of `second`."""
    limit = max(min(len(first), most - start), 0)
    for index in range(limit):
        if first[index] != second[start + index]:
            return index
    return limit


def _walk(segment: Segment) -> Iterator[Segment]:
    """A segment and everything after it."""
    stack = [segment]
    while stack:
        each = stack.pop()
        yield each
        stack.extend(each.children)
