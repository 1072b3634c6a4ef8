"""Fine-tune a sequence classifier as the paper fine-tuned RoBERTa: one loop, checkpoints, resume.

The order of the questions depends on the seed and the epoch alone, so a training that was interrupted and
resumed sees the batches it would have seen, and dropout's random numbers are restored with the weights.
"""

from __future__ import annotations

import math
import random
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from skeleton_of_thought.errors import ConfigurationError, require
from skeleton_of_thought.routing.classifier import ClassifierSettings
from skeleton_of_thought.routing.encoding import context_of, encode, padded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import torch

    from skeleton_of_thought.routing.labels import LabelledQuestion


def tversky_loss(
    probability: torch.Tensor,
    target: torch.Tensor,
    *,
    alpha: float,
    beta: float,
) -> torch.Tensor:
    """One minus the Tversky index of a batch.

    Args:
        probability: Of "sot", per question; shape (B,).
        target: 1 for "sot", 0 for "direct", or anything between if labels are smoothed; shape (B,).
        alpha: Weight of false positives.
        beta: Weight of false negatives. With both at one half this is the Dice loss.

    Returns:
        A number from 0 (all right) to 1, with a gradient.
    """
    hits = (probability * target).sum()
    false_positives = (probability * (1 - target)).sum()
    false_negatives = ((1 - probability) * target).sum()
    tiny = 1e-7  # a batch without a suitable question has a loss too
    return 1 - (hits + tiny) / (hits + alpha * false_positives + beta * false_negatives + tiny)


def smoothed(labels: torch.Tensor, *, smoothing: float) -> torch.Tensor:
    """Labels of 0 and 1, moved towards one half by `smoothing`."""
    return labels * (1 - smoothing) + smoothing / 2


_CHECKPOINT: Final = "checkpoint.pt"


@dataclass(frozen=True, slots=True)
class FinetuningOptions:
    """The paper's recipe (section 4.2 and appendix), as defaults.

    Attributes:
        epochs: Passes over the questions.
        batch: Questions per step.
        learning_rate: Of AdamW, at its highest.
        weight_decay: Of AdamW.
        warm_up: Share of the steps in which the learning rate rises; it falls to 0 afterwards.
        longest: Tokens of a question; longer ones are cut in the middle.
        alpha: Tversky weight of a wrong "sot".
        beta: Tversky weight of a wrong "direct".
        smoothing: Label smoothing.
        cross_entropy: Share of cross-entropy in the loss; the authors' code mixes in a quarter.
        checkpoint_every: Steps between checkpoints; there is one after every epoch anyway.
        seed: Of the order, the new layer and dropout.
    """

    epochs: int = 2
    batch: int = 32
    learning_rate: float = 5e-5
    weight_decay: float = 0.01
    warm_up: float = 0.01
    longest: int = 512
    alpha: float = 0.7
    beta: float = 0.3
    smoothing: float = 0.2
    cross_entropy: float = 0.0
    checkpoint_every: int = 100
    seed: int = 0


@dataclass(frozen=True, slots=True)
class TrainingStep:
    """Progress, reported after every batch."""

    number: int
    of: int
    epoch: int
    loss: float
    learning_rate: float


def finetune(
    base: str | Path,
    questions: Sequence[LabelledQuestion],
    out: Path,
    *,
    options: FinetuningOptions | None = None,
    resume: bool = False,
    device: str | None = None,
    progress: Callable[[TrainingStep], None] = lambda _: None,
) -> None:
    """Fine-tune a classifier and write it to a folder that `ClassifierRouter` reads.

    Args:
        base: Name or folder of an encoder for `transformers`.
        questions: To learn from.
        out: Folder of the result; a checkpoint lies in it until the training is done.
        options: The recipe.
        resume: Go on from the checkpoint in `out`, if there is one.
        device: Of torch; default: CUDA if there is one, else the CPU.
        progress: Called after every step.

    Raises:
        ConfigurationError: There are no questions, the base cannot be loaded, or the checkpoint is of another
            training.
        MissingExtraError: torch or transformers is not installed.
    """
    options = options or FinetuningOptions()
    if not questions:
        raise ConfigurationError("There are no questions to learn from. Give a file with labelled questions.")
    training = _Training(str(base), questions, out, options, device)
    if resume:
        training.load_checkpoint()
    for number in range(training.step, training.steps):
        progress(training.one_step())
        if training.step % options.checkpoint_every == 0 or training.step % training.steps_per_epoch == 0:
            training.save_checkpoint()
        assert training.step == number + 1
    training.finish()


