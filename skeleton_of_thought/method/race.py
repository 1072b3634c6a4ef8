"""A run that does not wait for its router: skeleton and direct answer start while the router still thinks."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from skeleton_of_thought.events import RouteChosen, SkeletonText
from skeleton_of_thought.method.run import SkeletonOfThought
from skeleton_of_thought.prompts import PROMPTS, Prompts
from skeleton_of_thought.provider_errors import describe
from skeleton_of_thought.routing.decision import Decision, Route

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from skeleton_of_thought.messages import Message
    from skeleton_of_thought.options import RunSettings
    from skeleton_of_thought.provider_errors import Quirks
    from skeleton_of_thought.request import Request, Stage

_UNDECIDED = Decision("sot", 1.0, "the router has not decided yet")


class RacingSkeletonOfThought(SkeletonOfThought):
    r"""Like `SkeletonOfThought`, for a router that takes time, such as one that asks a model.

    Router, skeleton and direct answer start together. Once the router has decided, its choice goes on from
    where it is and the other request is abandoned; what that one used is in the bill. Nothing is shown before.
    A direct answer that is complete before the router has decided is the answer.

    The driver answers the request of stage `"route"` by calling `decide`; it has to be one that streams.

    The arguments are those of `SkeletonOfThought`, without the decision.

    Example:
        >>> from skeleton_of_thought import Message, RacingSkeletonOfThought
        >>> from skeleton_of_thought.routing import FixedRouter
        >>> run = RacingSkeletonOfThought([Message("user", "How do I sleep better?")])
        >>> [request.id for request in run.start()]
        ['route', 'skeleton', 'direct']
        >>> run.done("skeleton", "1. Dark room\n2. No coffee")
        ()
        >>> [request.id for request in run.decide(FixedRouter("sot").route([]))]
        ['point:1', 'point:2']
        >>> [request.id for request in run.abandoned()]
        ['direct']
    """

    def __init__(
        self,
        messages: Sequence[Message],
        prompts: Prompts = PROMPTS["instruction"],
        options: RunSettings | None = None,
        *,
        quirks: Mapping[Stage, Quirks] | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        super().__init__(messages, prompts, options, decision=_UNDECIDED, quirks=quirks, clock=clock)
        self._undecided = False
        self._pieces: dict[Stage, list[str]] = {"skeleton": [], "direct": []}
        self._skeleton_end: tuple[Request, str, bool] | None = None
        self._errors: dict[Stage, BaseException] = {}

    def start(self) -> Sequence[Request]:
        """Begin; returns the requests that may be sent now."""
        first = super().start()
        if "skeleton" not in self._outbox:  # there is nothing to decide
            return first
        self.events()
        self._undecided = True
        return (self._send(self._asking.route()), *first, self._send(self._asking.direct()))

    @property
    def route(self) -> Route | None:
        """Which way the answer goes; None while the router still thinks."""
        return None if self._undecided else self._route

    def decide(self, decision: Decision) -> Sequence[Request]:
        """The router's word; returns requests this releases. Said too late, it changes nothing."""
        if "route" in self._outbox:
            self._outbox.take("route")
        if not self._undecided:
            return ()
        self._decision = decision
        self._accounts.add_route(decision.usage)
        if decision.route == "direct":
            return self._answer_directly(decision.reason)
        if "skeleton" in self._errors:
            failure = describe(self._errors["skeleton"])
            return self._answer_directly(f"the skeleton request failed: {failure}")
        self._route, self._reason = decision.route, decision.reason
        self._display.tell(RouteChosen("sot", self._reason), *map(SkeletonText, self._pieces["skeleton"]))
        released: Sequence[Request] = ()
        if self._skeleton_end is not None:
            request, received, truncated = self._skeleton_end
            released = super()._skeleton_done(request, received, truncated=truncated)
        if self._undecided:  # the skeleton did not turn out to be none
            self._undecided = False
            self._outbox.abandon("direct")
        return released

    def text(self, request_id: str, delta: str) -> Sequence[Request]:
        """A request's answer grew by `delta`; returns requests this releases."""
        if not self._undecided:
            return super().text(request_id, delta)
        self._outbox.received[request_id].append(delta)
        self._pieces[self._outbox.requests[request_id].stage].append(delta)
        return ()

    def _skeleton_done(self, request: Request, received: str, *, truncated: bool) -> Sequence[Request]:
        if not self._undecided:
            return super()._skeleton_done(request, received, truncated=truncated)
        self._skeleton_end = request, received, truncated
        return ()

    def _direct_done(self) -> Sequence[Request]:
        if self._undecided:
            return self._answer_directly("the plain answer was complete before the router had decided")
        return ()

    def _failed_for_good(self, request: Request, error: BaseException) -> Sequence[Request]:
        if not self._undecided:
            return super()._failed_for_good(request, error)
        if request.stage != "route":
            self._errors[request.stage] = error
            return ()
        if self._late is not None:
            return self.decide(Decision("direct", 0.0, "the router was too slow"))
        self._undecided, self._error = False, error
        self._outbox.abandon("skeleton", "direct")
        return ()

    def _answer_directly(self, reason: str) -> Sequence[Request]:
        if not self._undecided:
            return super()._answer_directly(reason)
        self._undecided = False
        self._route, self._reason = "direct", reason
        self._display.tell(RouteChosen("direct", reason))
        self._outbox.abandon("skeleton", "route")
        if "direct" in self._errors:
            self._direct_failed(self._errors["direct"])
        for delta in self._pieces["direct"]:
            self._display.show(delta)
        return ()
