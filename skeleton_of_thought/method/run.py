"""Skeleton-of-Thought as a state machine without I/O (paper, section 2).

A run hands out requests and is told what happened to them. It never calls a model, waits, or starts a thread;
a driver does that: it sends what `start` returns, tells the run with `text`, `done` or `failed`, each of
which may return more requests, and reads `answer`.
"""

from __future__ import annotations

import time
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from skeleton_of_thought.answer import Answer, PointResult
from skeleton_of_thought.errors import DeadlineError, EmptyAnswerError, PointError
from skeleton_of_thought.events import (
    Event,
    PointEnded,
    PointStarted,
    PointText,
    RouteChosen,
    SkeletonReady,
    SkeletonText,
)
from skeleton_of_thought.method.accounting import Accounts
from skeleton_of_thought.method.answer_stream import Display
from skeleton_of_thought.method.outstanding import Outbox
from skeleton_of_thought.method.point import Piece, PointGroup, PointRun, begin
from skeleton_of_thought.method.request_builder import Asking, check_question
from skeleton_of_thought.method.skeleton_reading import MIN_POINTS, read_skeleton
from skeleton_of_thought.method.stopwatch import Stopwatch
from skeleton_of_thought.options import RunSettings
from skeleton_of_thought.prompts import PROMPTS, Prompts
from skeleton_of_thought.provider_errors import describe, may_pass
from skeleton_of_thought.request import twin_of
from skeleton_of_thought.routing.decision import Decision, Route
from skeleton_of_thought.skeleton import Skeleton
from skeleton_of_thought.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from skeleton_of_thought.messages import Message
    from skeleton_of_thought.provider_errors import Quirks
    from skeleton_of_thought.request import Request, Stage

_NO_ROUTER = Decision("sot", 1.0, "no router")


