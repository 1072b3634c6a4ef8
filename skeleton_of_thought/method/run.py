"""Decides what is asked next, and what of the answers is shown (paper, section 2; the opening protocol).

A run hands out requests and is told what happened to them. It never calls a model, waits, or starts a thread;
a driver does that: it sends what `start` returns, tells the run with `text`, `done` or `failed`, each of
which may return more requests, and reads `answer`.

In the classic protocol a skeleton is asked for, then its points. In the opening protocol one request decides: its
reply is the plain answer, or an opening and a plan of points. Either way a point may be asked for while the outline
is still being written, and a point that follows others waits for their texts.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING

from skeleton_of_thought.answer import SEPARATOR, Answer, PointResult
from skeleton_of_thought.errors import (
    BrokenOffError,
    DeadlineError,
    EmptyAnswerError,
    FilteredError,
    LongWaitError,
    PointError,
)
from skeleton_of_thought.events import (
    Event,
    PointEnded,
    PointStarted,
    PointText,
    RouteChosen,
    SkeletonReady,
    SkeletonText,
)
from skeleton_of_thought.given_outline import given_outline
from skeleton_of_thought.method.accounting import Accounting
from skeleton_of_thought.method.answer_stream import AnswerStream
from skeleton_of_thought.method.broken_stream import RestOfReply, seam
from skeleton_of_thought.method.outstanding import Outstanding
from skeleton_of_thought.method.plan import MIN_POINTS, Outline
from skeleton_of_thought.method.point import Piece, PointGroup, PointRun, begin, shown_plain
from skeleton_of_thought.method.race import Race
from skeleton_of_thought.method.request_builder import RequestBuilder, check_question
from skeleton_of_thought.method.stopwatch import Stopwatch
from skeleton_of_thought.opening import OpeningReader
from skeleton_of_thought.options import RunSettings
from skeleton_of_thought.prompts import PROMPTS
from skeleton_of_thought.provider_errors import describe, is_refusal, may_pass, retry_after_of
from skeleton_of_thought.request import twin_of
from skeleton_of_thought.routing.decision import Decision, Route
from skeleton_of_thought.routing.second_look import asks_for_one_work, second_look
from skeleton_of_thought.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from skeleton_of_thought.answer import AnswerFormat
    from skeleton_of_thought.messages import Message
    from skeleton_of_thought.prompts import AnyPrompts
    from skeleton_of_thought.provider_errors import Quirks
    from skeleton_of_thought.request import Request, Stage
    from skeleton_of_thought.skeleton import Point, Skeleton

_LOG = logging.getLogger(__name__)
_NO_ROUTER = Decision("sot", 1.0, "no router")


class SkeletonOfThought:
    r"""One run of the method for one conversation.

    Args:
        messages: The conversation; one that does not end with a user's question is answered directly.
        prompts: What the model is asked: the classic protocol's `Prompts`, or `OpeningPrompts`.
        settings: Caps, retries, failure policy, format.
        decision: What a router said; by default every question gets a skeleton. None if a router is still thinking:
            router, skeleton and direct answer then start together, `decide` ends that, and the loser is abandoned.
            Nothing is shown before, and a direct answer that is complete by then is the answer.
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
        prompts: AnyPrompts = PROMPTS["instruction"],
        settings: RunSettings | None = None,
        *,
        decision: Decision | None = _NO_ROUTER,
        quirks: Mapping[Stage, Quirks] | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._messages = tuple(messages)
        check_question(self._messages)
        self._settings = settings or RunSettings()
        self._builder = RequestBuilder(self._messages, prompts, self._settings, quirks or {})
        self._race = Race() if decision is None and not self._builder.opens else None
        self._spare: Race | None = None
        self._decision = decision or _NO_ROUTER
        self._watch = Stopwatch(clock, self._decision.seconds)
        self._route: Route = self._decision.route
        self._reason = self._decision.reason
        self._accounting = Accounting(self._messages, route=self._decision.usage)
        self._outstanding = Outstanding()
        self._gives_up = False  # the provider refuses requests for longer than anybody waits
        self._opening = OpeningReader(self._messages[-1].text)
        self._rest = RestOfReply("")  # of a reply that broke off
        self._chosen = False
        self._outline = Outline(self._builder.max_points)
        self._unsent: list[tuple[int, ...]] = []
        self._lead: str | None = None
        self._points: list[PointRun] = []
        self._groups: dict[tuple[int, ...], PointGroup] = {}
        self._stream = AnswerStream(clock)
        self._late: DeadlineError | None = None
        self._error: BaseException | None = None
        self._finish_reason: str | None = None

    # What a driver calls.

    def start(self) -> Sequence[Request]:
        """Begin; returns the requests that may be sent now."""
        self._watch.start()
        if self._route == "direct":
            self._race = None
            return self._answer_directly(self._reason)
        if self._messages[-1].role != "user":
            self._race = None
            return self._answer_directly("the conversation does not end with a user's question")
        if (
            self._builder.opens
        ):  # its plan makes better answers than the bare items of an outline the question brings
            return (self._send(self._builder.opening()),)
        if self._race is not None:
            racing = (self._builder.route(), self._builder.skeleton(), self._builder.direct())
            return tuple(map(self._send, racing))
        given = given_outline(self._messages[-1].text)
        if given and len(given) <= self._builder.max_points:  # more would cost the last of them
            self._choose("sot", "the question brings its own outline")
            self._outline.plan(given, started=0)
            return tuple(self._outline_done())
        self._choose("sot", self._reason)
        return (self._send(self._builder.skeleton()),)

    def begun(self, request_id: str) -> None:
        """A request that had to wait for its turn is on its way; for drivers whose requests wait."""
        begin(self._points, self._outstanding.requests.get(request_id), now=self._watch.now())

    def text(self, request_id: str, delta: str) -> Sequence[Request]:
        """A request's answer grew by `delta`; returns requests this releases."""
        request = self._outstanding.requests[request_id]
        delta = self._outstanding.grew(request_id, delta)
        if not delta:
            return ()
        return tuple(self._now_or_decided(request, partial(self._grew, request, delta)))

    def done(
        self,
        request_id: str,
        text: str | None = None,
        usage: Usage = Usage(),
        *,
        truncated: bool = False,
        filtered: bool = False,
        other_content: bool = False,
        finish_reason: str | None = None,
    ) -> Sequence[Request]:
        """A request is answered; returns requests this releases.

        Args:
            request_id: Whose answer it is.
            text: The whole answer, or None if all of it was handed to `text` already.
            usage: The tokens its provider told; those it did not tell are unknown, and not 0.
            truncated: Whether the model was stopped by its length limit.
            filtered: Whether the provider stopped it for its content policy: a point has then failed.
            other_content: Whether it has content that is not text, such as a tool call: it is then not empty.
            finish_reason: Why it ended, in the provider's word; a point that ends without one has failed, if its
                model gave reasons before.
        """
        if rest := self._outstanding.rest(request_id, text):
            request = self._outstanding.requests[request_id]
            released = self._now_or_decided(request, partial(self._grew, request, rest, whole=True))
        else:
            released = ()
        request, pieces = self._outstanding.take(request_id)
        return (
            *released,
            *self._answered(
                request,
                pieces,
                usage,
                truncated=truncated,
                filtered=filtered,
                other_content=other_content,
                finish_reason=finish_reason,
            ),
        )

    def failed(
        self,
        request_id: str,
        error: BaseException,
        usage: Usage | None = Usage(),
        *,
        other_content: bool = False,
    ) -> Sequence[Request]:
        """A request failed, or its turn never came (usage None); returns its retry, or what the policy does instead.

        `other_content` says whether something came of its answer that is not text: nothing can be put behind that.
        """
        request, pieces = self._outstanding.take(request_id)
        return tuple(self._ended_badly(request, pieces, error, usage, other_content=other_content))

    def decide(self, decision: Decision) -> Sequence[Request]:
        """The router's word in a race; returns requests this releases. Said too late, it changes nothing."""
        if "route" in self._outstanding:
            self._outstanding.take("route")
        if self._race is None:
            return ()
        self._decision = decision
        self._accounting.add_route(decision.usage)
        if decision.route == "direct":
            return tuple(self._direct_wins(decision.reason))
        self._choose("sot", decision.reason)
        self._spare, self._race = self._race, None
        released = tuple(each for happen in self._spare.take("skeleton") for each in happen())
        if self._spare is not None:  # the skeleton is one, or may still become one
            self._spare = None
            self._outstanding.abandon("direct")
        return released

    def hedge(self, request_id: str) -> Sequence[Request]:
        """A request for a point has shown nothing for too long; returns a second one like it, if that helps."""
        request, twin = self._outstanding.requests.get(request_id), twin_of(request_id)
        if request is None or any(self._outstanding.received[request_id]) or twin in self._outstanding:
            return ()
        return (self._outstanding.add(replace(request, id=twin)),)

    def abandoned(self) -> list[Request]:
        """Requests whose answer nobody wants any more, since the last call; the driver cancels them."""
        return self._outstanding.abandoned()

    def cancelled(self, request: Request, usage: Usage) -> None:
        """An abandoned request was cancelled, after it had reported these tokens."""
        parts = self._group(request).shares(usage) if request.points else ()
        self._accounting.add(request, usage, [part for _, part in parts])

    def expire(self, error: DeadlineError, usage: Mapping[str, Usage | None] = MappingProxyType({})) -> None:
        """The time of the whole run is over: what is outstanding fails, and nothing more is sent.

        `usage` has the tokens known of outstanding requests, by id; None for those whose turn never came.
        """
        self._late = error
        for request_id in list(self._outstanding.requests):
            if request_id in self._outstanding:
                self.failed(request_id, error, usage.get(request_id, Usage()))
        unsent, self._unsent = self._unsent, []
        for indexes in unsent:
            runs = [self._points[index - 1] for index in indexes]
            self._points_failed(
                runs, self._builder.points(self._outline, indexes, known=len(self._outline)), error
            )

    def events(self) -> list[Event]:
        """What has happened since the last call."""
        return self._stream.take_events()

    @property
    def settings(self) -> RunSettings:
        """What the user decided about this run."""
        return self._settings

    @property
    def routed(self) -> float:
        """Seconds a router took before the run began."""
        return self._decision.seconds

    @property
    def finished(self) -> bool:
        """Whether nothing is outstanding, after `start`."""
        return not self._outstanding.requests

    @property
    def route(self) -> Route | None:
        """Which way the answer goes, as things stand; None while a router, or the model itself, has not decided."""
        return self._route if self._chosen else None

    @property
    def skeleton(self) -> Skeleton:
        """The skeleton the points are made of, as far as it is written."""
        return self._outline.skeleton

    @property
    def usage(self) -> Usage:
        """The tokens of all requests that have ended."""
        return self._accounting.usage

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

    # A request's answer: it grows, and ends.

    def _now_or_decided(self, request: Request, happen: Callable[[], Sequence[Request]]) -> Sequence[Request]:
        """What an answer leads to; in a race not before the router has decided."""
        if self._race is None:
            return happen()
        self._race.hold(request.stage, happen)
        return ()

    def _answered(
        self,
        request: Request,
        pieces: Sequence[str],
        usage: Usage,
        *,
        truncated: bool,
        filtered: bool,
        other_content: bool,
        finish_reason: str | None,
    ) -> Sequence[Request]:
        """An answer is complete, or so it says: a filtered or broken point and an answer of nothing have failed."""
        received = "".join(pieces)
        streamed = len(pieces) > 1  # a whole answer has no end to miss
        broken = streamed and self._builder.breaks_off(request, finish_reason)
        usage = usage if broken else usage.of_answered(wrote=bool(received))
        finish_reason = finish_reason or ("length" if truncated else None)
        if not (filtered or broken or other_content or (truncated and not received)):
            self._builder.note_reply(request, received, whole=not streamed)
        half = broken and bool(received) and not (other_content and request.stage != "point")
        if request.stage == "point":
            if not (filtered or half):
                return self._points_done(request, usage, finish_reason)
            error = FilteredError() if filtered else BrokenOffError()
            return self._ended_badly(request, pieces, error, usage, finish_reason=finish_reason)
        something = received or truncated or filtered or other_content
        if not something and request.stage in {"direct", "opening"}:
            return self._ended_badly(request, pieces, EmptyAnswerError(), usage)
        self._spend(request, usage)
        if half and not filtered and (rest := self._rest_of_reply(request, BrokenOffError())):
            return (rest,)
        if request.stage in {"direct", "opening"}:
            self._finish_reason = finish_reason
        if request.stage == "direct":
            if request.resumes:
                self._reason += "; the reply broke off, and was gone on with"
            won = "the plain answer was complete before the router had decided"
            return () if self._race is None else self._direct_wins(won)
        return self._now_or_decided(request, partial(self._planned, request, truncated=truncated))

    def _grew(self, request: Request, delta: str, *, whole: bool = False) -> Sequence[Request]:
        """An answer grew; `whole` if this is the rest of it, and nothing has to start early."""
        if request.resumes:
            self._stream.show(self._rest.feed(delta))
            return ()
        if request.stage == "skeleton":
            self._stream.tell(SkeletonText(delta))
            self._outline.grew(request, delta)
            return self._planned_early(request) if "\n" in delta and not whole else ()
        if request.stage == "opening":
            return self._opening_grew(request, delta, whole=whole)
        if request.stage == "direct":
            self._stream.show(delta)
            return ()
        self._outstanding.abandon(twin_of(request.id))
        self._point_text(self._group(request).feed(delta))
        return self._follow_lead(request)

    def _planned(self, request: Request, *, truncated: bool) -> Sequence[Request]:
        """The request that plans is answered."""
        self._watch.skeleton_ended()
        if request.resumes:
            self._choose("direct", "the model's reply broke off, and was gone on with")
            return ()
        if request.stage == "opening":
            return self._opening_done(truncated=truncated)
        self._outline.read(request, truncated=truncated, started=len(self._points))
        if len(self._outline) < MIN_POINTS:
            return self._answer_directly(
                f"the skeleton had {'only one point' if len(self._outline) else 'no list'}"
            )
        return self._outline_done()

    def _ended_badly(
        self,
        request: Request,
        pieces: Sequence[str],
        error: BaseException,
        usage: Usage | None,
        *,
        finish_reason: str | None = None,
        other_content: bool = False,
    ) -> Sequence[Request]:
        if isinstance(error, LongWaitError) and error.__cause__ is not None:
            error, usage = error.__cause__, None  # the turn never came: what the provider said counts
            self._gives_up = True
        self._gives_up = self._gives_up or self._is_too_long(error)
        self._spend(request, usage)
        for run in self._group(request).runs if request.points else ():
            run.finish_reason = finish_reason
        # The first piece of a direct answer that says nothing is held back by the driver; it may be a tool call.
        begun = bool(pieces) if request.stage == "direct" else any(pieces) or other_content
        if not begun and (again := self._without_losing_a_retry(request, error)):
            return (again,)
        if request.stage == "point":
            return self._request_for_points_failed(request, error)
        # What was shown cannot be taken back; in a race nothing was.
        shown = request.stage in {"direct", "opening"} and begun and self._race is None
        relays_other = request.relayed and other_content
        if shown and not relays_other and (rest := self._rest_of_reply(request, error)):
            return (rest,)
        started = request.stage == "skeleton" and bool(self._points)
        if not shown and not started and self._may_retry(request, error):
            if self._race is not None:
                self._race.take(request.stage)
            return (self._send(replace(request, attempt=request.attempt + 1)),)
        return self._failed_for_good(request, error)

    def _rest_of_reply(self, request: Request, error: BaseException) -> Request | None:
        """The request for the rest of a reply that broke off; None if it had planned points, or cannot be gone on with.

        What was read stays: it is the beginning of a plain answer now.
        """
        shown = self._stream.text
        resumed = request.stage in self._settings.resumed and not self._points and not self._late
        between = seam(shown) if resumed else None
        if between is None or not self._may_retry(request, error):
            return None
        rest = self._builder.rest_of(request, shown)
        if rest is None:
            return None
        self._rest = RestOfReply(between)
        return self._send(rest)

    def _failed_for_good(self, request: Request, error: BaseException) -> Sequence[Request]:
        """A request that is not for a point has failed, and is not sent again."""
        if request.stage == "route":
            return self._router_failed(error)
        if request.stage == "direct":
            return self._now_or_decided(request, partial(self._direct_failed, error))
        return self._now_or_decided(request, partial(self._outline_failed, request, error))

    def _outline_failed(self, request: Request, error: BaseException) -> Sequence[Request]:
        self._watch.skeleton_ended()
        if request.stage == "opening" and self._points:
            _, plan = self._opening.finish(truncated=True)
            self._outline.plan(plan.points, started=len(self._points))
        if self._points:  # it broke off: what was planned by then is the outline
            self._outline.note(f"the outline broke off: {describe(error)}")
            return self._outline_done()
        if self._gives_up and is_refusal(error):  # a plain answer would be refused, too
            self._choose("direct", f"the {request.stage} request was refused: {describe(error)}")
            return self._direct_failed(error)
        if request.stage == "opening":
            if self._stream.text or isinstance(error, EmptyAnswerError) or not may_pass(error):
                self._choose("direct", "the model decided")
                return self._direct_failed(error)
            return self._answer_directly(f"the opening request failed: {describe(error)}")
        return self._answer_directly(f"the skeleton request failed: {describe(error)}")

    def _direct_failed(self, error: BaseException) -> Sequence[Request]:
        if isinstance(error, EmptyAnswerError):
            self._reason += f"; {error}"
        elif self._late is not None and self._stream.text:
            self._reason += f"; cut off: {error}"
        else:
            self._error = error
        return ()

    def _router_failed(self, error: BaseException) -> Sequence[Request]:
        """A router that is down or too slow does not cost the answer: it is the plain one."""
        if self._race is None:
            return ()
        why = "the router was too slow" if self._late is not None else f"the router failed: {describe(error)}"
        return self.decide(Decision("direct", 0.0, why))

    # The opening protocol: one reply is the plain answer, or an opening and a plan.

    def _opening_grew(self, request: Request, delta: str, *, whole: bool) -> Sequence[Request]:
        before = self._opening.marked
        self._stream.show(self._opening.feed(delta))
        if not self._opening.marked:
            return ()
        if not before:
            self._builder.opened_with(self._opening.opening)
            self._choose("sot", "the model planned its answer")
        self._stream.tell(SkeletonText(delta))
        return self._planned_early(request) if "\n" in delta and not whole else ()

    def _opening_done(self, *, truncated: bool) -> Sequence[Request]:
        shown, plan = self._opening.finish(truncated=truncated)
        if not plan.managed:
            self._builder.opening_not_managed()
        if self._points or plan.points:
            self._builder.titled(self._opening.titles)
            self._outline.plan(plan.points, started=len(self._points))
            return self._outline_done()
        self._stream.show(shown)
        self._choose("direct", "the model answered plainly" if plan.managed else "the model planned no parts")
        return ()

    # The outline: points are planned, and sent when they may be.

    def _planned_early(self, request: Request) -> Sequence[Request]:
        """Another line of the outline is complete: send the points that may start early."""
        if self._builder.opens:
            self._builder.titled(self._opening.titles)
            self._outline.plan(self._opening.points, started=len(self._points))
        else:
            self._outline.read_so_far(request, started=len(self._points))
        if self._planned_points < MIN_POINTS or (not self._points and self._may_be_one_work()):
            return ()
        self._add_points(self._outline.points[len(self._points) :])
        return self._release(self._early)

    @property
    def _early(self) -> int:
        """How many points may go out before the outline is complete."""
        settings = self._settings
        if settings.points_per_call > 1 or settings.leads is not None:
            return 0
        if settings.early_points is None:
            return self._builder.max_points if self._builder.opens else 0
        return settings.early_points

    def _known(self, index: int) -> int:
        """How many lines of the outline the request for a point shows: the same, whenever it goes out."""
        least = 1 if self._builder.titles else MIN_POINTS
        return max(least, index) if index <= self._early else len(self._outline)

    @property
    def _planned_points(self) -> int:
        """How many points the outline is sure to have."""
        return max(len(self._outline), len(self._builder.titles))

    def _may_be_one_work(self) -> bool:
        """Whether the whole outline may still turn out to be better answered plainly."""
        asked = not self._builder.opens and asks_for_one_work(self._messages[-1].text)
        return asked or self._second_look() is not None

    def _second_look(self) -> str | None:
        """Why the outline should not be written as points after all; a plan of the model's own has decided that."""
        if self._builder.opens:
            return None
        return second_look(self._messages[-1].text, [point.title for point in self._outline.points])

    def _add_points(self, points: Iterable[Point]) -> None:
        for point in points:
            run = PointRun(point, self._answer_format, origin=self._watch.origin, started=self._watch.now())
            self._points.append(run)
            self._unsent.append((point.index,))
            self._stream.expect()
            if self._settings.on_point_error != "skip":
                self._stream.add(point.index, run.open())

    def _outline_done(self) -> Sequence[Request]:
        """All points are known."""
        if not self._points and (reason := self._second_look()):
            return self._answer_directly(reason)
        self._outline.complete()
        self._stream.tell(SkeletonReady(self._outline.skeleton))
        for run, point in zip(self._points, self._outline.points, strict=False):
            run.replan(point)
        self._add_points(self._outline.points[len(self._points) :])
        if self._settings.points_per_call > 1:
            self._unsent = self._outline.grouped(self._settings.points_per_call)
        leads = self._settings.leads
        if leads is not None and leads(
            [self._builder.points(self._outline, each, known=len(self._outline)) for each in self._unsent]
        ):
            first = self._release(1)
            self._lead = first[0].id
            return first
        return (*self._release(), *self._nothing_left())

    def _release(self, most: int | None = None) -> list[Request]:
        """Send the points that wait for nothing any more: all, or until so many have been sent."""
        released: list[Request] = []
        if self._late is not None or self._lead is not None:
            return released
        for indexes in list(self._unsent):
            sent = len(self._points) - sum(map(len, self._unsent))
            if most is not None and sent >= most:
                break
            parents = {parent for index in indexes for parent in self._outline.parents(index)} - set(indexes)
            if all(parent <= len(self._points) and self._points[parent - 1].outcome for parent in parents):
                self._unsent.remove(indexes)
                texts = {index: self._points[index - 1].text for index in parents}
                released.append(
                    self._send(
                        self._builder.points(
                            self._outline, indexes, known=self._known(indexes[-1]), texts=texts
                        )
                    )
                )
        return released

    def _follow_lead(self, request: Request) -> Sequence[Request]:
        """The point that went ahead has begun to answer, or ended: the others go."""
        if self._lead is None or self._lead != request.id:
            return ()
        self._lead = None
        return self._release()

    def _group(self, request: Request) -> PointGroup:
        """The points a request writes."""
        if request.points not in self._groups:
            self._groups[request.points] = self._new_group(
                [self._points[index - 1] for index in request.points]
            )
        return self._groups[request.points]

    def _new_group(self, runs: Sequence[PointRun]) -> PointGroup:
        """The texts of some points, from their beginning; in a plan nobody runs on into other points."""
        points = () if self._builder.opens else self._outline.points
        builder = self._builder
        return PointGroup(runs, points, inside=builder.begins_in_thought, in_list=builder.goes_on_with_list)

    # Points.

    def _point_text(self, pieces: Iterable[Piece]) -> None:
        for run, text, shown in pieces:
            if run.taken_back:
                self._forget(run)
            if text:
                self._stream.tell(PointText(run.point.index, text))
                self._stream.add(run.point.index, shown)
            if run.complete and run.shows_text:
                self._stream.close(run.point.index)

    def _points_done(self, request: Request, usage: Usage, finish_reason: str | None) -> Sequence[Request]:
        self._outstanding.abandon(twin_of(request.id))
        group = self._group(request)
        for run in group.runs:
            run.finish_reason = finish_reason
        self._point_text(group.finish())
        self._builder.note_thought(group.runs[0])
        self._spend(request, usage)
        released = [*self._follow_lead(request), *self._close_well(run for run in group.runs if run.has_text)]
        empty = [run for run in group.runs if not run.has_text]
        unstopped = replace(request, stop=())  # it may have begun with its own number on a new line
        return (*released, *self._points_failed(empty, unstopped, EmptyAnswerError()))

    def _request_for_points_failed(self, request: Request, error: BaseException) -> Sequence[Request]:
        if twin_of(request.id) in self._outstanding and not isinstance(error, DeadlineError):
            return ()  # the other one may still answer
        self._outstanding.abandon(twin_of(request.id))
        runs = self._group(request).runs
        others = self._follow_lead(request)
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
                self._forget(run)
            indexes = [run.point.index for run in retried]
            again = self._builder.again(
                request,
                self._outline,
                indexes,
                known=self._known(indexes[-1]),
                texts=self._parents_texts(indexes),
            )
            self._groups[again.points] = self._new_group(retried)
            released.append(self._send(again))
        for run in runs:
            if run not in retried:
                released += self._fail_point(run, request, error)
        return released

    def _parents_texts(self, indexes: Iterable[int]) -> dict[int, str]:
        parents = (parent for index in indexes for parent in self._outline.parents(index))
        return {parent: self._points[parent - 1].text for parent in parents}

    def _fail_point(self, run: PointRun, request: Request, error: BaseException) -> Sequence[Request]:
        """A point has failed for good."""
        if self._settings.on_point_error == "raise" and self._error is None:
            self._error = run.error(error, attempts=request.attempt)
        skipped = self._settings.on_point_error == "skip" and not self._is_shown(run)
        return self._close_point(run, run.result("skipped" if skipped else "failed", error=describe(error)))

    def _forget(self, run: PointRun) -> None:
        """Take back a point's text that nobody has read; its title stays."""
        if not self._stream.is_read(run.point.index):
            self._stream.discard(run.point.index)
            run.close()
            if self._settings.on_point_error != "skip":
                self._stream.add(run.point.index, run.open())

    def _is_shown(self, run: PointRun) -> bool:
        """Whether some of a point's text can be read already."""
        return run.shows_text and self._stream.is_read(run.point.index)

    def _close_well(self, runs: Iterable[PointRun]) -> Sequence[Request]:
        return [released for run in runs for released in self._close_point(run, run.result("ok"))]

    def _close_point(self, run: PointRun, result: PointResult) -> Sequence[Request]:
        index = run.point.index
        run.outcome = result
        self._watch.point_ended()
        self._stream.tell(PointEnded(result))
        if result.status == "skipped":
            self._stream.discard(index)
        else:
            self._stream.add(index, run.ending(result))
        self._stream.close(index)
        most = None if self._outline.is_complete else self._early
        return (*self._release(most), *self._nothing_left())

    def _nothing_left(self) -> Sequence[Request]:
        """A direct answer instead, where every point failed; and their texts plain, where all were rendered away."""
        outcomes = [run.outcome for run in self._points if run.outcome is not None]
        if len(outcomes) < len(self._points) or not self._outline.is_complete:
            return ()
        kept = [outcome for outcome in outcomes if outcome.status != "skipped"]
        if not kept:
            return self._answer_directly("every point failed")
        if all(run.left_out for run in self._points if run.outcome in kept):
            _LOG.warning(
                "answer_format returned no text for any of the %d points; they are shown plain.", len(kept)
            )
            for outcome in kept:
                self._stream.show(SEPARATOR + shown_plain(outcome))
        return ()

    # The route, and the bill.

    @property
    def _answer_format(self) -> AnswerFormat:
        return self._settings.answer_format or ("sections" if self._builder.opens else "numbered")

    def _choose(self, route: Route, reason: str) -> None:
        self._route, self._reason, self._chosen = route, reason, True
        self._stream.tell(RouteChosen(route, reason))

    def _answer_directly(self, reason: str) -> Sequence[Request]:
        if self._late is not None:
            self._error = self._error or self._late
            return ()
        self._choose("direct", reason)
        if self._spare is not None:  # the direct answer of a race is under way, or complete
            spare, self._spare = self._spare, None
            return [each for happen in spare.take("direct") for each in happen()]
        return (self._send(self._builder.direct()),)

    def _direct_wins(self, reason: str) -> Sequence[Request]:
        """The direct answer of a race is the answer."""
        assert self._race is not None
        race, self._race = self._race, None
        self._outstanding.abandon("skeleton", "route")
        self._choose("direct", reason)
        return [each for happen in race.take("direct") for each in happen()]

    def _send(self, request: Request) -> Request:
        if request.points:
            self._watch.point_sent()
        for index in request.points:
            self._points[index - 1].sent(self._watch.now())
            self._stream.tell(PointStarted(index, self._outline.points[index - 1].title, request.attempt))
        return self._outstanding.add(request)

    def _spend(self, request: Request, usage: Usage | None) -> None:
        """A request has ended, and cost so much; None if it was never sent, and is no call."""
        self._watch.request_ended()
        parts = tuple(self._group(request).shares(usage)) if request.points and usage is not None else ()
        for run, part in parts:
            run.spend(part, ended=self._watch.last)
        if usage is not None:
            self._accounting.add(request, usage, [part for _, part in parts])

    def _without_losing_a_retry(self, request: Request, error: BaseException) -> Request | None:
        """The same attempt again, if the request or the moment was wrong and not the answer.

        Either the model does not take something that can be left out, or its provider wants the request later
        (429 or 529); then the driver waits.
        """
        texts = self._parents_texts(request.points)
        known = self._known(request.points[-1]) if request.points else 0
        renewed = self._builder.renewed(request, error, self._outline, known=known, texts=texts)
        if renewed is not None:
            return self._outstanding.add(renewed)
        if self._gives_up or not self._settings.retries:
            return None
        return self._outstanding.put_off(request, error)

    def _is_too_long(self, error: BaseException) -> bool:
        """Whether a provider that refuses requests asks for more than an answer waits."""
        return is_refusal(error) and (retry_after_of(error) or 0.0) > self._settings.longest_wait

    def _may_retry(self, request: Request, error: BaseException) -> bool:
        if self._gives_up and is_refusal(error):
            return False
        return request.attempt <= self._settings.retries and may_pass(error)

    def _assemble(self) -> Answer:
        return Answer(
            text=self._stream.text,
            route=self._route,
            reason=self._reason,
            skeleton=self._outline.skeleton.as_text() if self._points else "",
            points=tuple(run.outcome for run in self._points if run.outcome is not None),
            seconds=self._watch.seconds(self._decision.seconds, self._stream.first),
            usage=self._accounting.usage,
            bill=self._accounting.bill(len(self._points), direct=self._route == "direct"),
            opening=self._opening.opening.strip() if self._route == "sot" else "",
            plan_notes=self._outline.notes,
            finish_reason=self._finish_reason if self._route == "direct" else None,
        )
