"""Both ways to answer one question, at the same time: what has happened so far in each."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from typing import TYPE_CHECKING

from skeleton_of_thought.asking import Asker, splitting_router
from skeleton_of_thought.events import (
    AnswerText,
    Event,
    PointEnded,
    PointStarted,
    PointText,
    RouteChosen,
    SkeletonText,
)
from skeleton_of_thought.messages import Message
from skeleton_of_thought.routing import get_router
from sot_command.choices import RouteChoice
from sot_command.problems import explain

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from skeleton_of_thought.answer import Answer, PointStatus
    from skeleton_of_thought.clients import Client

logger = logging.getLogger(__name__)

MOMENT = 0.2
"""Seconds between two pictures of a race."""


class _LeftError(Exception):
    """Nobody watches any more."""


class Lane:
    """One of the two answers, while it is written and afterwards.

    Attributes:
        skeleton: What has been written of the skeleton.
        opening: The answer's first words, which come before its points.
        text: The answer so far, in reading order.
        titles: The points' titles, by number, once they are known.
        texts: What has been written of each point.
        ended: How a point ended.
        chosen: The route, once it is known.
        reason: Why that one.
        split: Whether the answer has points, as far as is known.
        fallback: Why there is no skeleton after all.
        answer: The whole answer, once it is there.
        error: What went wrong, for a visitor to read.
    """

    def __init__(self, route: RouteChoice) -> None:
        self.route = route
        self.skeleton = self.opening = self.text = self.fallback = ""
        self.chosen = self.reason = ""
        self.split = False
        self.titles: dict[int, str] = {}
        self.texts: dict[int, str] = {}
        self.ended: dict[int, PointStatus] = {}
        self.answer: Answer | None = None
        self.error: str | None = None
        self._started: float | None = None
        self._stopped: float | None = None
        self._left = False

    @property
    def over(self) -> bool:
        """Whether nothing more will happen."""
        return self.answer is not None or self.error is not None

    @property
    def seconds(self) -> float:
        """The clock: of a whole answer, the seconds in its metadata."""
        if self.answer is not None:
            return self.answer.seconds.total
        if self._started is None:
            return 0.0
        return (self._stopped or time.perf_counter()) - self._started

    def run(self, question: str, client: Client, *, max_points: int | None) -> None:
        """Answer the question; an error ends the lane and is kept for the visitor."""
        self._started = time.perf_counter()
        try:
            router = "never" if self.route is RouteChoice.direct else splitting_router(client)
            self.answer = Asker(client, router=router, max_points=max_points).ask(question, watch=self._watch)
        except _LeftError:
            self.error = "Stopped."
        except Exception as error:
            self._stopped = time.perf_counter()
            foreseen = explain(error)
            if foreseen is None:
                logger.exception("the demo could not answer")
            self.error = foreseen or f"{type(error).__name__}: {error}"

    def leave(self) -> None:
        """Stop at the next piece of text."""
        self._left = True

    def _watch(self, event: Event) -> None:
        if self._left:
            raise _LeftError
        match event:
            case SkeletonText(text):
                self.skeleton += text
            case RouteChosen(route, reason):
                self.chosen, self.reason = route, reason
                self.split = route == "sot"
                self.fallback = reason if route == "direct" and self.route is RouteChoice.sot else ""
            case PointStarted(index, title, _):
                self.texts[index], self.titles[index] = "", title  # read by another thread: title last
            case PointText(index, text):
                self.texts[index] += text
            case PointEnded(result):
                self.ended[result.index] = result.status
            case AnswerText(text):
                self.text += text
                self.opening += "" if self.split else text
            case _:
                pass


class SideBySide:
    """Both ways at the same time.

    Args:
        question: The question.
        client: Answers both; on a local engine in the same batch, so that each slows the other a little.
        max_points: Most points of the skeleton.

    Attributes:
        advice: What the lexical router says of the question; both ways run whatever it says.
    """

    def __init__(self, question: str, client: Client, *, max_points: int | None) -> None:
        self.advice = get_router("lexical").route([Message("user", question)])
        self.plain, self.sot = Lane(RouteChoice.direct), Lane(RouteChoice.sot)
        self._threads = [
            threading.Thread(
                target=lane.run,
                args=(question, client),
                kwargs={"max_points": max_points},
                daemon=True,
                name=f"sot demo {lane.route}",
            )
            for lane in (self.plain, self.sot)
        ]

    @property
    def over(self) -> bool:
        """Whether both are."""
        return self.plain.over and self.sot.over

    async def run(self) -> AsyncGenerator[None]:
        """Start both; comes back every moment, the last time when both are over.

        Closing it stops both.
        """
        for thread in self._threads:
            thread.start()
        try:
            while not self.over:
                yield
                await asyncio.sleep(MOMENT)
            yield
        finally:
            self.plain.leave()
            self.sot.leave()