class SkeletonOfThought:
    r"""One run of the method for one conversation.

    Args:
        messages: The conversation; one that does not end with a user's question is answered directly.
        prompts: What the model is asked.
        options: Caps, retries, failure policy, format.
        decision: What a router said; by default every question gets a skeleton.
        quirks: What is known of the model that answers a stage, kept between runs; None starts without.
        clock: Seconds, from any start; only differences count.

    Raises:
        ConfigurationError: There is no message, or the question is empty.

    Example:
        >>> from skeleton_of_thought import Message, SkeletonOfThought
        >>> run = SkeletonOfThought([Message("user", "How do I sleep better?")])
        >>> requests = run.start()
        >>> [request.id for request in run.done("skeleton", "1. Dark room\n2. No coffee")]
        ['point:1', 'point:2']
        >>> requests = run.done("point:2", "Coffee works for hours."), run.done("point:1", "Darkness helps.")
        >>> print(run.answer.text)
        1. Dark room: Darkness helps.
        <BLANKLINE>
        2. No coffee: Coffee works for hours.
    """

    def __init__(
        self,
        messages: Sequence[Message],
        prompts: Prompts = PROMPTS["instruction"],
        options: RunSettings | None = None,
        *,
        decision: Decision = _NO_ROUTER,
        quirks: Mapping[Stage, Quirks] | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._messages = tuple(messages)
        check_question(self._messages)
        self._options = options or RunSettings()
        self._decision = decision
        self._asking = Asking(self._messages, prompts, self._options, quirks or {})
        self._watch = Stopwatch(clock, decision.seconds)
        self._route, self._reason = decision.route, decision.reason
        self._accounts = Accounts(self._messages, route=decision.usage)
        self._outbox = Outbox()
        self._held: Sequence[Request] = ()
        self._late: DeadlineError | None = None
        self._skeleton = Skeleton(())
        self._points: list[PointRun] = []
        self._groups: dict[tuple[int, ...], PointGroup] = {}
        self._display = Display(clock)
        self._error: BaseException | None = None

    def start(self) -> Sequence[Request]:
        """Begin; returns the requests that may be sent now."""
        self._watch.start()
        if self._route == "direct":
            return self._answer_directly(self._reason)
        if self._messages[-1].role != "user":
            return self._answer_directly("the conversation does not end with a user's question")
        self._display.tell(RouteChosen("sot", self._reason))
        return (self._send(self._asking.skeleton()),)

    def begun(self, request_id: str) -> None:
        """A request that had to wait for its turn is on its way; for drivers whose requests wait."""
        begin(self._points, self._outbox.requests.get(request_id), now=self._watch.now())

    def text(self, request_id: str, delta: str) -> Sequence[Request]:
        """A request's answer grew by `delta`; returns requests this releases."""
        request = self._outbox.requests[request_id]
        self._outbox.received[request_id].append(delta)
        if not delta:
            return ()
        if request.stage == "skeleton":
            self._display.tell(SkeletonText(delta))
        elif request.stage == "direct":
            self._display.show(delta)
        else:
            self._outbox.abandon(twin_of(request_id))
            self._point_text(self._group(request).feed(delta))
            return self._release()
        return ()

    def done(
        self, request_id: str, text: str | None = None, usage: Usage = Usage(), *, truncated: bool = False
    ) -> Sequence[Request]:
        """A request is answered; returns requests this releases.

        Args:
            request_id: Whose answer it is.
            text: The whole answer, or None if all of it was handed to `text` already.
            usage: Its tokens.
            truncated: Whether the model was stopped by its length limit.
        """
        if text is not None:
            self.text(request_id, text[len("".join(self._outbox.received[request_id])) :])
        request, pieces = self._outbox.take(request_id)
        received = "".join(pieces)
        if request.stage == "point":
            return self._points_done(request, usage)
        self._spend(request, usage)
        if request.stage == "skeleton":
            return self._skeleton_done(request, received, truncated=truncated)
        return self._direct_done()

    def failed(
        self, request_id: str, error: BaseException, usage: Usage | None = Usage()
    ) -> Sequence[Request]:
        """A request failed, or its turn never came (usage None); returns its retry, or what the policy does instead."""
        request, pieces = self._outbox.take(request_id)
        self._spend(request, usage)
        if not pieces and (again := self._without_losing_a_retry(request, error)):
            return (again,)
        if request.stage == "point":
            return self._request_for_points_failed(request, error)
        shown = request.stage == "direct" and bool(pieces)  # a piece without text may be a tool call
        if not shown and self._may_retry(request, error):
            return (self._send(replace(request, attempt=request.attempt + 1)),)
        return self._failed_for_good(request, error)

    def hedge(self, request_id: str) -> Sequence[Request]:
        """A request for a point has shown nothing for too long; returns a second one like it, if that helps."""
        request, twin = self._outbox.requests.get(request_id), twin_of(request_id)
        if request is None or any(self._outbox.received[request_id]) or twin in self._outbox:
            return ()
        return (self._outbox.add(replace(request, id=twin)),)

    def abandoned(self) -> list[Request]:
        """Requests whose answer nobody wants any more, since the last call; the driver cancels them."""
        return self._outbox.abandoned()

    def cancelled(self, request: Request, usage: Usage) -> None:
        """An abandoned request was cancelled, after it had reported these tokens."""
        parts = self._group(request).shares(usage) if request.points else ()
        self._accounts.add(request, usage, [part for _, part in parts])

    def expire(self, error: DeadlineError, usage: Mapping[str, Usage | None] = MappingProxyType({})) -> None:
        """The time of the whole run is over: what is outstanding fails, and nothing more is sent.

        `usage` has the tokens known of outstanding requests, by id; None for those whose turn never came.
        """
        self._late = error
        for request_id in list(self._outbox.requests):
            if request_id in self._outbox:
                self.failed(request_id, error, usage.get(request_id, Usage()))
        for request in self._held:
            self._points_failed(self._group(request).runs, request, error)

    def events(self) -> list[Event]:
        """What has happened since the last call."""
        return self._display.take_events()

    @property
    def options(self) -> RunSettings:
        """What the user decided about this run."""
        return self._options

    @property
    def finished(self) -> bool:
        """Whether nothing is outstanding, after `start`."""
        return not self._outbox.requests

    @property
    def route(self) -> Route | None:
        """Which way the answer goes, as things stand; None while a router still thinks, and nothing may be shown."""
        return self._route

    @property
    def skeleton(self) -> Skeleton:
        """The skeleton the points were made of; empty until it is written."""
        return self._skeleton

    @property
    def answer(self) -> Answer:
        """The answer, once the run is finished.

        Raises:
            PointError: Points failed and the policy is `"raise"`; it carries the answer.
            Exception: The direct answer failed; the model's own error.
        """
        if self._error is not None and not isinstance(self._error, PointError):
            raise self._error
        answer = self._assemble()
        if self._error is not None:
            raise PointError(str(self._error), answer=answer) from self._error.__cause__
        return answer

    def _skeleton_done(self, request: Request, received: str, *, truncated: bool) -> Sequence[Request]:
        self._watch.skeleton_ended()
        skeleton = read_skeleton(request, received, truncated=truncated, max_points=self._asking.max_points)
        if len(skeleton) < MIN_POINTS:
            return self._answer_directly(f"the skeleton had {'only one point' if skeleton else 'no list'}")
        self._skeleton = skeleton
        self._display.expect(len(skeleton))
        self._display.tell(SkeletonReady(self._skeleton))
        self._watch.points_start()
        times = {"origin": self._watch.origin, "started": self._watch.points_started}
        self._points = [
            PointRun(point, skeleton, self._options.answer_format or "numbered", **times)
            for point in skeleton
        ]
        self._held = tuple(self._asking.all_points(skeleton))
        leads = self._options.leads
        return self._release(1 if leads and leads(self._held) else None)

    def _release(self, count: int | None = None) -> Sequence[Request]:
        """Send points that were not sent yet: so many, or all."""
        requests, self._held = self._held[:count], self._held[count:] if count else ()
        return tuple(self._send(request) for request in requests)

    def _group(self, request: Request) -> PointGroup:
        """The points a request writes."""
        if request.points not in self._groups:
            self._groups[request.points] = PointGroup([self._points[index - 1] for index in request.points])
        return self._groups[request.points]

    def _point_text(self, pieces: Iterable[Piece]) -> None:
        for run, text, shown in pieces:
            if text:
                self._display.tell(PointText(run.point.index, text))
                self._display.add(run.point.index, shown)
            if run.complete and run.shows_text:
                self._display.close(run.point.index)

    def _points_done(self, request: Request, usage: Usage) -> Sequence[Request]:
        self._outbox.abandon(twin_of(request.id))
        group = self._group(request)
        self._point_text(group.finish())
        self._spend(request, usage)
        released = (*self._release(), *self._close_well(run for run in group.runs if run.has_text))
        empty = [run for run in group.runs if not run.has_text]
        unstopped = replace(request, stop=())  # it may have begun with its own number on a new line
        return (*released, *self._points_failed(empty, unstopped, EmptyAnswerError()))

    def _request_for_points_failed(self, request: Request, error: BaseException) -> Sequence[Request]:
        if twin_of(request.id) in self._outbox and not isinstance(error, DeadlineError):
            return ()  # the other one may still answer
        self._outbox.abandon(twin_of(request.id))
        runs = self._group(request).runs
        others = () if self._late else self._release()
        released = (*others, *self._close_well(run for run in runs if run.complete))
        return (*released, *self._points_failed([run for run in runs if not run.complete], request, error))

    def _points_failed(
        self, runs: Sequence[PointRun], request: Request, error: BaseException
    ) -> Sequence[Request]:
        """Points a request did not bring: they are asked for again, or closed by the policy."""
        retried = [run for run in runs if not self._is_shown(run)] if self._may_retry(request, error) else []
        released: list[Request] = []
        if retried:
            for run in retried:
                self._display.discard(run.point.index)
            again = self._asking.again(request, self._skeleton, [run.point.index for run in retried])
            self._groups[again.points] = PointGroup(retried)
            released.append(self._send(again))
        for run in runs:
            if run not in retried:
                released += self._fail_point(run, request, error)
        return released

    def _fail_point(self, run: PointRun, request: Request, error: BaseException) -> Sequence[Request]:
        """A point has failed for good."""
        if self._options.on_point_error == "raise" and self._error is None:
            self._error = run.error(error, attempts=request.attempt)
        skipped = self._options.on_point_error == "skip" and not self._is_shown(run)
        return self._close_point(run, run.result("skipped" if skipped else "failed", error=describe(error)))

    def _is_shown(self, run: PointRun) -> bool:
        """Whether some of a point's text can be read already."""
        return run.shows_text and self._display.is_read(run.point.index)

    def _close_well(self, runs: Iterable[PointRun]) -> Sequence[Request]:
        return [released for run in runs for released in self._close_point(run, run.result("ok"))]

    def _close_point(self, run: PointRun, result: PointResult) -> Sequence[Request]:
        index = run.point.index
        run.outcome = result
        self._watch.point_ended()
        self._display.tell(PointEnded(result))
        if result.status == "skipped":
            self._display.discard(index)
        else:
            self._display.add(index, run.ending(result))
        self._display.close(index)
        nothing_left = all(p.outcome is not None and p.outcome.status == "skipped" for p in self._points)
        return self._answer_directly("every point failed") if nothing_left else ()

    def _direct_done(self) -> Sequence[Request]:
        return ()

    def _failed_for_good(self, request: Request, error: BaseException) -> Sequence[Request]:
        """A request that is not for a point has failed, and is not sent again."""
        if request.stage == "skeleton":
            self._watch.skeleton_ended()
            return self._answer_directly(f"the skeleton request failed: {describe(error)}")
        self._direct_failed(error)
        return ()

    def _direct_failed(self, error: BaseException) -> None:
        if isinstance(error, EmptyAnswerError):
            self._reason += f"; {error}"
        elif self._late is not None and self._display.text:
            self._reason += f"; cut off: {error}"
        else:
            self._error = error

    def _answer_directly(self, reason: str) -> Sequence[Request]:
        if self._late is not None:
            self._error = self._error or self._late
            return ()
        self._route, self._reason = "direct", reason
        self._display.tell(RouteChosen("direct", reason))
        return (self._send(self._asking.direct()),)

    def _send(self, request: Request) -> Request:
        for index in request.points:
            self._display.tell(PointStarted(index, self._skeleton[index - 1].title, request.attempt))
        return self._outbox.add(request)

    def _spend(self, request: Request, usage: Usage | None) -> None:
        """A request has ended, and cost so much; None if it was never sent, and is no call."""
        self._watch.request_ended()
        parts = tuple(self._group(request).shares(usage)) if request.points and usage is not None else ()
        for run, part in parts:
            run.spend(part, ended=self._watch.last)
        if usage is not None:
            self._accounts.add(request, usage, [part for _, part in parts])

    def _without_losing_a_retry(self, request: Request, error: BaseException) -> Request | None:
        """The same attempt again, if the request or the moment was wrong and not the answer.

        Either the model does not take something that can be left out, or its provider wants the request later
        (429 or 529); then the driver waits.
        """
        renewed = self._asking.renewed(request, error, self._skeleton)
        return self._outbox.put_off(request, error) if renewed is None else self._outbox.add(renewed)

    def _may_retry(self, request: Request, error: BaseException) -> bool:
        return request.attempt <= self._options.retries and may_pass(error)

    def _assemble(self) -> Answer:
        return Answer(
            text=self._display.text,
            route=self._route,
            reason=self._reason,
            skeleton=self._skeleton.as_text(),
            points=tuple(run.outcome for run in self._points if run.outcome is not None),
            seconds=self._watch.seconds(self._decision.seconds, self._display.first),
            usage=self._accounts.usage,
            bill=self._accounts.bill(len(self._points)),
        )
