"""Each question answered plainly, by Skeleton-of-Thought and as a router decides, in one run, on a real clock."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, get_args

from skeleton_of_thought.clients import Client, open_client, warm_up
from skeleton_of_thought.evaluation.answering import Way, answer_one_way
from skeleton_of_thought.evaluation.machine import PeakMemory
from skeleton_of_thought.limits import Limiter
from skeleton_of_thought.messages import Message
from skeleton_of_thought.prices import Prices
from skeleton_of_thought.provider_errors import describe
from skeleton_of_thought.routing import get_router

if TYPE_CHECKING:
    from collections.abc import Callable

    from skeleton_of_thought.evaluation.work import Row, Task

logger = logging.getLogger(__name__)

WAYS: Final[tuple[Way, ...]] = get_args(Way)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeedWork:
    """How questions are answered.

    The ways of a question follow each other directly, and each question begins with another way, so that
    neither a busier hour nor a warmer cache favours one of them.

    Attributes:
        model: What `open_client` takes.
        base_url: Address of an API server.
        dtype: Of a local model's weights.
        router: What `get_router` takes.
        max_points: Most points of an answer; None for what the prompts ask for.
        measure_memory: Whether the peak memory belongs to one question at a time, so that it means something.
        max_concurrency: Most requests at once; None for no limit.
        requests_per_minute: Most requests in a minute.
        tokens_per_minute: Most tokens in a minute.
    """

    model: str = "local"
    base_url: str | None = None
    dtype: str = "auto"
    router: str = "auto"
    max_points: int | None = None
    measure_memory: bool = True
    max_concurrency: int | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None

    def open(self) -> Callable[[Task], Row]:
        """Load model and router, and answer once for nothing, so that no question pays for the first time."""
        client = open_client(self.model, base_url=self.base_url, dtype=self.dtype)
        router = get_router(self.router)
        limiter = Limiter(
            max_concurrency=self.max_concurrency,
            requests_per_minute=self.requests_per_minute,
            tokens_per_minute=self.tokens_per_minute,
        )
        prices = Prices.load()
        known = prices.of(client.name.rpartition(":")[2]) is not None
        router.route([Message("user", "Hello")])
        _try_once(client)

        def measure(task: Task) -> Row:
            row: dict[str, Any] = {**task, "model": client.name, "ways": {}, "faults": {}}
            first = row.pop("place") % len(WAYS)
            for way in (*WAYS[first:], *WAYS[:first]):
                peak = PeakMemory()
                peak.start()
                try:
                    told = answer_one_way(
                        task["request"],
                        way,
                        client,
                        router=router,
                        max_points=self.max_points,
                        limiter=limiter,
                        prices=prices if known else None,
                    )
                except Exception as error:  # noqa: BLE001 - one question's fault is not the run's
                    logger.warning("Question %s, %s: %s", task["id"], way, error)
                    row["faults"][way] = describe(error)
                    continue
                if self.measure_memory:
                    told["peak_memory"] = peak.read()
                row["ways"][way] = told
            row["ways"] = {way: row["ways"][way] for way in WAYS if way in row["ways"]}
            return row

        return measure


def _try_once(client: Client) -> None:
    """The first answer for nothing; a fault is left to the questions."""
    try:
        warm_up(client)
    except Exception as error:  # noqa: BLE001 - the questions will say it, each for itself
        logger.warning("The first request failed: %s", error)