class _Training:
    """What a training consists of: model, optimizer, schedule, position, random numbers."""

    def __init__(
        self,
        base: str,
        questions: Sequence[LabelledQuestion],
        out: Path,
        options: FinetuningOptions,
        device: str | None,
    ) -> None:
        self.torch = torch = require("torch", extra="routers", needed_for="Fine-tuning a router")
        transformers = require("transformers", extra="routers", needed_for="Fine-tuning a router")
        torch.manual_seed(options.seed)
        try:
            self.tokenizer = transformers.AutoTokenizer.from_pretrained(base)
            self.model: Any = transformers.AutoModelForSequenceClassification.from_pretrained(
                base, num_labels=2
            )
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"base={base!r} cannot be loaded as an encoder: {error}. Give a folder or a name on the Hub.",
            ) from error
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self.model.to(self.device).train()
        self.out, self.options, self.base = out, options, base
        self.longest = min(options.longest, context_of(self.model) or options.longest)
        self.rows = encode(self.tokenizer, [question.request for question in questions], longest=self.longest)
        self.labels = [float(question.suitable) for question in questions]
        self.steps_per_epoch = math.ceil(len(questions) / options.batch)
        self.steps = self.steps_per_epoch * options.epochs
        self.step = 0
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(),
            lr=options.learning_rate,
            weight_decay=options.weight_decay,
        )
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, self._share_of_learning_rate)

    def one_step(self) -> TrainingStep:
        """Learn from one batch."""
        torch, options = self.torch, self.options
        chosen = list(self._batches())[self.step % self.steps_per_epoch]
        ids, mask = padded([self.rows[i] for i in chosen], self.tokenizer.pad_token_id or 0)
        target = smoothed(
            torch.tensor([self.labels[i] for i in chosen], device=self.device),
            smoothing=options.smoothing,
        )
        logits = self.model(
            input_ids=torch.tensor(ids, device=self.device),
            attention_mask=torch.tensor(mask, device=self.device),
        ).logits
        log_odds = logits[:, 1] - logits[:, 0]
        loss = (1 - options.cross_entropy) * tversky_loss(
            log_odds.sigmoid(),
            target,
            alpha=options.alpha,
            beta=options.beta,
        ) + options.cross_entropy * torch.nn.functional.binary_cross_entropy_with_logits(log_odds, target)
        learning_rate = self.schedule.get_last_lr()[0]
        loss.backward()
        self.optimizer.step()
        self.schedule.step()
        self.optimizer.zero_grad()
        self.step += 1
        return TrainingStep(
            self.step, self.steps, 1 + (self.step - 1) // self.steps_per_epoch, loss.item(), learning_rate
        )

    def save_checkpoint(self) -> None:
        """Write everything needed to go on; the file appears whole or not at all."""
        self.out.mkdir(parents=True, exist_ok=True)
        state = {
            "training": self._identity(),
            "step": self.step,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "random": self.torch.get_rng_state(),
            "cuda_random": self.torch.cuda.get_rng_state_all() if self.torch.cuda.is_available() else [],
        }
        unfinished = self.out / f"{_CHECKPOINT}.part"
        self.torch.save(state, unfinished)
        unfinished.replace(self.out / _CHECKPOINT)

    def load_checkpoint(self) -> None:
        """Go on where the checkpoint was written; from the start if there is none."""
        file = self.out / _CHECKPOINT
        if not file.is_file():
            return
        state = self.torch.load(file, map_location="cpu", weights_only=True)
        if state["training"] != self._identity():
            raise ConfigurationError(
                f"{file} is of another training: {state['training']}, not {self._identity()}. "
                "Give the same base, questions and options, or another --out, or leave out --resume.",
            )
        self.step = state["step"]
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.torch.set_rng_state(state["random"])
        if state["cuda_random"]:
            self.torch.cuda.set_rng_state_all(state["cuda_random"])

    def finish(self) -> None:
        """Write the classifier; the checkpoint has done its work."""
        self.out.mkdir(parents=True, exist_ok=True)
        self.model.eval()
        self.model.save_pretrained(self.out)
        self.tokenizer.save_pretrained(self.out)
        ClassifierSettings(longest=self.longest).save(self.out)
        (self.out / _CHECKPOINT).unlink(missing_ok=True)

    def _batches(self) -> Iterator[list[int]]:
        """The batches of the current epoch: a shuffle that depends on the seed and the epoch alone."""
        order = list(range(len(self.rows)))
        random.Random(f"{self.options.seed}-{self.step // self.steps_per_epoch}").shuffle(order)
        for start in range(0, len(order), self.options.batch):
            yield order[start : start + self.options.batch]

    def _share_of_learning_rate(self, step: int) -> float:
        rising = max(1, round(self.steps * self.options.warm_up))
        return min((step + 1) / rising, (self.steps - step) / max(1, self.steps - rising + 1))

    def _identity(self) -> dict[str, Any]:
        return {"base": self.base, "questions": len(self.rows), **asdict(self.options)}
