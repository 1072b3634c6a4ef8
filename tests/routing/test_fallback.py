"""Where a router fails, the lexical one decides."""

from __future__ import annotations

import asyncio
import logging
import threading
from contextvars import ContextVar

import pytest

from skeleton_of_thought.messages import Message
from skeleton_of_thought.routing import Decision, FallbackRouter, LexicalRouter

QUESTION = [Message("user", "What are the main benefits of learning a second language?")]
ASKED_BY = ContextVar("ASKED_BY", default="nobody")


class Scripted:
    def __init__(self, outcome):
        self.outcome = outcome

    def route(self, messages):
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome

    async def aroute(self, messages):
        return self.route(messages)


@pytest.fixture(params=["route", "aroute"])
def ask(request):
    async def asked(router):
        decision = getattr(router, request.param)(QUESTION)
        return decision if request.param == "route" else await decision

    return asked


@pytest.fixture(params=[None, 60.0], ids=["no timeout", "timeout"])
def limit(request):
    return request.param


async def test_a_router_that_works_decides(ask, limit, caplog):
    decision = await ask(FallbackRouter(Scripted(Decision("direct", 0.7, "I say so")), timeout=limit))
    assert (decision.route, decision.confidence, decision.reason) == ("direct", 0.7, "I say so")
    assert decision.seconds > 0
    assert caplog.records == []


@pytest.mark.parametrize("kind", [ConnectionError, TimeoutError])
async def test_a_router_that_fails_is_replaced_and_the_reason_says_so(ask, limit, kind, caplog):
    with caplog.at_level(logging.WARNING):
        decision = await ask(FallbackRouter(Scripted(kind("no route to host")), timeout=limit))
    lexical = LexicalRouter().route(QUESTION)
    assert (decision.route, decision.confidence) == (lexical.route, lexical.confidence)
    assert decision.reason.startswith("the router failed (")
    assert decision.reason.endswith(lexical.reason)
    assert "no route to host" in decision.reason
    assert "no route to host" in caplog.text


class Stuck:
    """A router that does not come back before somebody releases it."""

    def __init__(self):
        self.released = threading.Event()

    def route(self, messages):
        self.released.wait(10)
        return Decision("direct", 1.0, "at last")

    async def aroute(self, messages):
        await asyncio.Event().wait()


async def test_a_router_that_is_late_is_replaced_and_the_reason_says_so(ask):
    stuck = Stuck()
    decision = await ask(FallbackRouter(stuck, timeout=0.1))
    stuck.released.set()
    assert decision.route == LexicalRouter().route(QUESTION).route == "sot"
    assert "took longer than 0.05 s, half of the timeout" in decision.reason


async def test_a_router_under_a_timeout_knows_whose_question_it_is(ask):
    class Reads(Scripted):
        def route(self, messages):
            return Decision("direct", 1.0, ASKED_BY.get())

    ASKED_BY.set("Ann")
    assert (await ask(FallbackRouter(Reads(None), timeout=60))).reason == "Ann"


async def test_what_ends_the_program_is_no_failure_of_a_router(ask, limit):
    class Stopped(Scripted):
        def route(self, messages):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await ask(FallbackRouter(Stopped(None), timeout=limit))
