from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

from langchain_sot import SkeletonOfThoughtChain
from skeleton_of_thought.errors import DeadlineError
from skeleton_of_thought.fake_server import Pace
from skeleton_of_thought.limits import Limiter

from .conftest import chat_model
from .ways import QUESTION, WAYS, ask

STALL = 1.6


def second_point(request):
    return "The point is 2." in request.question


def statuses(message):
    return [point["status"] for point in message.response_metadata["sot"]["points"]]


@pytest.mark.parametrize("way", WAYS)
async def test_a_late_point_fails_and_the_others_stand(server, way):
    server.faults.add("stall", when=second_point, seconds=STALL)
    chain = SkeletonOfThoughtChain(router="always", model=chat_model(server), point_timeout=0.7, retries=5)
    started = time.perf_counter()
    answer = await ask(way, chain)
    assert time.perf_counter() - started < STALL
    assert statuses(answer) == ["ok", "failed", "ok", "ok"]
    assert "point_timeout=0.7" in answer.response_metadata["sot"]["points"][1]["error"]
    assert "could not be written" in answer.text


@pytest.mark.parametrize("way", WAYS)
async def test_the_answer_returns_what_is_there(server, way):
    server.faults.add("stall", when=second_point, seconds=STALL)
    chain = SkeletonOfThoughtChain(router="always", model=chat_model(server), timeout=0.9)
    started = time.perf_counter()
    answer = await ask(way, chain)
    assert time.perf_counter() - started < STALL
    assert statuses(answer) == ["ok", "failed", "ok", "ok"]
    assert "timeout=0.9" in answer.response_metadata["sot"]["points"][1]["error"]


@pytest.mark.parametrize("way", WAYS)
async def test_an_answer_of_which_nothing_is_there_is_an_error(server, way):
    server.faults.add("stall", stage="skeleton", seconds=STALL)
    with pytest.raises(DeadlineError, match=r"timeout=0\.4"):
        await ask(way, SkeletonOfThoughtChain(router="always", model=chat_model(server), timeout=0.4))
    assert len(server.ledger.entries) <= 1


@pytest.mark.parametrize("way", ["stream", "astream"])
async def test_a_direct_answer_is_cut_off(server, way):
    server.faults.add("stall", seconds=STALL)
    chain = SkeletonOfThoughtChain(router="always", model=chat_model(server), timeout=0.4)
    answer = await ask(way, chain, config={"configurable": {"sot_route": "direct"}})
    assert answer.text
    assert "cut off" in answer.response_metadata["sot"]["reason"]


@pytest.mark.parametrize("way", WAYS)
async def test_points_that_never_had_their_turn_are_not_billed(server, way):
    server.faults.add("stall", when=second_point, seconds=STALL)
    limiter = Limiter(max_concurrency=1, requests_per_minute=100)
    chain = SkeletonOfThoughtChain(router="always", model=chat_model(server), timeout=0.7, limiter=limiter)
    answer = await ask(way, chain)
    assert statuses(answer) == ["ok", "failed", "failed", "failed"]
    assert answer.response_metadata["sot"]["bill"]["calls"] == 3
    assert answer.response_metadata["sot"]["seconds"]["total"] >= 0.7
    assert await asyncio.to_thread(server.ledger.wait_until_idle, 3)
    await asyncio.to_thread(wait_for_threads)
    assert len(server.ledger.entries) == 3
    assert limiter.load == 0.03, "what was not sent counts against no limit"


@pytest.mark.parametrize("way", ["ainvoke", "astream"])
async def test_a_late_point_is_dropped_on_the_wire(server, way):
    server.faults.add("stall", when=second_point, seconds=30)
    await ask(way, SkeletonOfThoughtChain(router="always", model=chat_model(server), point_timeout=0.5))
    assert await asyncio.to_thread(server.ledger.wait_until_idle, 3)
    assert [e.outcome for e in server.ledger.entries].count("disconnected") == 1


def wait_for_requests(server, count):
    while len(server.ledger.entries) < count:
        time.sleep(0.01)


async def disconnected(server):
    """All points were being answered, and their clients left."""
    assert await asyncio.to_thread(server.ledger.wait_until_idle, 3)
    assert [e.outcome for e in server.ledger.entries] == ["answered"] + ["disconnected"] * 4


@pytest.mark.parametrize("options", [{}, {"timeout": 20}])
async def test_cancelling_reaches_the_server(server, model, options):
    server.faults.add("stall", stage="point", seconds=30)
    task = asyncio.create_task(
        SkeletonOfThoughtChain(router="always", model=model, **options).ainvoke(QUESTION)
    )
    await asyncio.to_thread(wait_for_requests, server, 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await disconnected(server)


def all_points_sent(server):
    """The first title is shown before its point is sent."""
    return sum(entry.stage == "point" for entry in server.ledger.entries) == 4


async def test_leaving_an_async_stream_reaches_the_server(server, model):
    server.provider.pace = Pace(per_token=0.1)
    stream = SkeletonOfThoughtChain(router="always", model=model).astream(QUESTION)
    async for chunk in stream:
        if chunk.text and all_points_sent(server):
            break
    await stream.aclose()
    await disconnected(server)


def test_leaving_a_stream_reaches_the_server(server, model):
    server.provider.pace = Pace(per_token=0.1)
    stream: Any = SkeletonOfThoughtChain(router="always", model=model).stream(QUESTION)
    for chunk in stream:
        if chunk.text and all_points_sent(server):
            break
    stream.close()
    assert server.ledger.wait_until_idle(2)
    assert [e.outcome for e in server.ledger.entries] == ["answered"] + ["disconnected"] * 4
    wait_for_threads()


def wait_for_threads():
    deadline = time.monotonic() + 2
    while any(thread.name.startswith("sot point") for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_deadlines_are_checked_when_a_chain_is_made(server):
    for option in ("timeout", "point_timeout"):
        with pytest.raises(ValueError, match=option):
            SkeletonOfThoughtChain(router="always", model=chat_model(server), **{option: 0})
