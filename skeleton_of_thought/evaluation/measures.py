"""What can be said of an answer's points without a judge: do they stay in their point, do they repeat each other?"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import asdict, dataclass
from itertools import combinations
from statistics import fmean
from typing import TYPE_CHECKING, Any, Final

from skeleton_of_thought.errors import MissingExtraError
from skeleton_of_thought.evaluation.part_measures import PartMeasures, part_measures

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_WORD = re.compile(r"\w+")
_ANOTHER_ITEM = re.compile(r"^\s*(?:\*\*)?(\d{1,2})[.):]\s", re.MULTILINE)
_WORDS_TOGETHER: Final = 3


@dataclass(frozen=True, slots=True)
class PointMeasures:
    """The points of one answer.

    Attributes:
        stays: For each point, whether it stays in its point.
        overlap: Word 3-grams two points share (Jaccard index, 0 to 1), mean over all pairs.
    """

    stays: tuple[bool, ...]
    overlap: float


def point_measures(points: Sequence[Mapping[str, Any]]) -> PointMeasures:
    """Measure the points of an answer, given as `index`, `title`, `text` and `status`."""
    return PointMeasures(tuple(stays_in_point(point, points) for point in points), overlap(points))


def stays_in_point(point: Mapping[str, Any], points: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a point was written, begins no other item of a list, and says no other point's whole title.

    Example:
        >>> points = [{"index": 1, "title": "Sleep well", "text": "Rest. 2 hours count.", "status": "ok"},
        ...           {"index": 2, "title": "Eat", "text": "Eat, and sleep well.", "status": "ok"}]
        >>> [stays_in_point(point, points) for point in points]
        [True, False]
    """
    text = point["text"]
    if point["status"] != "ok" or not text.strip():
        return False
    if any(int(number) != point["index"] for number in _ANOTHER_ITEM.findall(text)):
        return False
    said = f" {_plain(text)} "
    own = _plain(point["title"])
    others = (_plain(other["title"]) for other in points if other["index"] != point["index"])
    return not any(" " in title and title not in own and f" {title} " in said for title in others)


def overlap(points: Sequence[Mapping[str, Any]]) -> float:
    """Mean Jaccard index of the word 3-grams of two points; 0 for fewer than two points.

    Example:
        >>> overlap([{"text": "a b c d"}, {"text": "b c d e"}])
        0.3333333333333333
    """
    grams = [_grams(point["text"]) for point in points]
    shares = [
        len(first & second) / len(first | second) if first | second else 0.0
        for first, second in combinations(grams, 2)
    ]
    return fmean(shares) if shares else 0.0


@dataclass(frozen=True, slots=True)
class Measures:
    """The skeletons and points of a whole run.

    Attributes:
        answers: Answers asked for with a skeleton.
        parsed: Share whose skeleton gave at least two points.
        fallbacks: Why the others were answered plainly, and how often.
        points: Points written.
        stays: Share of the points that stay in their point.
        word_overlap: Word 3-grams two points of an answer share, mean over the answers.
        meaning_overlap: Cosine similarity of two points of an answer, mean over the answers; None without the
            extra `routers`.
        near_own_title: Share of the points whose own title is the closest one in meaning; None likewise.
        said_twice: Share of the sentences that another point, further up, says in nearly the same words.
        restating: Share of the points that open by restating their title or the question.
        ignores_form: Share of the points with a planned form that are written in another one.
        over_length: Share of the points with a planned length that are over it.
    """

    answers: int
    parsed: float | None
    fallbacks: Mapping[str, int]
    points: int
    stays: float | None
    word_overlap: float | None
    meaning_overlap: float | None
    near_own_title: float | None
    said_twice: float | None = None
    restating: float | None = None
    ignores_form: float | None = None
    over_length: float | None = None

    def line(self) -> str:
        """The result in one sentence."""
        if not self.answers:
            return "no answer with a skeleton"
        told = [f"{self.answers} answers, {self.parsed:.0%} of the skeletons gave points"]
        for share, meaning in (
            (self.stays, "of the points stay in their point"),
            (self.near_own_title, "are nearest to their own title"),
            (self.word_overlap, "of the 3-grams of two points are shared"),
            (self.said_twice, "of the sentences are said twice"),
            (self.restating, "of the points open by restating title or question"),
            (self.ignores_form, "of the planned forms are ignored"),
            (self.over_length, "of the planned lengths are exceeded"),
        ):
            if share is not None:
                told.append(f"{share:.0%} {meaning}")
        return ", ".join(told)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)


