"""Which chunks serve which point, where a point is not given all of them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from llamaindex_sot.sources.citations import cited_in

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llama_index.core.base.embeddings.base import BaseEmbedding


def named_in(title: str, texts: Mapping[int, str], count: int) -> list[int]:
    """The chunks the skeleton names behind a point, `count` at most; all if it names none."""
    named = [number for number in cited_in(title, max(texts, default=0)) if number in texts]
    return named[:count] or list(texts)


class Nearest:
    """Chooses by embedding similarity between a point's title and the chunks.

    Args:
        embed_model: Embeds titles and chunks.
        question: Stands before each title: `"Costs"` alone would be near to many chunks.
    """

    def __init__(self, embed_model: BaseEmbedding, question: str) -> None:
        self._embed = embed_model
        self._question = question
        self._vectors: dict[int, Sequence[float]] = {}

    def learn(self, texts: Mapping[int, str]) -> None:
        """Embed the chunks."""
        vectors = self._embed.get_text_embedding_batch(list(texts.values()))
        self._vectors = dict(zip(texts, vectors, strict=True))

    async def alearn(self, texts: Mapping[int, str]) -> None:
        """Embed the chunks."""
        vectors = await self._embed.aget_text_embedding_batch(list(texts.values()))
        self._vectors = dict(zip(texts, vectors, strict=True))

    def choose(self, title: str, count: int) -> list[int]:
        """The numbers of the chunks nearest to a point, in their order."""
        return self._nearest(self._embed.get_query_embedding(self._query(title)), count)

    async def achoose(self, title: str, count: int) -> list[int]:
        """The numbers of the chunks nearest to a point, in their order."""
        return self._nearest(await self._embed.aget_query_embedding(self._query(title)), count)

    def _query(self, title: str) -> str:
        return f"{self._question} {title}"

    def _nearest(self, vector: Sequence[float], count: int) -> list[int]:
        ranked = sorted(
            self._vectors, key=lambda number: _cosine(vector, self._vectors[number]), reverse=True
        )
        return sorted(ranked[:count])


def _cosine(left: Sequence[float], right: Sequence[float]) -> float:
    product = sum(a * b for a, b in zip(left, right, strict=True))
    return product / (math.hypot(*left) * math.hypot(*right) or 1.0)
