"""What a run has handed out and not heard the end of."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

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
        self._abandoned: list[Request] = []
        self._refusals: Counter[str] = Counter()

    def __contains__(self, request_id: str) -> bool:
        return request_id in self.requests

    def add(self, request: Request) -> Request:
        """Wait for the answer to a request."""
        self.requests[request.id] = request
        self.received[request.id] = []
        return request

    def take(self, request_id: str) -> tuple[Request, list[str]]:
        """A request has ended: it, and the pieces of its answer."""
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
