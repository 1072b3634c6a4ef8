"""Many answers at once from a server that fails one request in five."""

from __future__ import annotations

import asyncio
import re
import threading
from typing import Any

import pytest
from openai import DefaultAioHttpClient

from langchain_sot import SkeletonOfThoughtChain
from skeleton_of_thought.fake_server import Quota
from skeleton_of_thought.limits import Limiter

from .conftest import chat_model


def fail_one_in_five(server):
    server.faults.add("rate_limit", rate=0.05, seed=1, retry_after=0.02)
    server.faults.add("server_error", rate=0.04, seed=2)
    server.faults.add("overloaded", rate=0.02, seed=3, retry_after=0.02)
    server.faults.add("reset", rate=0.04, seed=4)
    server.faults.add("stream_error", rate=0.02, seed=5)
    server.faults.add("invalid_json", rate=0.02, seed=6)
    server.faults.add("empty", rate=0.02, seed=7)


def words_of(text):
    return re.sub(r"\W+", " ", text).strip()


def check(answers, server):
    """Every answer is complete or marked, no text is in another point's place, the bill is the ledger."""
    told = [answer.response_metadata["sot"] for answer in answers]
    for sot in told:
        for point in sot["points"]:
            if point["status"] == "ok":
                assert words_of(point["text"]).startswith(words_of(point["title"])), point
            else:
                assert point["error"]
        assert sot["route"] == "direct" or len(sot["points"]) == 4
    assert sum(sot["bill"]["calls"] for sot in told) == len(server.ledger.entries)
    billed = sum(sot["bill"]["input_tokens"] + sot["bill"]["output_tokens"] for sot in told)
    assert billed == server.ledger.usage().total_tokens
    failed = sum(point["status"] != "ok" for sot in told for point in sot["points"])
    assert failed <= 0.03 * 4 * len(told)


@pytest.mark.parametrize("http", ["httpx2", "aiohttp"])
@pytest.mark.parametrize(("streamed", "count"), [(False, 100), (True, 40)])
async def test_many_answers_with_failures(server, streamed, count, http):
    fail_one_in_five(server)
    server.provider.quota = Quota(max_concurrent=40)
    before = set(asyncio.all_tasks())
    limiter = Limiter(max_concurrency=30)
    client = DefaultAioHttpClient() if http == "aiohttp" else None
    model = chat_model(server, http_async_client=client)
    chain = SkeletonOfThoughtChain(router="always", model=model, limiter=limiter, retries=3)

    async def one(number):
        question = f"What should I know about subject number {number}?"
        try:
            if not streamed:
                return await chain.ainvoke(question)
            chunks = [chunk async for chunk in chain.astream(question)]
        except Exception as error:
            return error
        whole: Any = chunks[0]
        for chunk in chunks[1:]:
            whole = whole + chunk
        return whole

    answers = await asyncio.gather(*(one(number) for number in range(count)))
    assert not [answer for answer in answers if isinstance(answer, Exception)]
    check(answers, server)
    faulty = [entry for entry in server.ledger.entries if entry.fault]
    assert len(faulty) >= 0.15 * len(server.ledger.entries)
    assert limiter.running == limiter.waiting == 0
    if client is not None:
        await client.aclose()
    await asyncio.sleep(0.05)
    assert {task for task in asyncio.all_tasks() if not task.done()} <= before


def test_many_answers_with_threads(server):
    fail_one_in_five(server)
    chain = SkeletonOfThoughtChain(
        router="always", model=chat_model(server), limiter=Limiter(max_concurrency=16), retries=3
    )
    questions = [f"What should I know about subject number {number}?" for number in range(40)]
    check(chain.batch(questions, {"max_concurrency": 16}), server)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("sot ")]
