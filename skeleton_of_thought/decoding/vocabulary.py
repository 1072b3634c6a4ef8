"""What the tokens of a vocabulary say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokenizers import Tokenizer
    from torch import Tensor


class Vocabulary:
    """Finds the tokens with a string in them.

    Args:
        tokenizer: Decodes. Its special tokens say nothing, so the end of a text is never among those found.
        size: How many tokens the model knows.

    Attributes:
        size: The same.
    """

    def __init__(self, tokenizer: Tokenizer, size: int) -> None:
        self._tokenizer = tokenizer
        self.size = size
        self._found: dict[tuple[str, ...], Tensor] = {}

    def containing(self, strings: Sequence[str]) -> Tensor:
        """Ids of the tokens that have one of the strings in them; every combination is looked for once."""
        wanted = tuple(strings)
        if wanted not in self._found:
            texts = self._texts() if wanted else []
            ids = [index for index, text in enumerate(texts) if any(string in text for string in wanted)]
            self._found[wanted] = torch.tensor(ids, dtype=torch.long)
        return self._found[wanted]

    def _texts(self) -> list[str]:
        """What each token says behind another one: some tokenizers drop a space at the start of a text."""
        before = self._tokenizer.encode("a", add_special_tokens=False).ids
        start = len(self._tokenizer.decode(before))
        return [
            text[start:]
            for text in self._tokenizer.decode_batch([[*before, token] for token in range(self.size)])
        ]
