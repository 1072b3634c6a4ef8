"""A router that fails costs no answer: the lexical one decides, and the reason says what happened."""

from __future__ import annotations

import asyncio

import pytest
from langchain_core.runnables import RunnableLambda

from langchain_sot import ChatSkeletonOfThought, SkeletonOfThoughtRouter
from skeleton_of_thought.routing import fallback
from tests.fixtures.traces import Tracer

from .fakes import DIRECT, PROMPTS, WAYS, FakeChat, ask, whole
from .test_router import SUITABLE, UNSUITABLE


class DownError(Exception):
    status_code = 503


def down(_):
    raise DownError("no capacity")


class Own:
    """A router of the caller's own, with a bug in it."""

    def route(self, messages):
        return messages.nothing

    async def aroute(self, messages):
        return messages.nothing


ROUTERS = {
    "a chat model": lambda: FakeChat(fault=lambda _: DownError("no capacity")),
    "a runnable": lambda: RunnableLambda(down),
    "a router": Own,
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("router", ROUTERS)
@pytest.mark.parametrize("face", [SkeletonOfThoughtRouter, ChatSkeletonOfThought])
@pytest.mark.parametrize("asked", [(SUITABLE, "sot"), (UNSUITABLE, "direct")])
async def test_the_question_is_answered_all_the_same(way, router, face, asked, caplog):
    question, route = asked
    answering = face(model=FakeChat(), prompts=PROMPTS, router=ROUTERS[router]())
    answer = await ask(answering, way, question)
    sot = answer.response_metadata["sot"]
    assert (sot["route"], answer.text) == (route, whole() if route == "sot" else DIRECT)
    assert sot["reason"].startswith("the router failed (")
    assert ("DownError" if router != "a router" else "AttributeError") in sot["reason"]
    assert "The router failed" in caplog.text


@pytest.mark.parametrize("way", ["ainvoke", "astream"])
@pytest.mark.parametrize("face", [SkeletonOfThoughtRouter, ChatSkeletonOfThought])
async def test_the_run_of_a_router_that_is_too_late_is_ended(way, face, monkeypatch):
    async def stuck(_):
        async with asyncio.timeout(2):
            await asyncio.Event().wait()

    monkeypatch.setattr(fallback, "_SHARE", 0.001, raising=False)  # nobody has to wait for it here
    router = RunnableLambda(down, afunc=stuck)
    answering, tracer = face(model=FakeChat(), prompts=PROMPTS, router=router, timeout=50), Tracer()
    answer = await ask(answering, way, SUITABLE, config={"callbacks": [tracer]})
    assert answer.text == whole()
    assert "took longer than 0.05 s" in answer.response_metadata["sot"]["reason"]
    (root,) = tracer.roots
    (routed,) = [run for run in root.child_runs if run.name == "route"]
    assert routed.end_time is not None
    assert routed.error is not None


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("router", ROUTERS)
async def test_a_race_against_it_ends_plainly_or_with_points(way, router):
    answering = SkeletonOfThoughtRouter(
        model=FakeChat(), prompts=PROMPTS, router=ROUTERS[router](), race=True
    )
    answer = await ask(answering, way, SUITABLE)
    assert answer.text in {whole(), DIRECT}