def measure_points(
    rows: Iterable[Mapping[str, Any]], *, way: str = "sot", embeddings: bool = True
) -> Measures:
    """Measure the answers with a skeleton in the rows of a speed run.

    Args:
        rows: The rows.
        way: The way whose answers are measured.
        embeddings: Measure meaning too, where the extra `routers` is installed; takes a while.
    """
    meaning = EmbeddingMeasures.if_installed() if embeddings else None
    fallbacks: Counter[str] = Counter()
    stays: list[bool] = []
    near: list[bool] = []
    words: list[float] = []
    meanings: list[float] = []
    parts: list[PartMeasures] = []
    answers = 0
    for row in rows:
        answer = row["ways"].get(way)
        if answer is None:
            continue
        answers += 1
        points = answer["points"]
        if not points:
            fallbacks[answer["reason"]] += 1
            continue
        found = point_measures(points)
        stays += found.stays
        words.append(found.overlap)
        parts.append(part_measures(points, row.get("request") or ""))
        if meaning is not None:
            near += meaning.near_own_title(points)
            meanings.append(meaning.overlap(points))
    sentences = sum(part.sentences for part in parts)
    return Measures(
        answers=answers,
        parsed=1 - fallbacks.total() / answers if answers else None,
        fallbacks=dict(fallbacks),
        points=len(stays),
        stays=_mean(stays),
        word_overlap=_mean(words),
        meaning_overlap=_mean(meanings),
        near_own_title=_mean(near),
        said_twice=sum(part.said_twice for part in parts) / sentences if sentences else None,
        restating=_mean([one for part in parts for one in part.restating]),
        ignores_form=_mean([one for part in parts for one in part.ignores_form]),
        over_length=_mean([one for part in parts for one in part.over_length]),
    )


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None


class EmbeddingMeasures:
    """The same with a sentence embedding: closeness of meaning instead of words.

    Raises:
        MissingExtraError: The extra `routers` (torch, transformers, the packaged MiniLM) is not installed.
    """

    def __init__(self) -> None:
        from skeleton_of_thought.routing.embedding import Encoder

        self._encoder = Encoder()

    @classmethod
    def if_installed(cls) -> EmbeddingMeasures | None:
        """None where the extra is missing."""
        try:
            return cls()
        except MissingExtraError:
            return None

    def overlap(self, points: Sequence[Mapping[str, Any]]) -> float:
        """Mean cosine similarity of the texts of two points; 0 for fewer than two points with text."""
        vectors = self._vectors([point["text"] for point in points if point["text"].strip()])
        shares = [_cosine(first, second) for first, second in combinations(vectors, 2)]
        return fmean(shares) if shares else 0.0

    def near_own_title(self, points: Sequence[Mapping[str, Any]]) -> list[bool]:
        """For each point with text, whether no other title is closer to it than its own."""
        written = [point for point in points if point["text"].strip()]
        texts = self._vectors([point["text"] for point in written])
        titles = {
            point["index"]: vector
            for point, vector in zip(points, self._vectors([point["title"] for point in points]), strict=True)
        }
        return [
            max(titles, key=lambda index, text=text: _cosine(text, titles[index])) == point["index"]  # type: ignore[misc]
            for point, text in zip(written, texts, strict=True)
        ]

    def _vectors(self, texts: Sequence[str]) -> list[list[float]]:
        if not texts:
            return []
        return [list(named.values()) for named in self._encoder.features(texts)]


def _plain(text: str) -> str:
    return " ".join(_WORD.findall(text.casefold()))


def _grams(text: str) -> frozenset[tuple[str, ...]]:
    words = _WORD.findall(text.casefold())
    return frozenset(zip(*(words[start:] for start in range(_WORDS_TOGETHER)), strict=False))


def _cosine(first: Sequence[float], second: Sequence[float]) -> float:
    product = sum(a * b for a, b in zip(first, second, strict=True))
    lengths = sum(a * a for a in first) * sum(b * b for b in second)
    return product / lengths**0.5 if lengths else 0.0
