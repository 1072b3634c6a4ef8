"""Direct answers in which the model wrote nothing."""

from __future__ import annotations

import asyncio
import time

import pytest
from langchain_core.runnables import RunnableLambda

from langchain_sot import SkeletonOfThoughtChain

from .conftest import chat_model
from .ways import WAYS, ask

DIRECT = {"configurable": {"sot_route": "direct"}}


@pytest.mark.parametrize("way", WAYS)
async def test_an_empty_direct_answer_is_asked_for_again(server, model, way):
    server.faults.add("empty", times=1)
    answer = await ask(way, SkeletonOfThoughtChain(router="always", model=model), config=DIRECT)
    assert answer.text == server.ledger.entries[1].text
    sot = answer.response_metadata["sot"]
    assert (sot["bill"]["calls"], sot["bill"]["retries"]) == (2, 1)
    assert answer.usage_metadata["total_tokens"] == server.ledger.usage().total_tokens
    ends = {answer.response_metadata.get(name) for name in ("finish_reason", "stop_reason")}
    assert ends - {None} <= {"stop", "end_turn"}, "nothing of the empty one was shown"


@pytest.mark.parametrize("way", WAYS)
async def test_a_model_that_writes_nothing_is_no_error(server, way):
    server.faults.add("empty")
    answer = await ask(way, SkeletonOfThoughtChain(router="always", model=chat_model(server), retries=2))
    sot = answer.response_metadata["sot"]
    assert answer.text == ""
    assert sot["route"] == "direct"
    assert sot["reason"] == "the skeleton had no list; the model wrote nothing"
    assert sot["bill"]["calls"] == len(server.ledger.entries) == 4


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("route", ["sot", "direct"])
async def test_an_empty_answer_does_not_win_a_race(server, way, route):
    server.faults.add("empty", stage="direct")

    async def decide(_):
        await asyncio.sleep(0.3)
        return route

    router = RunnableLambda(lambda _: time.sleep(0.3) or route, afunc=decide)
    answer = await ask(way, SkeletonOfThoughtChain(model=chat_model(server), router=router, race=True))
    sot = answer.response_metadata["sot"]
    assert sot["route"] == route
    assert bool(answer.text) == (route == "sot")
    assert ("wrote nothing" in sot["reason"]) == (route == "direct")


@pytest.mark.parametrize("way", WAYS)
async def test_an_answer_that_its_limit_left_empty_is_not_asked_for_again(server, way):
    server.faults.add("truncated", after_tokens=0)
    answer = await ask(way, SkeletonOfThoughtChain(router="always", model=chat_model(server)), config=DIRECT)
    assert answer.text == ""
    assert len(server.ledger.entries) == 1
