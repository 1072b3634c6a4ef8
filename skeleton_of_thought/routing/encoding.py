"""Questions to token ids for encoders with a limited context: keep the beginning and the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


def head_and_tail(tokens: list[int], *, room: int, ending: int | None = None) -> list[int]:
    """At most `room` tokens: the last `ending`, a quarter unless given, from the end, the rest from the beginning.

    People put the request before or after the document they paste, not in its middle.
    """
    if len(tokens) <= room:
        return tokens
    tail = room // 4 if ending is None else min(ending, room)
    return tokens[: room - tail] + tokens[len(tokens) - tail :]


def encode(
    tokenizer: Any, texts: Sequence[str], *, longest: int, ending: int | None = None
) -> list[list[int]]:
    """Token ids, at most `longest` per text; the special tokens at both ends survive the cut between them."""
    sendable = [text.encode(errors="replace").decode() for text in texts]  # without half characters
    rows = tokenizer(sendable, verbose=False)["input_ids"]
    return [head_and_tail(row, room=longest, ending=ending) for row in rows]


def padded(rows: Sequence[list[int]], padding: int) -> tuple[list[list[int]], list[list[int]]]:
    """Rows of the same length, padded on the right, and the attention mask that hides the padding."""
    longest = max(map(len, rows))
    ids = [row + [padding] * (longest - len(row)) for row in rows]
    mask = [[1] * len(row) + [0] * (longest - len(row)) for row in rows]
    return ids, mask


def context_of(model: Any) -> int | None:
    """How many tokens an encoder takes; None if its configuration does not say.

    RoBERTa and its relatives number positions from the padding index on, and so take fewer than they have.
    """
    positions = getattr(model.config, "max_position_embeddings", None)
    embeddings = getattr(getattr(model.base_model, "embeddings", None), "position_embeddings", None)
    offset = getattr(embeddings, "padding_idx", None)
    return positions - offset - 1 if positions and offset is not None else positions
