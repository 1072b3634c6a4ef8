"""One answer: the run behind it, and its pieces as they may be shown."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import time
from typing import TYPE_CHECKING, Any, get_args

from skeleton_of_thought.drivers import astream
from skeleton_of_thought.drivers.turns import Turns
from skeleton_of_thought.events import AnswerText
from skeleton_of_thought.method import SkeletonOfThought
from skeleton_of_thought.provider_errors import may_pass, quirks_of
from skeleton_of_thought.request import Stage
from skeleton_of_thought.speeds import Speeds, speeds_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from skeleton_of_thought.answer import Answer
    from skeleton_of_thought.limits import Limiter
    from skeleton_of_thought.options import RunSettings
    from skeleton_of_thought.request import Delta, Request
    from skeleton_of_thought.routing import Decision, Router
    from sot_command.server.reading import CompletionRequest
    from sot_command.server.upstreams import Upstream

logger = logging.getLogger(__name__)

Piece = str | dict[str, Any]
"""Text of the answer, or a chunk of a plain answer as the upstream sent it."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Answerer:
    """What all answers of a server have in common.

    Attributes:
        upstream: Who answers.
        router: Decides where the caller does not.
        settings: What every run decides by.
        limiter: What every request has to pass; None for a limiter per answer, which limits nothing until the upstream
            refuses a request.
        load_aware: Whether answers are plain while no gain is to be expected of a skeleton; a route the caller forces
            counts more.
        begin_again: How often an answer of which nothing was shown yet is begun again after a failure that may pass.
    """

    upstream: Upstream
    router: Router
    settings: RunSettings
    limiter: Limiter | None = None
    load_aware: bool = True
    begin_again: int = 3

    @property
    def speeds(self) -> Speeds:
        """What the model's points cost, as far as answers in this process have told."""
        return speeds_of(self.upstream.identity)

    async def open(self, request: CompletionRequest) -> ServedAnswer:
        """Decide how a request is answered; nothing is sent yet."""
        decision = request.decision
        if decision is None and self.load_aware:
            decision = self.speeds.decide(0.0 if self.limiter is None else self.limiter.load)
        if decision is None:
            started = time.perf_counter()
            decision = await self.router.aroute(request.messages)
            reason = f"confidence {decision.confidence:.2f}: {decision.reason}"
            decision = dataclasses.replace(decision, reason=reason, seconds=time.perf_counter() - started)
        return ServedAnswer(self, request, decision)


class ServedAnswer:
    """One answer on its way."""

    def __init__(self, answerer: Answerer, request: CompletionRequest, decision: Decision) -> None:
        self._answerer = answerer
        self._request = request
        self._decision = decision
        self._run = self._new_run()
        self._truncated: set[str] = set()

    @property
    def truncated(self) -> bool:
        """Whether the model's length limit ended a plain answer."""
        return self.route == "direct" and bool(self._truncated & {"direct", "opening"})

    @property
    def route(self) -> str:
        """Which way the answer goes, as things stand."""
        return self._run.route or self._decision.route

    @property
    def answer(self) -> Answer:
        """The answer, once it is complete."""
        return self._run.answer

    async def pieces(self, *, shown: bool) -> AsyncGenerator[Piece]:
        """The pieces of the answer, in reading order.

        Args:
            shown: Whether each piece is seen at once. If not, an answer that fails in the middle is begun again, and
                what came before an empty piece does not count any more.

        Raises:
            Exception: What ended the answer for good.
        """
        for attempt in range(1, self._answerer.begin_again + 2):
            seen = False
            try:
                async with contextlib.aclosing(self._once()) as pieces:
                    async for piece in pieces:
                        seen = True
                        yield piece
                self._answerer.speeds.observe(self._run.answer)  # or raises what the run failed with
            except Exception as error:
                last = attempt > self._answerer.begin_again
                if last or (seen and shown) or not may_pass(error):
                    raise
                logger.info(
                    "An answer failed before it was shown, and is begun again: %s", type(error).__name__
                )
                self._run = self._new_run()
                yield ""
            else:
                return

    async def _once(self) -> AsyncGenerator[Piece]:
        limiter = self._answerer.limiter
        turns = Turns(limiter) if limiter else Turns()
        relaying = False  # the same text comes as an event, too
        async with contextlib.aclosing(astream(self._run, self._send, turns=turns)) as events:
            async for event in events:
                if isinstance(event, tuple):
                    request, delta = event
                    if delta.truncated:
                        self._truncated.add(request.stage)
                    relaying = request.relayed
                    if not relaying:
                        continue
                    if delta.raw is not None:
                        yield delta.raw
                    elif delta.text:
                        yield delta.text
                elif isinstance(event, AnswerText) and not relaying:
                    yield event.text

    def _send(self, request: Request) -> AsyncGenerator[Delta]:
        asked = self._request
        wanted = asked.fields if request.stage == "direct" else asked.sampling
        if request.stage == "opening":  # what comes may be the whole answer
            wanted = {**wanted, **asked.limits}
        return self._answerer.upstream.astream(request, wanted)

    def _new_run(self) -> SkeletonOfThought:
        upstream = self._answerer.upstream
        settings = self._answerer.settings
        if (
            not self._request.stream or self._request.plain is not None
        ):  # nobody reads along, or it is no text alone
            settings = dataclasses.replace(settings, resumed=())
        share = self._request.point_max_tokens
        if share is not None:
            settings = dataclasses.replace(
                settings, point_max_tokens=min(share, settings.point_max_tokens or share)
            )
        quirks = quirks_of(upstream.identity)
        return SkeletonOfThought(
            self._request.messages,
            upstream.prompts,
            settings,
            decision=self._decision,
            quirks=dict.fromkeys(get_args(Stage), quirks),
        )
