"""How requests go out: the points as one batch, all at once, and never with another point's text."""

from __future__ import annotations

import asyncio
import weakref

import pytest
from langchain_core.runnables import ConfigurableField, RunnableLambda

from langchain_sot import SkeletonOfThoughtChain
from langchain_sot.execution import Execution

from .fakes import (
    PROMPTS,
    QUESTION,
    TITLES,
    BatchingChat,
    BusyError,
    FakeChat,
    ask,
    outcomes,
    point_text,
    whole,
)


def new_chain(model, **options):
    return SkeletonOfThoughtChain(model=model, prompts=PROMPTS, **options)


def points_take(seconds):
    return lambda seen: seconds if seen.stage == "point" else 0.0


# One batch.


@pytest.mark.parametrize("call", ["invoke", "ainvoke"])
async def test_points_go_out_as_one_batch_with_a_config_each(call):
    model = BatchingChat()
    assert (await ask(new_chain(model), call)).text == whole()
    ((size, configs),) = model.log.batches
    assert size == len(configs) == len(TITLES)
    assert [config["run_name"] for config in configs] == [f"point {n}" for n in range(1, 9)]
    parents = {config["callbacks"].parent_run_id for config in configs}
    assert len(parents) == 1
    assert None not in parents
    tags = [config["callbacks"].tags for config in configs]
    assert tags == [[f"sot:point:{n}", "nostream"] for n in range(1, 9)]


@pytest.mark.parametrize("call", ["invoke", "ainvoke"])
async def test_a_bound_model_batches_too(call):
    model = BatchingChat()
    bound = model.bind(temperature=0).with_config(tags=["x"]).with_fallbacks([FakeChat()])
    assert (await ask(new_chain(bound), call)).text == whole()
    assert [size for size, _ in model.log.batches] == [len(TITLES)]


@pytest.mark.parametrize("call", ["invoke", "ainvoke"])
async def test_what_is_sent_again_waits_for_its_own_turn(call):
    model = BatchingChat(
        fault=lambda seen: BusyError() if seen.index in {2, 5} and seen.attempt == 1 else None
    )
    assert (await ask(new_chain(model), call)).text == whole()
    assert [size for size, _ in model.log.batches] == [8]


@pytest.mark.slow
async def test_twenty_points_at_once_in_threads():
    titles = [f"Topic{number}" for number in range(1, 21)]
    model = FakeChat(
        skeleton="\n".join(f"{number}. {title}" for number, title in enumerate(titles, start=1)),
        token_seconds=points_take(0.05),
    )
    for call in ("invoke", "stream"):
        model.log.most = 0
        assert (await ask(new_chain(model, max_points=20), call)).text == whole(titles)
        assert model.log.most == 20


@pytest.mark.parametrize("limit", [1, 3])
async def test_max_concurrency(way, limit):
    model = FakeChat(token_seconds=points_take(0.005))
    config = {"max_concurrency": limit}
    assert (await ask(new_chain(model), way, config=config)).text == whole()
    assert model.log.most == limit


async def test_max_concurrency_of_a_retried_model(way):
    model = FakeChat(token_seconds=points_take(0.005))
    chain = new_chain(model.with_retry())
    assert (await ask(chain, way, config={"max_concurrency": 2})).text == whole()
    assert model.log.most == 2


# `with_retry().batch` returns another input's text for one that fails (langchain issue 35475).


def ok_flaky_bad(seen):
    """Point 1 works, point 2 works the second time, point 3 never."""
    if seen.index == 3 or (seen.index == 2 and seen.attempt == 1):
        return BusyError(f"point {seen.index}")
    return None


def wrappings():
    def retry(model):
        return model.with_retry(wait_exponential_jitter=False, stop_after_attempt=2)

    return {
        "retry": retry,
        "bound": lambda model: retry(model.bind(temperature=0)).bind(temperature=1),
        "config": lambda model: retry(model).with_config(tags=["x"]),
        "fallbacks": lambda model: retry(model).with_fallbacks([RunnableLambda(broken)]),
        "sequence": lambda model: retry(model) | RunnableLambda(lambda message: message),
        "alternatives": lambda model: model.configurable_alternatives(
            ConfigurableField(id="which"), default_key="plain", retried=retry(model)
        ).with_config(configurable={"which": "retried"}),
    }


def broken(_, **kwargs):
    raise BusyError("the fallback fails too")


@pytest.mark.parametrize("wrapping", wrappings())
async def test_a_retried_model_never_gives_a_point_another_points_text(way, wrapping):
    model = FakeChat(skeleton="1. Ok\n2. Flaky\n3. Bad", fault=ok_flaky_bad)
    chain = new_chain(wrappings()[wrapping](model), retries=1)
    message = await ask(chain, way)
    assert outcomes(message) == [("ok", point_text("Ok")), ("ok", point_text("Flaky")), ("failed", "")]
    assert message.text.count("flaky") == 1


def test_langchains_retried_batch_still_mixes_up_texts():
    """What the chain goes round: when this fails, LangChain has mended it, and the chain may batch again."""
    model = FakeChat(fault=ok_flaky_bad)
    inputs = ["POINT 1 is Ok", "POINT 2 is Flaky", "POINT 3 is Bad"]
    retried = model.with_retry(wait_exponential_jitter=False, stop_after_attempt=2)
    texts = [output.text for output in retried.batch(inputs, return_exceptions=True)]
    assert texts == [point_text("Ok"), point_text("Flaky"), point_text("Flaky")]


async def test_retried_points_still_run_at_the_same_time(way):
    model = FakeChat(token_seconds=points_take(0.02))
    assert (await ask(new_chain(model.with_retry()), way)).text == whole()
    assert model.log.most == len(TITLES)


@pytest.mark.slow
async def test_questions_in_a_batch_run_at_the_same_time():
    model = FakeChat(token_seconds=points_take(0.03))
    await new_chain(model).abatch([QUESTION, "Why?", "When?"])
    assert model.log.most == 24
    model.log.most = 0
    await asyncio.to_thread(new_chain(model).batch, [QUESTION, "Why?", "When?"])
    assert model.log.most == 24


@pytest.mark.slow
@pytest.mark.parametrize("how", ["abatch", "abatch_as_completed"])
async def test_only_the_questions_that_are_running_hold_memory(monkeypatch, how):
    """However many questions wait, a run is only made for those that have a place."""
    made = weakref.WeakSet()
    alive = []

    class Watched(Execution):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            made.add(self)

    def count(_):
        alive.append(len(made))

    monkeypatch.setattr("langchain_sot.chain.Execution", Watched)
    chain = SkeletonOfThoughtChain(model=FakeChat(fault=count, skeleton="1. One\n2. Two"), prompts=PROMPTS)
    questions, config = [f"Question {number}?" for number in range(200)], {"max_concurrency": 3}
    if how == "abatch":
        assert len(await chain.abatch(questions, config)) == 200
    else:
        assert len([answer async for answer in chain.abatch_as_completed(questions, config)]) == 200
    assert 1 <= max(alive) <= 3 + 1  # one may be on its way out
