"""Staying within a provider's limits: one `Limiter` for everything a process sends.

To read it: `limiter` (what users make; a request waits in it for a `slot`), `admission` (may this request go now? with
`window`, the requests and tokens of the last minute, and `congestion`, which learns from refusals), `gate` (who waits,
in order), `store` (the window that several processes share).
"""

from skeleton_of_thought.limits.limiter import Limiter
from skeleton_of_thought.limits.patience import Patience
from skeleton_of_thought.limits.slot import Slot
from skeleton_of_thought.provider_errors import is_refusal, retry_after_of

__all__ = ["Limiter", "Patience", "Slot", "is_refusal", "retry_after_of"]
