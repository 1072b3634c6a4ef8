from __future__ import annotations

import asyncio
import itertools
import math
import random
import statistics
import time

import openai

from skeleton_of_thought.fake_server import Pace

from .asking import GPT, ask_openai, user


def test_tokens_come_one_by_one_at_the_pace(openai_client, server):
    server.provider.pace = Pace(first_token=0.1, per_token=0.02)
    server.provider.answer = lambda _: "one two three four five six seven eight nine ten"
    began = time.monotonic()
    moments = [
        time.monotonic() - began
        for chunk in ask_openai(openai_client, stream=True)
        if chunk.choices and chunk.choices[0].delta.content
    ]
    assert len(moments) == 10
    assert moments[0] >= 0.1
    assert moments[-1] >= 0.1 + 9 * 0.02
    gaps = [later - earlier for earlier, later in itertools.pairwise(moments)]
    assert 0.01 < statistics.median(gaps) < 0.03


def test_whole_answers_take_as_long(openai_client, server):
    server.provider.pace = Pace(first_token=0.1, per_token=0.02)
    server.provider.answer = lambda _: "one two three four five six seven eight nine ten"
    began = time.monotonic()
    ask_openai(openai_client)
    assert 0.28 <= time.monotonic() - began < 0.6


async def test_a_hundred_streams_keep_their_time_together(server):
    server.provider.pace = Pace(first_token=0.1, per_token=0.02)
    server.provider.answer = lambda _: "word " * 40
    async with openai.AsyncOpenAI(
        base_url=f"{server.url}/v1", api_key="fake", max_retries=0, timeout=30
    ) as client:

        async def ask(place):
            stream = await client.chat.completions.create(
                model=GPT, messages=user(f"Hi {place}"), stream=True
            )
            async for _ in stream:
                pass

        await asyncio.gather(*map(ask, range(100)))
    entries = server.ledger.entries
    assert server.ledger.most_concurrent() >= 80
    assert statistics.median(entry.ended - entry.arrived for entry in entries) < 1.5 * (0.1 + 40 * 0.02)


def test_requests_differ_by_the_spread(openai_client, server):
    server.provider.pace = Pace(first_token=0.02, per_token=0.001, spread=0.5)
    server.provider.answer = lambda _: "word " * 10
    for place in range(20):
        ask_openai(openai_client, messages=user(f"Hi {place}"))
    waits = [entry.first_token - entry.arrived for entry in server.ledger.entries]
    assert 0.01 < statistics.median(waits) < 0.04
    assert max(waits) > 1.5 * min(waits)


def test_the_spread_is_the_deviation_of_the_logarithm():
    draw = random.Random(5)
    paces = [Pace(first_token=2, per_token=0.1, spread=0.3).of_one(draw) for _ in range(20_000)]
    for times, median in (
        ([pace.first_token for pace in paces], 2),
        ([pace.per_token for pace in paces], 0.1),
    ):
        logarithms = [math.log(time) for time in times]
        assert abs(statistics.median(times) / median - 1) < 0.02
        assert abs(statistics.stdev(logarithms) - 0.3) < 0.01
    assert Pace(first_token=2, per_token=0.1).of_one(draw) == Pace(first_token=2, per_token=0.1)
