from __future__ import annotations

import asyncio

import pytest
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda, RunnableParallel

from langchain_sot import SkeletonOfThoughtChain
from skeleton_of_thought.fake_server import Pace, Quota
from skeleton_of_thought.limits import Limiter

from .conftest import chat_model
from .ways import QUESTION, WAYS, ask

QUESTIONS = ["How do I sleep better?", "How do I learn faster?", "How do I save money?"]
TWO = {"max_concurrency": 2}


def statuses(message):
    return [point["status"] for point in message.response_metadata["sot"]["points"]]


async def completed(chain, config):
    return [answer async for _, answer in chain.abatch_as_completed(QUESTIONS, config)]


BATCHES = {
    "abatch": lambda chain, config: chain.abatch(QUESTIONS, config),
    "batch": lambda chain, config: asyncio.to_thread(chain.batch, QUESTIONS, config),
    "abatch_as_completed": completed,
    "batch_as_completed": lambda chain, config: asyncio.to_thread(
        lambda: [answer for _, answer in chain.batch_as_completed(QUESTIONS, config)]
    ),
    "in a sequence": lambda chain, config: (ChatPromptTemplate.from_template("{q}") | chain).abatch(
        [{"q": question} for question in QUESTIONS], config
    ),
    "mapped": lambda chain, config: chain.map().ainvoke(QUESTIONS, config),
}


@pytest.mark.parametrize("way", BATCHES)
async def test_max_concurrency_holds_for_a_whole_batch(server, way):
    server.provider.pace = Pace(first_token=0.03)
    chain = SkeletonOfThoughtChain(router="always", model=chat_model(server))
    answers = await BATCHES[way](chain, TWO)
    assert [statuses(answer) for answer in answers] == [["ok"] * 4] * 3
    assert server.ledger.most_concurrent() == 2


async def test_without_max_concurrency_everything_runs_at_once(server):
    server.provider.pace = Pace(first_token=0.1)
    await SkeletonOfThoughtChain(router="always", model=chat_model(server)).abatch(QUESTIONS)
    assert server.ledger.most_concurrent() > 4


async def test_max_concurrency_holds_for_siblings(server):
    server.provider.pace = Pace(first_token=0.03)
    chain = SkeletonOfThoughtChain(router="always", model=chat_model(server))
    await RunnableParallel(one=chain, other=chain).ainvoke(QUESTION, TWO)

    async def both(question, config):
        return await asyncio.gather(chain.ainvoke(question, config), chain.ainvoke(question, config))

    await RunnableLambda(both).ainvoke(QUESTION, TWO)
    assert server.ledger.most_concurrent() == 2


@pytest.mark.parametrize("way", WAYS)
async def test_a_refused_request_waits_and_loses_no_retry(server, model, way):
    server.faults.add("rate_limit", times=1, stage="skeleton", retry_after=0.2)
    server.faults.add("rate_limit", times=3, stage="point", retry_after=0.2)
    answer = await ask(way, SkeletonOfThoughtChain(router="always", model=model, retries=1))
    assert statuses(answer) == ["ok"] * 4
    refused = [entry for entry in server.ledger.entries if entry.outcome == "refused"]
    assert len(refused) == 4
    for entry in refused:
        later = [other for other in server.ledger.entries if other.prompt_hash == entry.prompt_hash][1]
        assert later.arrived - entry.arrived >= 0.2


@pytest.mark.parametrize("way", WAYS)
async def test_a_limiter_keeps_a_chain_within_the_servers_limits(server, way):
    server.provider.quota = Quota(requests_per_minute=8, max_concurrent=3, window=0.5)
    limiter = Limiter(max_concurrency=3, requests_per_minute=8, window=0.7)
    chain = SkeletonOfThoughtChain(router="always", model=chat_model(server), limiter=limiter, retries=0)
    answers = await asyncio.gather(*(ask(way, chain, question) for question in QUESTIONS))
    assert [statuses(answer) for answer in answers] == [["ok"] * 4] * 3
    assert [entry.outcome for entry in server.ledger.entries] == ["answered"] * 15
    assert limiter.running == limiter.waiting == 0


@pytest.mark.parametrize("way", WAYS)
async def test_a_limiter_counts_the_tokens_reported(server, model, way):
    limiter = Limiter(tokens_per_minute=1_000_000)
    await ask(way, SkeletonOfThoughtChain(router="always", model=model, limiter=limiter))
    assert limiter.load == pytest.approx(server.ledger.usage().total_tokens / 1_000_000)


async def test_questions_take_turns(server):
    server.provider.pace = Pace(first_token=0.02)
    chain = SkeletonOfThoughtChain(
        router="always", model=chat_model(server), limiter=Limiter(max_concurrency=1)
    )
    await chain.abatch(QUESTIONS)
    points = [
        next(number for number, question in enumerate(QUESTIONS) if question in entry.prompt)
        for entry in server.ledger.entries
        if entry.stage == "point"
    ]
    assert len(points) == 12
    middle = points[2:-2]  # while all three wait, none has two turns more than another
    assert all(set(middle[start : start + 4]) == {0, 1, 2} for start in range(len(middle) - 4))
