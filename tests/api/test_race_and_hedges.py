"""Second requests for slow points, and races, against a real server."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from langchain_core.runnables import RunnableLambda

from langchain_sot import SkeletonOfThoughtChain, SkeletonOfThoughtRouter
from skeleton_of_thought import Options
from skeleton_of_thought.fake_server import Pace
from skeleton_of_thought.limits import Limiter

from .conftest import chat_model
from .ways import WAYS, ask

SLOW = 3.0  # threads wait for it afterwards: they cannot be interrupted


def second_point(request):
    return "The point is 2." in request.question


def sot(message):
    return message.response_metadata["sot"]


@pytest.mark.parametrize("way", WAYS)
async def test_the_answer_does_not_wait_for_a_straggler(server, model, way):
    server.faults.add("slow_first_token", when=second_point, times=1, seconds=SLOW)
    answer = await ask(way, SkeletonOfThoughtChain(router="always", model=model, hedge_after=0.5))
    assert sot(answer)["seconds"]["total"] < SLOW
    assert [point["status"] for point in sot(answer)["points"]] == ["ok"] * 4
    bill = sot(answer)["bill"]
    assert (bill["hedges"], bill["retries"], bill["calls"]) == (1, 0, 6)
    assert bill["points"][1]["hedges"] == 1
    assert len(server.ledger.entries) == 6


@pytest.mark.parametrize("way", ["ainvoke", "astream"])
async def test_the_straggler_is_cancelled_on_the_wire(server, model, way):
    server.faults.add("slow_first_token", when=second_point, times=1, seconds=10 * SLOW)
    await ask(way, SkeletonOfThoughtChain(router="always", model=model, hedge_after=0.3))
    assert server.ledger.wait_until_idle(5)
    assert [entry.outcome for entry in server.ledger.entries].count("disconnected") == 1


@pytest.mark.parametrize("way", WAYS)
async def test_no_point_is_hedged_that_begins_in_time(server, model, way):
    answer = await ask(way, SkeletonOfThoughtChain(router="always", model=model, hedge_after=5.0))
    assert sot(answer)["bill"]["hedges"] == 0
    assert len(server.ledger.entries) == 5


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("route", ["sot", "direct"])
async def test_skeleton_and_direct_answer_start_while_the_router_thinks(server, model, way, route):
    server.provider.pace = Pace(first_token=0.1, per_token=0.02)
    asked = {}

    def slow(_):
        time.sleep(0.6)
        asked["then"] = len(server.ledger.entries)
        return route

    chain = SkeletonOfThoughtChain(model=model, router=RunnableLambda(slow), race=True)
    told = sot(await ask(way, chain))
    assert (told["route"], asked["then"]) == (route, 2)
    assert told["seconds"]["total"] > told["seconds"]["route"] >= 0.6
    stages = told["bill"]["stages"]
    assert (stages["skeleton"]["calls"], stages["direct"]["calls"]) == (1, 1)
    assert [point["status"] for point in told["points"]] == ["ok"] * (4 if route == "sot" else 0)
    assert server.ledger.wait_until_idle(10)


@pytest.mark.parametrize("way", ["stream", "astream"])
async def test_a_race_streams_only_the_winner(server, model, way):
    chain = SkeletonOfThoughtChain(model=model, router=RunnableLambda(lambda _: "sot"), race=True)
    answer = await ask(way, chain)
    plain = await ask(way, SkeletonOfThoughtChain(router="always", model=model))
    assert answer.text == plain.text


def test_there_is_no_skeleton_while_there_is_no_room(server):
    limiter = Limiter(max_concurrency=2)
    chain = SkeletonOfThoughtRouter(
        model=chat_model(server), limiter=limiter, options=Options(load_aware=True)
    )
    question = "What are the main benefits of learning a second language?"
    assert sot(chain.invoke(question))["route"] == "sot"
    with ThreadPoolExecutor() as pool:
        with limiter.slot(), limiter.slot():
            answer = pool.submit(chain.invoke, question)
            wait_until(lambda: limiter.waiting == 1)
        told = sot(answer.result(10))
    assert (told["route"], told["reason"]) == ("direct", "no room for more requests: load 1.00, limit 1.00")


def wait_until(condition, seconds=5):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)
