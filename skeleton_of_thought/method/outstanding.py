"""What a run has handed out and not heard the end of."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from skeleton_of_thought.messages import well_formed
from skeleton_of_thought.provider_errors import is_refusal, may_pass

if TYPE_CHECKING:
    from skeleton_of_thought.request import Request

MAX_REFUSALS = 10
"""How often a provider may put off one request (429 or 529) before that is a failure like any other."""


class Outstanding:
    """The outstanding requests, by id, and what was received of each so far.

    Attributes:
        requests: The requests.
        received: The pieces of their answers.
    """

    def __init__(self) -> None:
        self.requests: dict[str, Request] = {}
        self.received: dict[str, list[str]] = {}
        self._halves: dict[str, str] = {}
        self._abandoned: list[Request] = []
        self._refusals: Counter[str] = Counter()

    def __contains__(self, request_id: str) -> bool:
        return request_id in self.requests

    def add(self, request: Request) -> Request:
        """Wait for the answer to a request."""
        self.requests[request.id] = request
        self.received[request.id] = []
        return request

    def grew(self, request_id: str, delta: str) -> str:
        """A piece of an answer came; returns what can be read of it, for a piece may end within a character."""
        text = self._halves.pop(request_id, "") + delta
        if "\ud800" <= text[-1:] <= "\udbff":
            self._halves[request_id], text = text[-1], text[:-1]
        text = well_formed(text)
        self.received[request_id].append(text)
        return text

    def rest(self, request_id: str, whole: str | None) -> str:
        """What of a complete answer has not been received yet: the end of the whole text, if there is one."""
        half = well_formed(self._halves.pop(request_id, ""))
        rest = half if whole is None else well_formed(whole)[len("".join(self.received[request_id])) :]
        if rest:
            self.received[request_id].append(rest)
        return rest

    def take(self, request_id: str) -> tuple[Request, list[str]]:
        """A request has ended: it, and the pieces of its answer."""
        self._halves.pop(request_id, None)
        return self.requests.pop(request_id), self.received.pop(request_id)

    def put_off(self, request: Request, error: BaseException) -> Request | None:
        """The request for later, if its provider wants it later (429 or 529); the driver waits."""
        if not is_refusal(error) or not may_pass(error) or self._refusals[request.id] >= MAX_REFUSALS:
            return None
        self._refusals[request.id] += 1
        return self.add(replace(request))

    def abandon(self, *request_ids: str) -> None:
        """Nobody wants the answers to these any more, as far as they are outstanding."""
        self._abandoned += [self.take(each)[0] for each in request_ids if each in self.requests]

    def abandoned(self) -> list[Request]:
        """What was abandoned since the last call."""
        abandoned, self._abandoned = self._abandoned, []
        return abandoned
