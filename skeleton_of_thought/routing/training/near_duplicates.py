"""Find questions that are almost the same: inside a training set, or between it and a test set."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SHINGLE: Final = 5
_ROUNDING = 1e-9
_NOT_A_LETTER = re.compile(r"[\W_]+")


@dataclass(frozen=True, slots=True)
class NearDuplicate:
    """Two texts that are almost the same.

    Attributes:
        first: Position in the first collection.
        second: Position in the second collection.
        similarity: Jaccard index of their character 5-grams, 0 to 1.
    """

    first: int
    second: int
    similarity: float


def near_duplicates(
    texts: Sequence[str],
    others: Sequence[str] | None = None,
    *,
    threshold: float = 0.5,
) -> list[NearDuplicate]:
    """Pairs whose character 5-grams overlap by at least `threshold`, the most similar first.

    Case, punctuation and blanks do not count.

    Args:
        texts: To look at.
        others: To compare with; default: the texts among themselves, each pair once.
        threshold: Least Jaccard index. At one half, a pair shares two thirds of its wording.
    """
    first = [_shingles(text) for text in texts]
    second = first if others is None else [_shingles(text) for text in others]
    counts = Counter(shingle for each in (first if others is None else (*first, *second)) for shingle in each)
    rare = [_rarest(shingles, counts, threshold) for shingles in first]
    rare_second = rare if others is None else [_rarest(shingles, counts, threshold) for shingles in second]
    where: defaultdict[str, list[int]] = defaultdict(list)
    for position, rarest in enumerate(rare_second):
        for shingle in rarest:
            where[shingle].append(position)
    found = []
    for position, shingles in enumerate(first):
        for other in {other for shingle in rare[position] for other in where[shingle]}:
            if others is None and other <= position:
                continue
            common = len(shingles & second[other])
            similarity = common / (len(shingles) + len(second[other]) - common)
            if similarity >= threshold:
                found.append(NearDuplicate(position, other, similarity))
    return sorted(found, key=lambda pair: (-pair.similarity, pair.first, pair.second))


def _rarest(shingles: frozenset[str], counts: Mapping[str, int], threshold: float) -> list[str]:
    """So many of the rarest that two texts above the threshold have one of them in common.

    They share at least `threshold` of either's shingles, so not all of them can be outside these.
    """
    rarest = sorted(shingles, key=lambda shingle: (counts[shingle], shingle))
    return rarest[: len(rarest) - math.ceil(threshold * len(rarest) - _ROUNDING) + 1]


def _shingles(text: str) -> frozenset[str]:
    plain = _NOT_A_LETTER.sub(" ", text.casefold()).strip()
    return frozenset(plain[start : start + _SHINGLE] for start in range(max(1, len(plain) - _SHINGLE + 1)))
