"""The tree of what is in memory, against the plain definition."""

from __future__ import annotations

from itertools import pairwise

import torch
from hypothesis import given
from hypothesis import strategies as st

from skeleton_of_thought.decoding.memory import LayerShape, Layout
from skeleton_of_thought.decoding.prefixes import PrefixTree
from skeleton_of_thought.decoding.scheduler import _shared_with_another

TEXT = st.lists(st.integers(0, 2), min_size=1, max_size=12)


def tree(limit: int = 1000) -> PrefixTree:
    return PrefixTree(Layout({0: LayerShape(1, 2, 2, torch.float32, torch.device("cpu"))}), limit)


def common(first: list[int], second: list[int]) -> int:
    return next(
        (i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b),
        min(len(first), len(second)),
    )


def keep(memory: PrefixTree, text: list[int]) -> None:
    chain, reach = memory.match(text, len(text))
    if reach < len(text):
        memory.plan(chain, text[reach:])


@given(texts=st.lists(TEXT, max_size=8), asked=TEXT, most=st.integers(0, 12))
def test_the_longest_beginning_in_memory_is_found(
    texts: list[list[int]], asked: list[int], most: int
) -> None:
    memory = tree()
    for text in texts:
        keep(memory, text)
    chain, reach = memory.match(asked, min(most, len(asked)))
    assert reach == min(most, len(asked), max((common(text, asked) for text in texts), default=0))
    assert [token for segment, count in chain for token in segment.tokens[:count]] == asked[:reach]
    for (before, count), (after, _) in pairwise(chain):
        assert after.parent is before
        assert after.offset == count


@given(texts=st.lists(TEXT, max_size=8), limit=st.integers(0, 30))
def test_memory_is_bounded_and_counted(texts: list[list[int]], limit: int) -> None:
    memory = tree(limit)
    for text in texts:
        keep(memory, text)
        memory.evict()
        assert memory.tokens <= limit
    memory.clear()
    assert memory.tokens == 0


def test_the_least_recently_used_leaves_first_and_what_is_waited_for_stays() -> None:
    memory = tree(limit=6)
    keep(memory, [0, 0, 0])
    keep(memory, [1, 1, 1])
    memory.match([0, 0, 0], 3)  # of use again
    keep(memory, [2, 2])
    memory.evict()
    assert [memory.match(text, 3)[1] for text in ([0, 0, 0], [1, 1, 1], [2, 2])] == [3, 0, 2]
    segment = memory.plan((), [5] * 7)
    segment.wanted = 1
    memory.evict()
    assert memory.match([5] * 7, 7)[1] == 7
    segment.wanted = 0
    memory.evict()
    assert memory.tokens == 0


@given(texts=st.lists(st.lists(st.integers(0, 2), max_size=6), max_size=7))
def test_what_requests_of_one_wave_share(texts: list[list[int]]) -> None:
    expected = [
        max((common(text, other) for j, other in enumerate(texts) if j != i), default=0)
        for i, text in enumerate(texts)
    ]
    assert _shared_with_another(texts) == expected
