"""The loops that send a run's requests: all at once or streamed, with threads or with asyncio.

A driver knows nothing of the method, and nothing of a framework: it is given a function that sends requests, tells
the run what came back, and sends what the run releases. To read it: `sync` (both loops with threads), then `aio`
(the same with asyncio); `open_requests` is what a streaming loop has sent and not heard the end of, with its
`deadlines`; `turns` is what every request waits for before it is sent.
"""

from skeleton_of_thought.drivers.aio import aanswer_all, astream
from skeleton_of_thought.drivers.sync import Outcome, answer_all, stream
from skeleton_of_thought.drivers.turns import Turn, Turns

__all__ = ["Outcome", "Turn", "Turns", "aanswer_all", "answer_all", "astream", "stream"]
