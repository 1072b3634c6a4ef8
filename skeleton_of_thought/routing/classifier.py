"""A fine-tuned sequence classifier as a router, such as the paper's RoBERTa."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from skeleton_of_thought.errors import ConfigurationError, require
from skeleton_of_thought.routing.decision import Decision, Question
from skeleton_of_thought.routing.encoding import context_of, encode
from skeleton_of_thought.routing.lexical import NOTHING_ASKED
from skeleton_of_thought.routing.linear import checked_threshold, sigmoid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skeleton_of_thought.messages import Message

_SETTINGS_FILE: Final = "router.json"
_CLASSES: Final = 2


@dataclass(frozen=True, slots=True)
class ClassifierSettings:
    """What a classifier folder says beside its weights, in `router.json`.

    Attributes:
        temperature: Log-odds are divided by it, so that probabilities are calibrated.
        threshold: Probability from which the answer is "sot".
        longest: Tokens of a question that are read, special ones included.
    """

    temperature: float = 1.0
    threshold: float = 0.5
    longest: int = 512

    def save(self, folder: Path) -> None:
        """Write them into the folder."""
        (folder / _SETTINGS_FILE).write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> ClassifierSettings:
        """Read them; a folder without the file, trained elsewhere, gets the defaults.

        Raises:
            ConfigurationError: The file says something else.
        """
        file = folder / _SETTINGS_FILE
        if not file.is_file():
            return cls()
        try:
            return cls(**json.loads(file.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            raise ConfigurationError(
                f"{file} holds no classifier settings: {error}. Delete it for defaults."
            ) from error


class ClassifierRouter:
    """Routes with a Hugging Face sequence classifier of two classes; class 1 is "sot".

    Questions longer than the model takes are cut in the middle: the head and the tail are read.
    """

    def __init__(
        self, folder: str | Path, *, threshold: float | None = None, device: str | None = None
    ) -> None:
        """Load the classifier.

        Args:
            folder: Written by `sot router train --base MODEL --out FOLDER`, or by `save_pretrained`.
            threshold: Probability from which the answer is "sot"; default: the folder's, or one half.
            device: Of torch; default: CUDA if there is one, else the CPU.

        Raises:
            ConfigurationError: The folder holds no classifier of two classes, or the threshold is none.
            MissingExtraError: torch or transformers is not installed.
        """
        self._torch = require("torch", extra="routers", needed_for="The classifier router")
        transformers = require("transformers", extra="routers", needed_for="The classifier router")
        try:
            self._tokenizer = transformers.AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False)
            self._model: Any = transformers.AutoModelForSequenceClassification.from_pretrained(
                str(folder), trust_remote_code=False
            ).eval()
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"{str(folder)!r} holds no sequence classifier: {error}. "
                "Write one with `sot router train --base MODEL --out FOLDER`.",
            ) from error
        if self._model.config.num_labels != _CLASSES:
            raise ConfigurationError(
                f"{str(folder)!r} has {self._model.config.num_labels} classes; a router needs {_CLASSES}. "
                "Write one with `sot router train --base MODEL --out FOLDER`.",
            )
        settings = ClassifierSettings.load(Path(folder))
        self.threshold = settings.threshold if threshold is None else checked_threshold(threshold)
        self._temperature = settings.temperature
        self._longest = min(settings.longest, context_of(self._model) or settings.longest)
        self._device = device or ("cuda" if self._torch.cuda.is_available() else "cpu")
        self._model.to(self._device)

    def route(self, messages: Sequence[Message]) -> Decision:
        """Decide for the last user message."""
        started = time.perf_counter()
        question = Question.of(messages)
        if not question.text:
            return Decision("direct", 1.0, NOTHING_ASKED, time.perf_counter() - started)
        ids = encode(self._tokenizer, [question.text], longest=self._longest)[0]
        torch = self._torch
        with torch.inference_mode():
            no, yes = (
                self._model(input_ids=torch.tensor([ids], device=self._device)).logits[0].float().tolist()
            )
        probability = sigmoid((yes - no) / self._temperature)
        return Decision.at(
            probability,
            threshold=self.threshold,
            reason=f"the classifier gives a skeleton {probability:.0%}",
            seconds=time.perf_counter() - started,
        )

    async def aroute(self, messages: Sequence[Message]) -> Decision:
        """The same without blocking the event loop."""
        return await asyncio.to_thread(self.route, messages)
