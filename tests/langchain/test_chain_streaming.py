"""Streams are live, in reading order, and stop when nobody reads them."""

from __future__ import annotations

import asyncio
import random
import time

import pytest
from langchain_core.messages import AIMessageChunk
from langchain_core.prompts import ChatPromptTemplate

from langchain_sot import SkeletonOfThoughtChain

from .fakes import DIRECT, PROMPTS, QUESTION, SKELETON, TITLES, FakeChat, added, whole

TOKENS_OF_A_POINT = 6


def new_chain(token_seconds=lambda seen: 0.0, **options):
    model = FakeChat(token_seconds=token_seconds, **options)
    return SkeletonOfThoughtChain(model=model, prompts=PROMPTS)


def points_take(seconds):
    return lambda seen: seconds if seen.stage == "point" else 0.0


async def astreamed(chain):
    return [(time.perf_counter(), chunk.text) async for chunk in chain.astream(QUESTION)]


def streamed(chain):
    return [(time.perf_counter(), chunk.text) for chunk in chain.stream(QUESTION)]


@pytest.fixture(params=["stream", "astream"])
def read(request):
    """The chunks with the moments they came at, by threads or by asyncio."""

    async def with_threads(chain):
        return await asyncio.to_thread(streamed, chain)

    return with_threads if request.param == "stream" else astreamed


@pytest.mark.slow
async def test_eight_points_take_the_time_of_the_slowest(read):
    pauses = {index: 0.02 * index for index in range(1, 9)}
    chain = new_chain(lambda seen: pauses.get(seen.index, 0.0))
    started = time.perf_counter()
    chunks = await read(chain)
    seconds = time.perf_counter() - started
    slowest = max(pauses.values()) * TOKENS_OF_A_POINT
    assert "".join(text for _, text in chunks) == whole()
    assert chain.model.log.most == 8
    assert slowest <= seconds < 1.6 * slowest, "one after the other they take 4.5 times as long"


async def test_the_first_point_is_read_while_the_others_run(read):
    chain = new_chain(points_take(0.05))
    chunks = await read(chain)
    first_text = chunks[0][0]
    points = chain.model.log.of("point")
    assert all(first_text < seen.ended for seen in points)
    of_point_1 = [moment for moment, text in chunks[:TOKENS_OF_A_POINT]]
    assert of_point_1[-1] - of_point_1[0] > 0.1, "as it is written, not all at once"


@pytest.mark.parametrize("seed", range(6))
async def test_reading_order_whatever_the_pace(read, seed):
    draw = random.Random(seed)
    pauses = {index: draw.choice([0.0, 0.001, 0.01, 0.03]) for index in range(1, 9)}
    chunks = await read(new_chain(lambda seen: pauses.get(seen.index, 0.0)))
    assert "".join(text for _, text in chunks) == whole()


async def test_two_answers_stream_at_the_same_time():
    chain = new_chain(points_take(0.05))
    started = time.perf_counter()
    await asyncio.gather(astreamed(chain), astreamed(chain), asyncio.to_thread(streamed, chain))
    assert chain.model.log.most == 24
    assert time.perf_counter() - started < 3 * 0.05 * TOKENS_OF_A_POINT


class InBlocks(FakeChat):
    """A model that thinks before it writes."""

    output_version: str = "v1"

    def _tokens(self, seen):
        thought = {"type": "reasoning", "reasoning": "Hm.", "index": 0}
        texts = [{"type": "text", "text": str(token.text), "index": 1} for token in super()._tokens(seen)]
        return [AIMessageChunk(content=[block]) for block in (thought, *texts)]


async def test_thoughts_and_text_are_blocks_of_their_own():
    chain = SkeletonOfThoughtChain(model=InBlocks(), prompts="opening")
    message = added([chunk async for chunk in chain.astream(QUESTION)])
    assert message.text == DIRECT
    assert [block["type"] for block in message.content] == ["reasoning", "text"]


# Nobody reads any more.


async def wait_until(condition, seconds=5.0):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:  # noqa: ASYNC110 - threads set no asyncio event
        await asyncio.sleep(0.005)
    assert condition()


def slow(**options):
    return new_chain(points_take(0.05), **options)


def check_points_stopped(log):
    points = log.of("point")
    assert len(points) == len(TITLES)
    assert {seen.outcome for seen in points} == {"cancelled"}


async def test_closing_an_async_stream_cancels_the_requests_before_it_returns():
    chain = slow()
    chunks = chain.astream(QUESTION)
    while "All" not in (await anext(chunks)).text:
        pass  # the first title is shown before its point is sent
    await chunks.aclose()
    check_points_stopped(chain.model.log)


async def test_leaving_the_loop_of_an_async_stream_behind_a_prompt():
    chain = slow()
    async for _ in (ChatPromptTemplate.from_template("{q}") | chain).astream({"q": QUESTION}):
        if len(chain.model.log.of("point")) == len(TITLES):
            break
    await wait_until(lambda: chain.model.log.running == 0)
    check_points_stopped(chain.model.log)


@pytest.mark.parametrize(
    "call", [astreamed, lambda chain: chain.ainvoke(QUESTION)], ids=["astream", "ainvoke"]
)
async def test_cancelling_the_task_cancels_the_requests(call):
    chain = slow()
    task = asyncio.create_task(call(chain))
    await wait_until(lambda: len(chain.model.log.of("point")) == len(TITLES))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    check_points_stopped(chain.model.log)


async def test_a_timeout_around_an_answer_cancels_the_requests():
    chain = slow()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.15):
            await chain.ainvoke(QUESTION)
    assert chain.model.log.running == 0


async def test_closing_a_sync_stream_stops_every_request_at_its_next_token():
    chain = slow()
    chunks = chain.stream(QUESTION)
    while "All" not in next(chunks).text:
        pass
    chunks.close()
    await wait_until(lambda: chain.model.log.running == 0)
    check_points_stopped(chain.model.log)


async def test_leaving_the_loop_of_a_sync_stream_behind_a_prompt():
    chain = slow()
    for _ in (ChatPromptTemplate.from_template("{q}") | chain).stream({"q": QUESTION}):
        if len(chain.model.log.of("point")) == len(TITLES):
            break
    await wait_until(lambda: chain.model.log.running == 0)
    check_points_stopped(chain.model.log)


async def test_closing_while_the_skeleton_is_written_sends_no_point():
    chain = new_chain(lambda seen: 0.05, skeleton=SKELETON)
    task = asyncio.create_task(astreamed(chain))
    await wait_until(lambda: chain.model.log.running == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [seen.outcome for seen in chain.model.log.seen] == ["cancelled"]


async def test_breaking_out_of_a_direct_answer_stops_it_too():
    chain = new_chain(lambda seen: 0.02, skeleton="no list")
    chunks = chain.astream(QUESTION)
    await anext(chunks)
    await chunks.aclose()
    assert [seen.outcome for seen in chain.model.log.of("direct")] == ["cancelled"]
