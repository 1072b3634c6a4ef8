"""The chain over LangChain's own clients of OpenAI and Anthropic, their SDKs and real sockets."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from langchain_anthropic import ChatAnthropic
from langchain_core.callbacks import UsageMetadataCallbackHandler
from langchain_openai import ChatOpenAI
from openai import DefaultAioHttpClient

from langchain_sot import SkeletonOfThoughtChain
from skeleton_of_thought.fake_server import Pace, PlausibleAnswers

from .fakes import ask

QUESTION = "How can I improve my time management skills?"


def new_model(provider, server, **options):
    if provider == "anthropic":
        options = {"model": "claude-haiku-4-5", **options}
        return ChatAnthropic(base_url=server.url, api_key="fake", max_retries=0, **options)
    options = {"model": "gpt-4o-mini", "stream_usage": True, **options}
    return ChatOpenAI(base_url=f"{server.url}/v1", api_key="fake", max_retries=0, **options)


@pytest.fixture(params=["openai", "anthropic"])
def provider(request):
    return request.param


def check(message, server):
    """A whole answer, each text in its place, nothing of it from another point."""
    told = message.response_metadata["sot"]
    assert told["route"] == "sot"
    assert len(told["points"]) == 5
    for point in told["points"]:
        assert point["status"] == "ok"
        assert point["text"].startswith(point["title"]), "the server writes about the title it was asked for"
        assert f"{point['index']}. {point['title']}" in message.text
    assert server.ledger.wait_until_idle()


async def test_an_answer_and_its_bill(way, provider, server):
    handler = UsageMetadataCallbackHandler()
    chain = SkeletonOfThoughtChain(router="always", model=new_model(provider, server))
    message = await ask(chain, way, QUESTION, {"callbacks": [handler]})
    check(message, server)
    assert [entry.stage for entry in server.ledger.entries] == ["skeleton", *["point"] * 5]
    usage = server.ledger.usage()
    assert message.usage_metadata["input_tokens"] == usage.input_tokens
    assert message.usage_metadata["output_tokens"] == usage.output_tokens
    (counted,) = handler.usage_metadata.values()
    assert counted["total_tokens"] == usage.total_tokens
    assert message.response_metadata["model_name"].startswith(("gpt-4o-mini", "claude-haiku-4-5"))


async def test_points_share_one_prefix(way, server):
    chain = SkeletonOfThoughtChain(router="always", model=new_model("openai", server))
    await ask(chain, way, QUESTION)
    prompts = [entry.prompt for entry in server.ledger.entries if entry.stage == "point"]
    shared = next(n for n in range(len(prompts[0])) if len({prompt[: n + 1] for prompt in prompts}) > 1)
    assert QUESTION in prompts[0][:shared]
    assert prompts[0][:shared].count("\n") >= 5, "the skeleton is in it"


async def test_the_points_of_a_streamed_answer_are_served_at_the_same_time(way, server):
    server.provider.pace = Pace(first_token=0.1, per_token=0.002)
    await ask(SkeletonOfThoughtChain(router="always", model=new_model("openai", server)), way, QUESTION)
    assert server.ledger.most_concurrent() == 5


async def begun(chunks, server):
    """Read on until a point's request has reached the server; the first title is shown before."""
    async for _ in chunks:
        if any(entry.stage == "point" for entry in server.ledger.entries):
            return


async def test_closing_a_stream_hangs_up(provider, server):
    server.provider.answer = PlausibleAnswers(points=5, sentences=60)
    server.provider.pace = Pace(first_token=0.02, per_token=0.02)
    chunks = SkeletonOfThoughtChain(router="always", model=new_model(provider, server)).astream(QUESTION)
    await begun(chunks, server)
    await chunks.aclose()
    assert await asyncio.to_thread(server.ledger.wait_until_idle)
    assert {e.outcome for e in server.ledger.entries if e.stage == "point"} == {"disconnected"}


