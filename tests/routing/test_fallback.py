"""Where a router fails, the lexical one decides."""

from __future__ import annotations

import logging

import pytest

from skeleton_of_thought.messages import Message
from skeleton_of_thought.routing import Decision, FallbackRouter, LexicalRouter

QUESTION = [Message("user", "What are the main benefits of learning a second language?")]


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


async def test_a_router_that_works_decides(ask, caplog):
    decision = await ask(FallbackRouter(Scripted(Decision("direct", 0.7, "I say so"))))
    assert (decision.route, decision.confidence, decision.reason) == ("direct", 0.7, "I say so")
    assert decision.seconds > 0
    assert caplog.records == []


async def test_a_router_that_fails_is_replaced_and_the_reason_says_so(ask, caplog):
    with caplog.at_level(logging.WARNING):
        decision = await ask(FallbackRouter(Scripted(ConnectionError("no route to host"))))
    lexical = LexicalRouter().route(QUESTION)
    assert (decision.route, decision.confidence) == (lexical.route, lexical.confidence)
    assert decision.reason.startswith("the router failed (")
    assert decision.reason.endswith(lexical.reason)
    assert "no route to host" in decision.reason
    assert "no route to host" in caplog.text


async def test_what_ends_the_program_is_no_failure_of_a_router(ask):
    class Stopped(Scripted):
        def route(self, messages):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await ask(FallbackRouter(Stopped(None)))
