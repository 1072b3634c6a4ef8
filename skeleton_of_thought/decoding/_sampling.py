"""Choosing the next token of a row, each row by its own rules."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from skeleton_of_thought.decoding._request import GenerationRequest

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
        if ignored := [name for name in _NOT_DONE if getattr(config, name, None) not in {None, 0, 1}]:
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


class RowSampler:
    """The rules and the random numbers of one row; what its neighbours do changes neither.

    Temperature comes first, then the `top_k` most likely tokens, of these the nucleus of `top_p`, of these
    what is likely enough for `min_p`: the order of transformers.

    Args:
        request: What the user asked for.
        defaults: What the model's generation config says.
        prompt: Token ids of the prompt; a repetition penalty counts them.
    """

    def __init__(self, request: GenerationRequest, defaults: Defaults, prompt: Sequence[int]) -> None:
        def pick(name: str) -> Any:
            value = getattr(request, name)
            return getattr(defaults, name) if value is None else value

        self._temperature: float = pick("temperature")
        self._top_p: float = pick("top_p")
        self._top_k: int = pick("top_k")
        self._min_p: float = pick("min_p")
        self._penalty: float = pick("repetition_penalty")
        self._seen = set(prompt) if self._penalty != 1 else set()
        self._random = torch.Generator()
        if request.seed is None:
            self._random.seed()
        else:
            self._random.manual_seed(request.seed)

    @property
    def plain(self) -> bool:
        """Whether the most likely token is always the answer."""
        return self._temperature == 0 and self._penalty == 1

    def choose(self, logits: Tensor) -> int:
        """The next token, from the row's logits of shape `(vocabulary,)`."""
        logits = logits.float()
        if self._penalty != 1:
            logits = self._penalised(logits)
        token = int(logits.argmax()) if self._temperature == 0 else self._draw(logits / self._temperature)
        if self._penalty != 1:
            self._seen.add(token)
        return token

    def _penalised(self, logits: Tensor) -> Tensor:
        seen = torch.tensor(sorted(self._seen), device=logits.device)
        scores = logits[seen]
        scores = torch.where(scores < 0, scores * self._penalty, scores / self._penalty)
        return logits.index_copy(0, seen, scores)

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
