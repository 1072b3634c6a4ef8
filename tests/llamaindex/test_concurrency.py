from __future__ import annotations

import asyncio
import threading
import time

import pytest
from langchain_core.language_models import FakeListChatModel

from llamaindex_sot import LangChainLLM, SkeletonOfThoughtQueryEngine, SkeletonOfThoughtSynthesizer
from llamaindex_sot.llms.blocking import blocks_event_loop, in_thread
from llamaindex_sot.llms.transformers_llm import TransformersLLM
from skeleton_of_thought import Options

from .fakes import TITLES, ChatLLM, CompletionLLM, PretendedAsyncLLM, Script, nodes

QUESTION = "How do I make good compost?"
KINDS = [ChatLLM, PretendedAsyncLLM, CompletionLLM]
PAUSE, WORDS = 0.01, 30


def slow(together: int = 8) -> Script:
    """Eight points that take their time, and wait for each other."""
    return Script(points=8, pause=PAUSE, words=WORDS, together=together)


@pytest.mark.parametrize("way", ["sync", "stream", "async", "astream"])
@pytest.mark.parametrize("kind", KINDS)
async def test_eight_points_take_the_time_of_the_slowest(kind, way):
    llm = kind(slow())
    synthesizer = SkeletonOfThoughtSynthesizer(llm, streaming="stream" in way)
    started = time.perf_counter()
    if way.startswith("a"):
        response = await synthesizer.asynthesize(QUESTION, nodes(8))
        if way == "astream":
            assert "".join([piece async for piece in response.async_response_gen()]).count("\n\n") == 7
    else:
        assert str(synthesizer.synthesize(QUESTION, nodes(8))).count("\n\n") == 7
    seconds = time.perf_counter() - started
    assert llm.script.peak == 8
    assert seconds < sum(llm.script.took) / 3  # one after the other they would take all of it
    assert max(llm.script.took) >= PAUSE * WORDS


async def test_streams_are_live_and_in_reading_order():
    synthesizer = SkeletonOfThoughtSynthesizer(ChatLLM(slow()), streaming=True)
    started = time.perf_counter()
    response = await synthesizer.asynthesize(QUESTION, nodes(8))
    arrivals = [(time.perf_counter() - started, piece) async for piece in response.async_response_gen()]
    text = "".join(piece for _, piece in arrivals)
    places = [text.index(f"{n}. {title}") for n, title in enumerate(TITLES, start=1)]
    assert places == sorted(places)
    assert arrivals[0][0] < arrivals[-1][0] - PAUSE * WORDS / 2
    assert sum(len(piece) for at, piece in arrivals if at < arrivals[-1][0] - PAUSE * 5) > 20


@pytest.mark.parametrize("kind", KINDS)
async def test_five_questions_at_once_do_not_wait_for_each_other(kind):
    llm = kind(slow(together=40))
    synthesizer = SkeletonOfThoughtSynthesizer(llm)
    beats = 0

    async def heart() -> None:
        nonlocal beats
        while True:
            await asyncio.sleep(PAUSE)
            beats += 1

    beating = asyncio.create_task(heart())
    answers = await asyncio.gather(*(synthesizer.asynthesize(QUESTION, nodes(8)) for _ in range(5)))
    beating.cancel()
    assert len({str(answer) for answer in answers}) == 1
    assert llm.script.peak == 40
    assert beats > 5  # the event loop was free meanwhile


@pytest.mark.parametrize("streaming", [False, True])
async def test_the_sync_way_works_inside_a_running_loop(streaming):
    synthesizer = SkeletonOfThoughtSynthesizer(ChatLLM(), streaming=streaming)
    assert str(synthesizer.synthesize(QUESTION, nodes())).startswith("1. Soil")


async def test_max_concurrency_holds():
    for kind in KINDS:
        llm = kind(Script(points=8, pause=0.005, together=3))
        synthesizer = SkeletonOfThoughtSynthesizer(llm, max_concurrency=3)
        synthesizer.synthesize(QUESTION, nodes(8))
        assert llm.script.peak == 3
        await synthesizer.asynthesize(QUESTION, nodes(8))
        assert llm.script.peak == 3


async def test_closing_an_async_stream_cancels_the_requests():
    llm = ChatLLM(Script(points=4, pause=0.01, words=200))
    synthesizer = SkeletonOfThoughtSynthesizer(llm, streaming=True, options=Options(early_points=0))
    response = await synthesizer.asynthesize(QUESTION, nodes())
    async for _ in response.response_gen:
        if llm.script.running == 4:  # the first title is shown before the points are sent
            break
    await response.response_gen.aclose()
    assert llm.script.cancelled == 4
    assert llm.script.running == 0


def test_closing_a_stream_stops_the_threads():
    llm = ChatLLM(Script(points=4, pause=0.01, words=200))
    response = SkeletonOfThoughtSynthesizer(llm, streaming=True).synthesize(QUESTION, nodes())
    next(response.response_gen)
    response.response_gen.close()
    deadline = time.monotonic() + 30
    while llm.script.running and time.monotonic() < deadline:
        time.sleep(0.01)
    assert llm.script.running == 0


async def test_the_query_engine_is_as_concurrent():
    llm = ChatLLM(slow())
    engine = SkeletonOfThoughtQueryEngine(llm)
    first = engine.query(QUESTION)
    assert llm.script.peak == 8
    assert str(first) == str(await engine.aquery(QUESTION))


def ModelLLM() -> LangChainLLM:  # noqa: N802
    return LangChainLLM(FakeListChatModel(responses=["text"]))


@pytest.mark.parametrize(
    ("llm", "method", "blocks"),
    [
        (ChatLLM, "achat", False),
        (ChatLLM, "astream_chat", False),
        (PretendedAsyncLLM, "achat", True),
        (PretendedAsyncLLM, "astream_chat", True),
        (CompletionLLM, "acomplete", True),
        (CompletionLLM, "astream_complete", True),
        (CompletionLLM, "achat", True),
        (ModelLLM, "achat", False),
        (ModelLLM, "astream_chat", False),
        (TransformersLLM, "achat", False),
        (TransformersLLM, "astream_chat", False),
        (TransformersLLM, "acomplete", False),
    ],
)
def test_pretended_async_methods_are_recognised(llm, method, blocks):
    assert blocks_event_loop(getattr(llm(), method)) is blocks


async def test_threads_pass_on_items_and_errors():
    def items(fail: bool):
        yield None  # an item like any other
        yield threading.current_thread().name
        if fail:
            raise ValueError("broken")

    seen = [item async for item in in_thread(lambda: items(fail=False))]
    assert seen[0] is None
    assert seen[1] != threading.current_thread().name
    with pytest.raises(ValueError, match="broken"):
        [item async for item in in_thread(lambda: items(fail=True))]
