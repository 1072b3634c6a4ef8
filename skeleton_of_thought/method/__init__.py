"""Skeleton-of-Thought itself: a state machine that decides what is asked next, and does no I/O (paper, section 2).

To read it: `run` decides; it asks `request_builder` for the requests, reads the model's list with
`skeleton_reading`, gives every point's text to its `point`, which cleans it with `point_text`, shows text in reading
order through `answer_stream`, and keeps what is `outstanding`, the bill (`accounting`) and the times (`stopwatch`).
"""

from skeleton_of_thought.method.race import RacingSkeletonOfThought
from skeleton_of_thought.method.run import SkeletonOfThought

__all__ = ["RacingSkeletonOfThought", "SkeletonOfThought"]
