"""What a streaming driver has sent and not heard the end of."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Literal

from skeleton_of_thought.drivers.deadlines import Deadlines
from skeleton_of_thought.request import Delta, twin_of
from skeleton_of_thought.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from skeleton_of_thought.method import SkeletonOfThought
    from skeleton_of_thought.request import Request

_SEEN = ("truncated", "filtered", "other_content")

News = Delta | BaseException | Literal["begun"] | None
"""A request got its turn, a piece of its answer, the error that ended it, or None at its end."""


class OpenRequests:
    """The open requests of a run: at most so many at once, their usage summed up, their deadlines watched.

    Whoever works on a request that is no longer open (`is_open`) may stop: its news are not heard any more.
    """

    def __init__(self, run: SkeletonOfThought, max_concurrency: int | None) -> None:
        self._run = run
        self._deadlines = Deadlines(run.settings, spent=run.routed)
        self._waiting: deque[Request] = deque()
        self._open: dict[str, Request] = {}
        self._places = max_concurrency
        self._usage: dict[str, Usage | None] = {}  # None until the request had its turn
        self._given_up: list[tuple[Request, Usage | None]] = []
        self._seen: dict[str, set[str]] = {}  # what the pieces of a request's answer said besides their text
        self._reasons: dict[str, str | None] = {}
        self._dropped = False
        self._direct: list[tuple[Request, Delta]] = []
        self._direct_begun = False

    def start(self) -> list[Request]:
        """Start the run; returns the requests to open now."""
        return self._to_open(self._run.start())

    def is_open(self, request: Request) -> bool:
        """Whether anybody still waits for a request's answer; may be asked from any thread."""
        return self._open.get(request.id) is request

    def close(self) -> None:
        """Nobody waits for anything any more; what was given up is billed, with all that is known of it."""
        self._waiting.clear()
        self._open.clear()
        given_up, self._given_up = self._given_up, []
        for request, usage in given_up:
            if usage is not None:
                self._run.cancelled(request, usage)

    def take(self, request: Request, news: News) -> list[Request]:
        """Tell the run; returns the requests to open now. Of what was given up only the tokens count."""
        if not self.is_open(request):
            self.bill([(request, news)])
            return []
        if news == "begun":
            self._usage[request.id] = Usage()
            self._deadlines.begin(request.id)
            self._run.begun(request.id)
            return []
        if isinstance(news, Delta):
            return self._to_open(self._more(request, news))
        return self._to_open(self._ended(request, news))

    def bill(self, unread: Iterable[tuple[Request, News]]) -> None:
        """Count the tokens in news of what was given up: a loser's reply that nobody reads costs all the same."""
        for request, news in unread:
            for place, (each, usage) in enumerate(self._given_up):
                if each is request and (news == "begun" or isinstance(news, Delta)):
                    added = news.usage if isinstance(news, Delta) else Usage()
                    self._given_up[place] = each, (usage or Usage()) + added

    def _more(self, request: Request, delta: Delta) -> Sequence[Request]:
        if request.stage == "route":
            self._leave(request)
            return self._run.decide(delta.raw)
        if delta.text:
            self._deadlines.heard(request.id)
        self._usage[request.id] = (self._usage[request.id] or Usage()) + delta.usage
        seen = self._seen.setdefault(request.id, set())
        seen.update(name for name in _SEEN if getattr(delta, name))
        self._reasons[request.id] = delta.finish_reason or self._reasons.get(request.id)
        if request.stage == "direct":
            self._direct.append((request, delta))
            self._direct_begun = self._direct_begun or not delta.empty
            if not self._direct_begun:
                return ()
        elif request.stage == "opening" and self._run.route != "sot":
            self._direct.append((request, delta))
        return self._run.text(request.id, delta.text)

    def _ended(self, request: Request, error: BaseException | None) -> Sequence[Request]:
        self._leave(request)
        seen, reason = self._seen.pop(request.id, set()), self._reasons.pop(request.id, None)
        usage = self._usage.pop(request.id) or Usage()
        if error is None:
            released = self._run.done(
                request.id,
                usage=usage,
                truncated="truncated" in seen,
                filtered="filtered" in seen,
                other_content="other_content" in seen,
                finish_reason=reason,
            )
        else:
            released = self._run.failed(request.id, error, usage, other_content="other_content" in seen)
        if all(again.id != request.id for again in released):
            self._end(request)
            self._direct_begun = (
                self._direct_begun or request.stage == "direct"
            )  # empty for good, and shown so
        return released

    def direct(self) -> list[tuple[Request, Delta]]:
        """The pieces of a direct answer since the last call, as they came, as far as they may be shown.

        Those before its first word are held back: it is asked for again if that word does not come. The pieces of an
        opening come too, while it may still turn out to be the plain answer: its text is shown by the run, which
        holds back what may become the mark, so they serve for what is not text.
        """
        opening = bool(self._direct) and self._direct[0][0].stage == "opening"
        if not opening and (self._run.route != "direct" or not self._direct_begun):
            return []
        pieces, self._direct = self._direct, []
        return pieces

    def dropped(self) -> bool:
        """Whether requests were closed since the last call that had not ended; their work can be cancelled."""
        dropped, self._dropped = self._dropped, False
        return dropped

    @property
    def wait(self) -> float | None:
        """Seconds until `late` has to be called; None if nothing has a deadline."""
        return self._deadlines.wait

    def late(self) -> list[Request]:
        """Fail what is late; returns the requests to open now."""
        over = self._deadlines.over()
        if over is not None:
            self.close()
            self._run.expire(over, self._usage)
            return []
        released: list[Request] = []
        for point, error in self._deadlines.late():
            request_id = point if point in self._usage else twin_of(point)  # the first one may have given way
            request = self._open.get(request_id)
            if request is None:
                self._withdraw(request_id)
            else:
                self._leave(request)
                self._dropped = True
            released += self._run.failed(request_id, error, self._usage.pop(request_id))
        for request_id in self._deadlines.slow():
            released += self._run.hedge(request_id)
        return self._to_open(released)

    def _end(self, request: Request) -> None:
        """A request has ended; its point's time goes on while the other request for the point is open."""
        if twin_of(request.id) not in self._usage:
            self._deadlines.end(request.id)

    def _withdraw(self, request_id: str) -> None:
        self._waiting = deque(waiting for waiting in self._waiting if waiting.id != request_id)

    def _leave(self, request: Request) -> None:
        del self._open[request.id]
        if self._places is not None:
            self._places += 1

    def _to_open(self, released: Sequence[Request]) -> list[Request]:
        """Drop what the run has abandoned and queue what it released; returns those whose turn it is."""
        for request in self._run.abandoned():
            self._end(request)
            if request.id in self._open:
                self._leave(self._open[request.id])
                self._dropped = True
                self._given_up.append((request, self._usage.pop(request.id)))
            else:
                self._withdraw(request.id)
                self._usage.pop(request.id, None)
        if any(request.stage == "direct" for request in released):
            self._direct_begun, self._direct = False, []
        self._waiting.extend(released)
        self._usage.update((request.id, None) for request in released)
        count = len(self._waiting) if self._places is None else min(self._places, len(self._waiting))
        if self._places is not None:
            self._places -= count
        opened = [self._waiting.popleft() for _ in range(count)]
        self._open.update((request.id, request) for request in opened)
        return opened
