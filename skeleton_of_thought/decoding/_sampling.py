"""Choosing the next token of every row, each row by its own rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skeleton_of_thought.decoding._request import GenerationRequest

_CANDIDATES = 256  # sorted first; enough for nearly every top_p, the rest is sorted only if it is needed


@dataclass(frozen=True, slots=True)
class Defaults:
    """Sampling values of a model's generation config, for what a request leaves open."""

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0

    @classmethod
    def of(cls, generation_config: Any) -> Defaults:
        """Read a transformers `GenerationConfig`; without `do_sample` it means greedy decoding."""

        def value(name: str, default: float) -> float:
            found = getattr(generation_config, name, None)
            return default if found is None else found

        return cls(
            temperature=value("temperature", 1.0) if getattr(generation_config, "do_sample", None) else 0.0,
            top_p=value("top_p", 1.0),
            top_k=int(value("top_k", 0)),
            min_p=value("min_p", 0.0),
            repetition_penalty=value("repetition_penalty", 1.0),
        )


class RowSampler:
    """The rules and the random numbers of one row.

    Args:
        request: What the user asked for.
        defaults: What the model's generation config says.
        prompt: Token ids of the prompt; a repetition penalty counts them.
    """

    __slots__ = ("_generator", "_min_p", "_penalty", "_seen", "_temperature", "_top_k", "_top_p")

    def __init__(self, request: GenerationRequest, defaults: Defaults, prompt: Sequence[int]) -> None:
        def pick(name: str) -> Any:
            value = getattr(request, name)
            return getattr(defaults, name) if value is None else value

        self._temperature: float = pick("temperature")
        self._top_p: float = pick("top_p")
        self._top_k: int = pick("top_k")
        self._min_p: float = pick("min_p")
        self._penalty: float = pick("repetition_penalty")
        self._seen = set(prompt) if self._penalty != 1.0 else None
        self._generator = torch.Generator()
        if request.seed is None:
            self._generator.seed()
        else:
            self._generator.manual_seed(request.seed)

    @property
    def plain(self) -> bool:
        """Whether the most likely token is always the answer."""
        return self._temperature == 0 and self._seen is None

    def choose(self, logits: torch.Tensor) -> int:
        """The next token, from the logits of this row, shape `(vocabulary,)`."""
        logits = logits.float()
        if self._seen is not None:
            seen = torch.tensor(sorted(self._seen), device=logits.device)
            scores = logits[seen]
            scores = torch.where(scores < 0, scores * self._penalty, scores / self._penalty)
            logits = logits.index_copy(0, seen, scores)
        token = int(logits.argmax()) if self._temperature == 0 else self._draw(logits / self._temperature)
        if self._seen is not None:
            self._seen.add(token)
        return token

    def _draw(self, logits: torch.Tensor) -> int:
        uniform = float(torch.rand((), generator=self._generator, dtype=torch.float64))
        probabilities = logits.softmax(-1)
        limit = min(self._top_k or len(logits), len(logits))
        if self._top_k == 0 and self._top_p == 1 and self._min_p == 0:
            return _inverse(probabilities, uniform)
        width = min(limit, _CANDIDATES)
        while True:
            best, tokens = probabilities.topk(width)
            complete = width == limit
            if not complete and self._min_p > 0 and best[-1] < self._min_p * best[0]:
                complete = True
            if (
                not complete
                and self._top_p < 1
                and best.sum() >= self._top_p * (1.0 if limit == len(logits) else best.sum())
            ):
                complete = limit == len(logits)
            if complete:
                break
            width = limit
        if limit < len(logits):
            best = best / best.sum()
        keep = best >= self._min_p * best[0]
        keep &= best.cumsum(-1) - best < self._top_p
        return int(tokens[_inverse(best * keep, uniform)])


def _inverse(weights: torch.Tensor, uniform: float) -> int:
    """Index at which the running sum of the weights passes a uniform random number."""
    total = weights.cumsum(-1, dtype=torch.float64 if weights.device.type != "mps" else torch.float32)
    index = int(torch.searchsorted(total, total[-1] * uniform, right=True))
    return min(index, len(weights) - 1)
