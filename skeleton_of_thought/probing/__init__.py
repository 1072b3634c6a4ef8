"""What a server does with the requests of Skeleton-of-Thought: found out by asking it, as `sot doctor` does.

`probe` asks and times; `report` holds what was found, and predicts the gain by the paper's formula.
"""

from skeleton_of_thought.probing.probe import probe
from skeleton_of_thought.probing.report import Batch, Report, Typical

__all__ = ["Batch", "Report", "Typical", "probe"]
