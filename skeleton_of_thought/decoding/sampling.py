"""Choosing the next token of a row, each row by its own rules."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from skeleton_of_thought.decoding.request import GenerationRequest

logger = logging.getLogger(__name__)

_CANDIDATES = 256  # sorted first; all tokens are sorted only if these do not hold what may be chosen
_NOT_DONE = (
    "bad_words_ids",
    "begin_suppress_tokens",
    "epsilon_cutoff",
    "eta_cutoff",
    "guidance_scale",
    "min_length",
    "min_new_tokens",
    "no_repeat_ngram_size",
    "num_beams",
    "sequence_bias",
    "suppress_tokens",
    "typical_p",
)


@dataclass(frozen=True, slots=True)
class Defaults:
    """Sampling values of a model's generation config, for what a request leaves open."""

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0

    @classmethod
    def of(cls, config: Any) -> Defaults:
        """Read a transformers `GenerationConfig`; without `do_sample` it means greedy decoding."""
        if ignored := [name for name in _NOT_DONE if getattr(config, name, None) not in (None, 0, 1, [])]:
            logger.warning("the model's generation config sets %s, which the engine does not do", ignored)

        def value(name: str, default: float) -> float:
            found = getattr(config, name, None)
            return default if found is None else found

        return cls(
            temperature=value("temperature", 1.0) if getattr(config, "do_sample", None) else 0.0,
            top_p=value("top_p", 1.0),
            top_k=int(value("top_k", 0)),
            min_p=value("min_p", 0.0),
            repetition_penalty=value("repetition_penalty", 1.0),
        )


@torch.inference_mode()
def penalised(logits: Tensor, samplers: Sequence[RowSampler]) -> Tensor:
    """The logits in float32, `(rows, vocabulary)`, each row with its repetition penalty and what it may not say."""
    scores = logits.float()
    strict = [(index, sampler) for index, sampler in enumerate(samplers) if sampler.penalty != 1]
    if strict:
        where = torch.cat([sampler.seen + index * scores.shape[1] for index, sampler in strict]).to(
            scores.device
        )
        counts = torch.tensor([len(sampler.seen) for _, sampler in strict])
        penalty = (
            torch.tensor([sampler.penalty for _, sampler in strict])
            .repeat_interleave(counts)
            .to(scores.device)
        )
        flat = scores.view(-1)
        found = flat[where]
        flat[where] = torch.where(found < 0, found * penalty, found / penalty)
    for row, sampler in zip(scores, samplers, strict=True):
        if len(sampler.suppressed):
            row[sampler.suppressed.to(row.device)] = float("-inf")
    return scores


class RowSampler:
    """The rules and the random numbers of one row; what its neighbours do changes neither.

    Temperature comes first, then the `top_k` most likely tokens, of these the nucleus of `top_p`, of these
    what is likely enough for `min_p`: the order of transformers.

    Args:
        request: What the user asked for.
        defaults: What the model's generation config says.
        prompt: Token ids of the prompt; a repetition penalty counts them.
        suppressed: Token ids that are not chosen.
    """

    def __init__(
        self, request: GenerationRequest, defaults: Defaults, prompt: Sequence[int], *, suppressed: Tensor
    ) -> None:
        def pick(name: str) -> Any:
            value = getattr(request, name)
            return getattr(defaults, name) if value is None else value

        self._temperature: float = pick("temperature")
        self._top_p: float = pick("top_p")
        self._top_k: int = pick("top_k")
        self._min_p: float = pick("min_p")
        self.penalty: float = pick("repetition_penalty")
        self.suppressed = suppressed
        self._seen = _Distinct(prompt if self.penalty != 1 else ())
        self._random = torch.Generator()
        if request.seed is None:
            self._random.seed()
        else:
            self._random.manual_seed(request.seed)

    @property
    def seen(self) -> Tensor:
        """The distinct tokens of prompt and text, if they count for a penalty."""
        return self._seen.tensor

    def choose(self, scores: Tensor, best: int) -> int:
        """The next token.

        Args:
            scores: The row of `penalised`, shape `(vocabulary,)`.
            best: Index of the highest score.
        """
        token = best if self._temperature == 0 else self._draw(scores / self._temperature)
        if self.penalty != 1:
            self._seen.add(token)
        return token

    def _draw(self, logits: Tensor) -> int:
        uniform = float(torch.rand((), generator=self._random, dtype=torch.float64))
        likely, tokens = self._candidates(logits.softmax(-1))
        keep = likely.cumsum(-1) - likely < self._top_p
        keep &= likely >= self._min_p * likely[0]
        keep[0] = True
        sums = (
            (likely * keep).double().cumsum(-1) if likely.device.type != "mps" else (likely * keep).cumsum(-1)
        )
        index = int(torch.searchsorted(sums, float(sums[-1]) * uniform, right=True))
        return int(tokens[min(index, len(tokens) - 1)])

    def _candidates(self, probabilities: Tensor) -> tuple[Tensor, Tensor]:
        """The tokens that may be chosen, most likely first, with probabilities that sum to at most 1."""
        everything = len(probabilities)
        if 0 < self._top_k < everything:
            likely, tokens = probabilities.topk(self._top_k)
            return likely / likely.sum(), tokens
        likely, tokens = probabilities.topk(min(_CANDIDATES, everything))
        complete = bool(likely[-1] < self._min_p * likely[0]) or (
            self._top_p < 1 and bool(likely.sum() >= self._top_p)
        )
        return (likely, tokens) if complete else probabilities.sort(descending=True)


class _Distinct:
    """A set of tokens that is a tensor at any time."""

    def __init__(self, tokens: Sequence[int]) -> None:
        self._set = set(tokens)
        self._room = torch.tensor([*self._set, *([0] * 64)])

    @property
    def tensor(self) -> Tensor:
        return self._room[: len(self._set)]

    def add(self, token: int) -> None:
        if token in self._set:
            return
        if len(self._set) == len(self._room):
            self._room = torch.cat([self._room, torch.zeros_like(self._room)])
        self._room[len(self._set)] = token
        self._set.add(token)
