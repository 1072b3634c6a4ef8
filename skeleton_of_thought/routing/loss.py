"""The Tversky loss of the paper's router: a wrong "sot" and a wrong "direct" may weigh differently."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


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
