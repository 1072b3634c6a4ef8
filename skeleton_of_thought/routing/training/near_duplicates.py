"""Find questions that are almost the same: inside a training set, or between it and a test set."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_SHINGLE: Final = 5
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
    second = [_shingles(text) for text in (texts if others is None else others)]
    where: defaultdict[str, list[int]] = defaultdict(list)
    for position, shingles in enumerate(second):
        for shingle in shingles:
            where[shingle].append(position)
    found = []
    for position, text in enumerate(texts):
        shingles = _shingles(text)
        shared = Counter(other for shingle in shingles for other in where[shingle])
        for other, common in shared.items():
            similarity = common / (len(shingles) + len(second[other]) - common)
            if similarity >= threshold and (others is not None or other > position):
                found.append(NearDuplicate(position, other, similarity))
    return sorted(found, key=lambda pair: -pair.similarity)


def _shingles(text: str) -> frozenset[str]:
    plain = _NOT_A_LETTER.sub(" ", text.casefold()).strip()
    return frozenset(plain[start : start + _SHINGLE] for start in range(max(1, len(plain) - _SHINGLE + 1)))
