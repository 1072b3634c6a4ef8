"""The acceptance test: in float32, greedy texts are what decoding each request alone gives."""

from __future__ import annotations

import asyncio
import random

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skeleton_of_thought.decoding import Engine, GenerationRequest, attention, scheduler
from skeleton_of_thought.decoding.job import Job
from skeleton_of_thought.decoding.sampling import Defaults, RowSampler
from skeleton_of_thought.decoding.scheduler import Scheduler
from skeleton_of_thought.decoding.text import TextStream
from skeleton_of_thought.decoding.view import ModelView

TOKENS = st.integers(2, 319)
NOTHING = torch.tensor([], dtype=torch.long)
STEMS = st.lists(st.lists(TOKENS, min_size=1, max_size=30), min_size=1, max_size=3)


@st.composite
def arrivals(draw: st.DrawFn) -> list[tuple[int, tuple[int, ...], int, int | None]]:
    """Requests that often begin alike: when they come, their prompt, their length, when they are cancelled."""
    stems = draw(STEMS)
    found = []
    for _ in range(draw(st.integers(1, 9))):
        stem = draw(st.sampled_from(stems))
        kept = draw(st.integers(0, len(stem)))
        prompt = (*stem[:kept], *draw(st.lists(TOKENS, max_size=8))) or (5,)
        cancelled = draw(st.none() | st.none() | st.integers(0, 30))
        found.append((draw(st.integers(0, 25)), prompt, draw(st.sampled_from([1, 4, 12, 20])), cancelled))
    return sorted(found, key=lambda each: each[0])


def drafting(chance: random.Random, alone, kind: str):
    """Drafts of what comes next, some of them right, some right at first, some of no use."""

    def draft(job: Job) -> list[int]:
        room = job.max_tokens - len(job.tokens) - 1
        right = alone(kind, tuple(job.prompt), 24)[len(job.tokens) :][: min(room, chance.randrange(4))]
        return [token if chance.random() < 0.7 else chance.randrange(2, 320) for token in right]

    return draft


@pytest.fixture(scope="module")
def views(tiny_model, kinds) -> dict[str, ModelView]:
    return {kind: ModelView(tiny_model(kind)) for kind in kinds}


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    plan=arrivals(),
    kind=st.integers(0, 6),
    rows=st.sampled_from([1, 3, 8]),
    memory=st.sampled_from([0, 20, 400]),
    per_pass=st.sampled_from([3, 17, 512]),
    shared=st.sampled_from([1, 16]),
    in_place=st.sampled_from([1, 20, 10_000]),
    products=st.booleans(),
    drafts=st.none() | st.integers(0, 9),
)
def test_any_arrivals_write_what_each_request_writes_alone(  # noqa: PLR0917 (hypothesis passes them by name)
    plan, kind, rows, memory, per_pass, shared, in_place, products, drafts, views, kinds, alone, tokenizer
) -> None:
    name = kinds[kind]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scheduler, "_PASS_TOKENS", per_pass)
        patch.setattr(scheduler, "_SHARED", shared)
        patch.setattr(scheduler, "_KEPT", shared)
        patch.setattr(scheduler, "_IN_PLACE_SAVED", in_place)
        patch.setattr(scheduler, "_IN_PLACE_ALWAYS", in_place)
        if products:
            patch.setattr(attention, "wants_products", lambda *_: True)
        if drafts is not None:
            patch.setattr(Job, "draft", drafting(random.Random(drafts), alone, name))
        machine = Scheduler(views[name], max_batch=rows, prefix_cache_tokens=memory)
        jobs = []
        step = 0
        waiting = list(plan)
        while waiting or machine.busy:
            while waiting and waiting[0][0] <= step:
                _, prompt, count, cancelled = waiting.pop(0)
                request = GenerationRequest(input_ids=prompt, max_tokens=count)
                job = Job(
                    request,
                    list(prompt),
                    sampler=RowSampler(request, Defaults(), prompt, suppressed=NOTHING),
                    stream=TextStream(tokenizer._tokenizer),
                    end_ids=frozenset([1]),
                    on_cancel=lambda: None,
                )
                machine.waiting.append(job)
                jobs.append((job, prompt, count, None if cancelled is None else step + cancelled))
            for job, _, _, cancelled in jobs:
                if cancelled == step:
                    job.generation.cancel()
            machine.drop_cancelled()
            machine.step()
            step += 1
    for job, prompt, count, _ in jobs:
        result = job.generation.result(timeout=0)
        expected = alone(name, prompt, count)
        if result.finish_reason == "cancelled":
            expected = expected[: len(result.token_ids)]
        assert list(result.token_ids) == expected
    assert machine.running == 0
    assert machine._tree.tokens <= max(memory, 0)


@pytest.mark.parametrize("kind", range(7))
async def test_the_engine_itself_from_many_tasks(kind, kinds, tiny_model, alone, tokenizer) -> None:
    name = kinds[kind]
    chance = random.Random(kind)
    stem = tuple(chance.randrange(2, 320) for _ in range(40))
    prompts = [
        (*stem[: chance.randrange(1, 41)], *(chance.randrange(2, 320) for _ in range(3))) for _ in range(16)
    ]
    with Engine(tiny_model(name), tokenizer, max_batch=5) as engine:

        async def one(prompt: tuple[int, ...]) -> list[int]:
            await asyncio.sleep(chance.random() / 50)
            request = GenerationRequest(input_ids=prompt, max_tokens=chance.choice([3, 9, 20]))
            result = await engine.submit(request).aresult()
            return list(result.token_ids)

        found = await asyncio.gather(*map(one, prompts))
    for prompt, tokens in zip(prompts, found, strict=True):
        assert tokens == alone(name, prompt, len(tokens))


def test_a_request_after_another_reads_its_beginning_from_memory(engine, alone) -> None:
    stem = tuple(range(10, 60))
    first = engine.submit(GenerationRequest(input_ids=stem, max_tokens=20, ignore_eos=True)).result()
    assert first.usage.cache_read_tokens == 0
    history = (*stem, *first.token_ids, 7, 8, 9)
    second = engine.submit(GenerationRequest(input_ids=history, max_tokens=10)).result()
    # All of the prompt and of the answer, but for its last token, which never went through the model.
    assert second.usage.cache_read_tokens == 50 + 19
    assert list(second.token_ids) == alone("llama grouped-query", history, 10)[: len(second.token_ids)]


def test_requests_that_come_together_fill_what_they_share_once(engine, monkeypatch) -> None:
    stem = tuple(range(10, 110))
    seen = []
    run = ModelView.run
    monkeypatch.setattr(ModelView, "run", lambda view, flat: seen.append(len(flat.tokens)) or run(view, flat))
    requests = [GenerationRequest(input_ids=(*stem, 200 + i, 201), max_tokens=1) for i in range(6)]
    results = [each.result() for each in engine.submit_many(requests)]
    assert seen == [100 + 6 * 2]
    assert sorted(result.usage.cache_read_tokens for result in results) == [0, 100, 100, 100, 100, 100]
