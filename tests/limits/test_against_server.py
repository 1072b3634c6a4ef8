"""The limiter, a real client and a server that counts."""

from __future__ import annotations

import asyncio

import openai

from skeleton_of_thought.fake_server import FakeServer, Pace, Quota
from skeleton_of_thought.limits import Limiter
from skeleton_of_thought.usage import Usage


async def ask(client: openai.AsyncOpenAI, limiter: Limiter, question: int, call: int) -> int:
    """Send one request, again after a refusal; how often it was sent."""
    for attempt in range(1, 50):
        try:
            async with limiter.aslot(tokens=60, key=question) as slot:
                answer = await client.chat.completions.create(
                    model="m", messages=[{"role": "user", "content": f"Question {question}, call {call}"}]
                )
                slot.settle(Usage(answer.usage.prompt_tokens, answer.usage.completion_tokens))
        except openai.RateLimitError:
            continue
        return attempt
    raise AssertionError("never answered")


async def ask_all(server: FakeServer, limiter: Limiter, questions: int, calls: int) -> list[int]:
    async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="fake", max_retries=0) as client:
        await asyncio.gather(*(client.models.list() for _ in range(8)))  # connections are open
        return await asyncio.gather(
            *(ask(client, limiter, question, call) for question in range(questions) for call in range(calls))
        )


async def test_a_limiter_with_the_servers_limits_is_never_refused():
    quota = Quota(requests_per_minute=30, tokens_per_minute=1200, max_concurrent=8, window=1.0)
    with FakeServer(quota=quota, answer=lambda _: "word " * 30, pace=Pace(first_token=0.02)) as server:
        limiter = Limiter(max_concurrency=8, requests_per_minute=30, tokens_per_minute=1200, window=1.2)
        attempts = await ask_all(server, limiter, 10, 7)
    assert attempts == [1] * 70
    assert server.ledger.most_concurrent() <= 8
    assert server.ledger.most_within(1.0) <= 30
    assert server.ledger.most_within(1.0, tokens=True) <= 1200


async def test_a_limiter_without_limits_finds_them():
    quota = Quota(max_concurrent=4)
    with FakeServer(quota=quota, answer=lambda _: "yes", pace=Pace(first_token=0.01)) as server:
        server.faults.add("rate_limit", rate=0.05, retry_after=0.05)
        attempts = await ask_all(server, Limiter(), 20, 6)
    assert len(attempts) == 120
    refused = [entry for entry in server.ledger.entries if entry.outcome == "refused"]
    answered = [entry for entry in server.ledger.entries if entry.outcome == "answered"]
    assert len(answered) == 120
    assert len(refused) == sum(attempts) - 120
    later = server.ledger.entries[len(server.ledger.entries) // 2 :]
    assert sum(entry.outcome == "refused" for entry in later) <= len(later) / 2
