"""Skeleton-of-Thought itself: a state machine that decides what is asked next, and does no I/O (paper, section 2).

To read it: `run` decides. It asks `request_builder` for the requests, keeps what the model planned in the outline of
`plan`, gives every point's text to its `point`, which cleans it with `point_text`, and shows text in reading order
through `answer_stream`. `race` holds what two ways bring while a router still thinks; `outstanding` knows what was
sent and not heard the end of; `broken_stream` joins a reply that broke off and the rest of it; `accounting` and
`stopwatch` keep the bill and the times.
"""

from skeleton_of_thought.method.run import SkeletonOfThought

__all__ = ["SkeletonOfThought"]
