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
from skeleton_of_thought.usage import Usage

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
    """

    upstream: Upstream
    router: Router
    settings: RunSettings
    limiter: Limiter | None = None
    load_aware: bool = True

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
        self._settings = self._settings_of_runs()
        self._opened = time.monotonic()
        self._turns = Turns(answerer.limiter, longest_wait=self._settings.longest_wait)
        self._lost = Usage()  # of runs that were begun again
        self._begin()

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
        """The answer, once it is complete, with the tokens of all its beginnings."""
        answer = self._run.answer
        return dataclasses.replace(answer, usage=answer.usage + self._lost)

    async def pieces(self, *, shown: bool) -> AsyncGenerator[Piece]:
        """The pieces of the answer, in reading order.

        Args:
            shown: Whether each piece is seen at once. What nobody has seen of an answer that fails in the middle is
                begun again as often as a request is sent again; what came before an empty piece does not count then.

        Raises:
            Exception: What ended the answer for good.
        """
        sent_again = 0
        while True:
            seen = False
            try:
                async with contextlib.aclosing(self._once()) as pieces:
                    async for piece in pieces:
                        seen = shown
                        yield piece
                self._answerer.speeds.observe(self._run.answer)  # or raises what the run failed with
            except Exception as error:
                sent_again += self._attempts  # by the run, and now by beginning again
                if seen or not self._came or sent_again > self._settings.retries or not may_pass(error):
                    raise
                self._spend_time(error)
                logger.info(
                    "An answer failed before it was shown, and is begun again: %s", type(error).__name__
                )
                self._lost += self._run.usage
                self._begin()
                yield ""
            else:
                return

    def _begin(self) -> None:
        self._run = self._new_run()
        self._attempts = 0  # of the request that was sent most often
        self._came = False  # whether the upstream has answered with anything
        self._truncated: set[str] = set()

    def _spend_time(self, error: Exception) -> None:
        """What an answer took until it failed is gone from the seconds it may take."""
        if self._answerer.settings.timeout is None:
            return
        left = self._answerer.settings.timeout - (time.monotonic() - self._opened)
        if left <= 0:
            raise error
        self._settings = dataclasses.replace(self._settings, timeout=left)

    async def _once(self) -> AsyncGenerator[Piece]:
        relaying = False  # the same text comes as an event, too
        async with contextlib.aclosing(astream(self._run, self._send, turns=self._turns)) as events:
            async for event in events:
                if isinstance(event, tuple):
                    request, delta = event
                    self._came = self._came or not delta.empty
                    if delta.truncated:
                        self._truncated.add(request.stage)
                    relaying = request.relayed
                    if not relaying:
                        continue
                    if delta.raw is not None:
                        yield delta.raw
                    elif delta.text:
                        yield delta.text
                elif isinstance(event, AnswerText):
                    self._came = True
                    if not relaying:
                        yield event.text

    def _send(self, request: Request) -> AsyncGenerator[Delta]:
        asked = self._request
        self._attempts = max(self._attempts, request.attempt)
        wanted = asked.fields if request.stage == "direct" else asked.sampling
        if request.stage == "opening":  # what comes may be the whole answer
            wanted = {**wanted, **asked.limits}
        return self._answerer.upstream.astream(request, wanted)

    def _settings_of_runs(self) -> RunSettings:
        settings, asked = self._answerer.settings, self._request
        if not asked.stream or asked.plain is not None:  # nobody reads along, or it is no text alone
            settings = dataclasses.replace(settings, resumed=())
        if (share := asked.point_max_tokens) is not None:
            longest = min(share, settings.point_max_tokens or share)
            settings = dataclasses.replace(settings, point_max_tokens=longest)
        return settings

    def _new_run(self) -> SkeletonOfThought:
        upstream = self._answerer.upstream
        quirks = quirks_of(upstream.identity)
        return SkeletonOfThought(
            self._request.messages,
            upstream.prompts,
            self._settings,
            decision=self._decision,
            quirks=dict.fromkeys(get_args(Stage), quirks),
        )