async def test_openais_client_over_aiohttp(server):
    async with DefaultAioHttpClient() as http:
        chain = SkeletonOfThoughtChain(
            router="always", model=new_model("openai", server, http_async_client=http)
        )
        server.faults.add("reset", rate=1, times=1)
        check(await chain.ainvoke(QUESTION), server)
        chunks = [chunk async for chunk in chain.astream(QUESTION)]
        assert chunks[-1].response_metadata["sot"]["bill"]["calls"] == 6
        server.provider.answer = PlausibleAnswers(points=5, sentences=60)
        server.provider.pace = Pace(first_token=0.02, per_token=0.02)
        server.ledger.clear()
        stream = chain.astream(QUESTION)
        await begun(stream, server)
        await stream.aclose()
        assert await asyncio.to_thread(server.ledger.wait_until_idle)
    assert {e.outcome for e in server.ledger.entries if e.stage == "point"} == {"disconnected"}


async def test_one_model_in_threads_then_in_a_running_loop_then_awaited(provider, server):
    """The clients keep one async connection pool per process: it must see one event loop only."""
    chain = SkeletonOfThoughtChain(router="always", model=new_model(provider, server))

    def in_threads(call):
        with ThreadPoolExecutor(4) as pool:
            return list(pool.map(call, [f"{QUESTION} ({n})" for n in range(4)]))

    results = await asyncio.to_thread(in_threads, chain.invoke)
    results += await asyncio.to_thread(in_threads, lambda question: list(chain.stream(question))[-1])
    results += [chain.invoke(QUESTION), *chain.batch([QUESTION] * 2)]  # sync, while this loop runs
    results += [await chain.ainvoke(QUESTION), *await chain.abatch([QUESTION] * 2)]
    async for chunk in chain.astream(QUESTION):
        last = chunk
    results.append(last)
    results.append(chain.invoke(QUESTION))
    for message in results:
        told = message.response_metadata["sot"]
        assert told["route"] == "sot"
        assert [point["status"] for point in told["points"]] == ["ok"] * 5
    assert {entry.outcome for entry in server.ledger.entries} == {"answered"}


def test_sync_calls_leave_no_event_loop_behind(server):
    """`asyncio.run` before and after: a sync call in between must not have touched the async client."""
    chain = SkeletonOfThoughtChain(router="always", model=new_model("openai", server))
    for _ in range(2):
        chain.invoke(QUESTION)
        asyncio.run(asyncio.sleep(0))
        list(chain.stream(QUESTION))
    assert {entry.outcome for entry in server.ledger.entries} == {"answered"}


@pytest.mark.parametrize("model", ["gpt-5-mini", "o3"])
async def test_a_model_that_takes_no_stop_sequences(way, server, model):
    chain = SkeletonOfThoughtChain(router="always", model=new_model("openai", server, model=model))
    check(await ask(chain, way, QUESTION), server)
    refused = [entry for entry in server.ledger.entries if entry.outcome == "refused"]
    assert 0 < len(refused) <= 5
    server.ledger.clear()
    check(await ask(chain, way, QUESTION), server)
    assert {entry.outcome for entry in server.ledger.entries} == {"answered"}, "it is asked once, then known"


@pytest.mark.parametrize("kind", ["server_error", "overloaded", "reset", "rate_limit", "stream_error"])
async def test_a_fault_of_the_server_is_retried(way, provider, server, kind):
    server.faults.add(kind, stage="point", times=1, after_tokens=0)
    chain = SkeletonOfThoughtChain(router="always", model=new_model(provider, server))
    check(await ask(chain, way, QUESTION), server)


async def test_a_wrong_key_is_the_providers_error(way, provider, server):
    server.faults.add("unauthorized")
    caught: Any
    with pytest.raises(Exception, match="401") as caught:
        await ask(SkeletonOfThoughtChain(router="always", model=new_model(provider, server)), way, QUESTION)
    assert not caught.value.is_retryable
    assert len(server.ledger.entries) == 2, "the skeleton, and the direct answer"


async def test_a_refused_skeleton_gives_a_direct_answer(way, provider, server):
    server.faults.add("refusal", stage="skeleton")
    message = await ask(
        SkeletonOfThoughtChain(router="always", model=new_model(provider, server)), way, QUESTION
    )
    assert message.response_metadata["sot"]["route"] == "direct"
    assert message.text
