"""Staying within a provider's limits: one `Limiter` for everything a process sends."""

from skeleton_of_thought.limits.limiter import Limiter
from skeleton_of_thought.limits.patience import Patience
from skeleton_of_thought.limits.slot import Slot
from skeleton_of_thought.provider_errors import is_refusal, retry_after_of

__all__ = ["Limiter", "Patience", "Slot", "is_refusal", "retry_after_of"]
