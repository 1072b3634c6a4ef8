"""Every run that callbacks hear the start of ends for them, too: calls that are given up are no exception."""

from __future__ import annotations

import asyncio
import time

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.runnables import RunnableLambda

from langchain_sot import ChatSkeletonOfThought, SkeletonOfThoughtChain

from .fakes import PROMPTS, QUESTION, FakeChat, ask

pytestmark = pytest.mark.slow  # what is given up is waited for


class Watch(BaseCallbackHandler):
    def __init__(self):
        self.names, self.ended = {}, []

    def _start(self, *_, run_id, name=None, **__):
        self.names[run_id] = name

    def _end(self, *_, run_id, **__):
        self.ended.append(run_id)

    on_chat_model_start = on_llm_start = on_chain_start = _start
    on_llm_end = on_chain_end = on_llm_error = on_chain_error = _end

    async def pending_at_last(self):
        """What has not ended after ten seconds; threads end at the next piece of what they read."""
        pending = []
        for _ in range(500):
            pending = sorted(str(name) for run_id, name in self.names.items() if run_id not in self.ended)
            if not pending:
                break
            await asyncio.sleep(0.02)
        return pending


def slow_points(seen):
    return 0.15 if seen.index in {2, 5} else 0.0


def slow_plain_answer(seen):
    return 0.15 if seen.stage == "direct" else 0.0


async def a_moment(_):
    await asyncio.sleep(0.05)
    return "sot"


CASES: dict[str, tuple[dict[str, object], object]] = {
    "hedged": ({"hedge_after": 0.08}, slow_points),
    "late points": ({"point_timeout": 0.25}, slow_points),
    "a late answer": ({"timeout": 0.4}, slow_points),
    "a race": (
        {"race": True, "router": RunnableLambda(lambda _: time.sleep(0.05) or "sot", afunc=a_moment)},
        slow_plain_answer,
    ),
}


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream"])
@pytest.mark.parametrize("face", [SkeletonOfThoughtChain, ChatSkeletonOfThought])
@pytest.mark.parametrize("case", CASES)
async def test_calls_that_are_given_up_end(way, face, case):
    given, pace = CASES[case]
    options = dict(given, router=given.get("router", "always"))
    watch = Watch()
    answering = face(model=FakeChat(token_seconds=pace), prompts=PROMPTS, **options)
    await ask(answering, way, QUESTION, {"callbacks": [watch]})
    assert await watch.pending_at_last() == []
    assert len(watch.ended) == len(set(watch.ended)) == len(watch.names), "each ends once"


async def test_twins_that_end_in_the_same_moment_end_each_once():
    """A call is given up while the handlers are being told that it has ended."""
    for _ in range(20):
        watch = Watch()
        answering = SkeletonOfThoughtChain(
            model=FakeChat(token_seconds=lambda seen: 0.01 if seen.index in {2, 5} else 0.0),
            prompts=PROMPTS,
            router="always",
            hedge_after=0.01,
        )
        await answering.ainvoke(QUESTION, {"callbacks": [watch]})
        assert await watch.pending_at_last() == []
        assert len(watch.ended) == len(set(watch.ended))


async def test_a_stream_that_nobody_reads_on_ends_its_runs():
    watch = Watch()
    answering = SkeletonOfThoughtChain(
        model=FakeChat(token_seconds=slow_points), prompts=PROMPTS, router="always"
    )
    stream = answering.astream(QUESTION, {"callbacks": [watch]})
    await anext(stream)
    await stream.aclose()
    assert await watch.pending_at_last() == []
