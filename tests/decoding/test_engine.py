"""The engine as its users see it: streams, cancellations, limits, errors."""

from __future__ import annotations

import asyncio
import gc
import pickle
import random
import threading
import time
import weakref
from typing import TYPE_CHECKING

import pytest
import torch

from skeleton_of_thought.decoding import Engine, GenerationRequest
from skeleton_of_thought.decoding.memory import Slots
from skeleton_of_thought.decoding.view import ModelView
from skeleton_of_thought.errors import (
    ConfigurationError,
    ContextOverflowError,
    DecodingError,
    EngineClosedError,
    QueueFullError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KIND = "llama grouped-query"
HELLO = [{"role": "user", "content": "the user"}]


def request(tokens: tuple[int, ...] = (5, 6, 7), **options) -> GenerationRequest:
    return GenerationRequest(input_ids=tokens, **{"max_tokens": 12, "ignore_eos": True, **options})


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("skeleton-of-thought")]


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


@pytest.fixture
def slow(monkeypatch) -> None:
    """Steps take long enough that a test can act between them."""
    run = ModelView.run
    monkeypatch.setattr(ModelView, "run", lambda view, flat: time.sleep(0.005) or run(view, flat))


@pytest.fixture
def stuck(monkeypatch) -> Iterator[None]:
    """No step ends before the test does."""
    run, over = ModelView.run, threading.Event()
    monkeypatch.setattr(ModelView, "run", lambda view, flat: (over.wait(20), run(view, flat))[1])
    yield
    over.set()


def test_streams_add_up_to_the_result(engine, tokenizer) -> None:
    generation = engine.submit(GenerationRequest(messages=HELLO, max_tokens=30, ignore_eos=True))
    text = "".join(generation)
    result = generation.result()
    assert (
        text == result.text == tokenizer.decode(result.token_ids, skip_special_tokens=True).rstrip("\ufffd")
    )
    assert result.finish_reason == "length"
    assert (result.usage.input_tokens, result.usage.output_tokens) == (len(engine.encode(HELLO)), 30)
    assert result.seconds > 0


async def test_async_streams_add_up_to_the_result(engine) -> None:
    generation = engine.submit(GenerationRequest(messages=HELLO, max_tokens=30, ignore_eos=True))
    text = "".join([piece async for piece in generation])
    assert text == (await generation.aresult()).text == generation.result().text


def test_stop_strings_cut_exactly_in_every_row(engine) -> None:
    texts = [engine.submit(request((5, 6, token), max_tokens=24)).result().text for token in (7, 8, 9)]
    stops = [text[len(text) // 2 :][:3] for text in texts]
    generations = engine.submit_many(
        [
            request((5, 6, token), max_tokens=24, stop=[stop])
            for token, stop in zip((7, 8, 9), stops, strict=True)
        ]
    )
    for text, stop, generation in zip(texts, stops, generations, strict=True):
        streamed = "".join(generation)
        assert streamed == generation.result().text == text[: text.index(stop)]
        assert generation.result().finish_reason == "stop"


def test_what_is_suppressed_is_not_written_by_its_row_and_by_others_is(engine, tokenizer) -> None:
    plain = engine.submit(request(max_tokens=20)).result()
    banned = tuple({tokenizer.decode([token]) for token in plain.token_ids[:3]} - {""})
    with_and_without = [request(max_tokens=20, suppress=banned), request(max_tokens=20)]
    steered, free = (each.result() for each in engine.submit_many(with_and_without))
    assert free.token_ids == plain.token_ids
    assert not any(string in tokenizer.decode([token]) for token in steered.token_ids for string in banned)


def test_end_of_sequence_is_no_text_but_counts(engine, tokenizer, tiny_model, monkeypatch) -> None:
    written = engine.submit(request(max_tokens=5)).result()
    engine._end_ids = frozenset([written.token_ids[3]])
    result = engine.submit(request(max_tokens=5, ignore_eos=False)).result()
    assert result.finish_reason == "stop"
    first = written.token_ids.index(written.token_ids[3])
    assert result.token_ids == written.token_ids[: first + 1]
    assert result.text == tokenizer.decode(result.token_ids[:-1])


def test_sixty_four_streams_and_two_hundred_cancellations(tiny_model, tokenizer, alone) -> None:
    chance = random.Random(0)
    with Engine(tiny_model(KIND), tokenizer, max_batch=16, prefix_cache_tokens=200) as engine:
        found: dict[int, list[str]] = {}

        def read(index: int) -> None:
            found[index] = list(streams[index])

        streams = engine.submit_many([request((5, index + 2), max_tokens=20) for index in range(64)])
        readers = [threading.Thread(target=read, args=(index,)) for index in range(64)]
        for reader in readers:
            reader.start()
        cancelled = []
        for index in range(200):
            cancelled.append(engine.submit(request((9, index + 2), max_tokens=400)))
            if chance.random() < 0.5:
                time.sleep(chance.random() / 500)
            chance.choice(cancelled).cancel()
        for generation in cancelled:
            generation.cancel()
        for reader in readers:
            reader.join(60)
        assert all(generation.result(60).finish_reason in {"cancelled", "length"} for generation in cancelled)
        for index, stream in enumerate(streams):
            result = stream.result(60)
            assert "".join(found[index]) == result.text
            ended = [*result.token_ids].index(1) + 1 if 1 in result.token_ids else None
            assert list(result.token_ids)[:ended] == alone(KIND, (5, index + 2), 20)
        assert (engine.running, engine.queued) == (0, 0)
        scheduler = engine._worker.scheduler
        assert not scheduler.rows
        assert not scheduler.filling
        assert not scheduler._queue
        assert scheduler._tree.tokens <= 200
        tensors = sum(issubclass(type(each), torch.Tensor) for each in gc.get_objects())
        for generation in engine.submit_many([request((5, index + 2), max_tokens=20) for index in range(64)]):
            generation.result(60)
        gc.collect()
        assert sum(issubclass(type(each), torch.Tensor) for each in gc.get_objects()) < tensors + 100


@pytest.mark.usefixtures("slow")
def test_cancelling_frees_the_row_within_a_step(engine) -> None:
    generation = engine.submit(request(max_tokens=400))
    until(lambda: engine._worker.scheduler.rows)
    written = len(engine._worker.scheduler.rows[0].job.tokens)
    generation.cancel()
    result = generation.result(5)
    assert result.finish_reason == "cancelled"
    assert len(result.token_ids) <= written + 2
    until(lambda: engine.running == 0)
    generation.cancel()  # once more changes nothing
    assert generation.result() is result


@pytest.mark.usefixtures("slow")
async def test_an_event_loop_is_not_blocked_and_a_cancelled_task_lets_go(engine) -> None:
    generation = engine.submit(request(max_tokens=400))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await generation.aresult()
    assert generation._waiters == []
    generation.cancel()
    assert (await generation.aresult()).finish_reason == "cancelled"


@pytest.mark.usefixtures("slow")
def test_result_can_time_out_and_be_asked_for_again(engine) -> None:
    generation = engine.submit(request(max_tokens=30))
    with pytest.raises(TimeoutError, match=r"0\.01 seconds"):
        generation.result(timeout=0.01)
    assert generation.result().finish_reason == "length"


def test_a_text_that_is_not_there_in_time_is_not_waited_for(engine, stuck) -> None:
    with pytest.raises(TimeoutError):
        next(engine.submit(request()).texts(time.monotonic()))


async def test_an_event_loop_does_not_wait_for_what_is_not_there_in_time(engine, stuck) -> None:
    with pytest.raises(TimeoutError):
        await anext(engine.submit(request()).atexts(time.monotonic()))


def test_more_than_a_thousand_requests_wait_for_their_turn(engine) -> None:
    generations = engine.submit_many([request(max_tokens=1) for _ in range(1100)])
    assert len({generation.result(60).text for generation in generations}) == 1


@pytest.mark.usefixtures("slow")
def test_a_full_queue_says_so(tiny_model, tokenizer) -> None:
    with Engine(tiny_model(KIND), tokenizer, max_batch=1, max_queue=2) as engine:
        generations = [engine.submit(request(max_tokens=50))]
        until(lambda: engine.running == 1)
        generations += engine.submit_many([request(), request()])
        assert (engine.queued, engine.running, engine.max_batch) == (2, 1, 1)
        with pytest.raises(QueueFullError, match="2 requests wait and 1 more would pass the limit of 2"):
            engine.submit(request())
        for generation in generations:
            assert generation.result(20).finish_reason == "length"
        assert engine.submit(request()).result(20)


def test_a_context_that_does_not_fit_is_an_error_with_both_numbers(engine) -> None:
    with pytest.raises(ContextOverflowError, match=r"500 tokens and max_tokens is 13.*context holds 512"):
        engine.submit(request((5,) * 500, max_tokens=13))
    assert engine.submit(request((5,) * 500, max_tokens=12)).result().usage.output_tokens == 12


def test_a_bad_request_fails_alone(engine) -> None:
    good, long, strange, empty = engine.submit_many(
        [request(), request((5,) * 600), request((5, 999)), request(())]
    )
    assert good.result().finish_reason == "length"
    with pytest.raises(ContextOverflowError):
        long.result()
    with pytest.raises(ConfigurationError, match="from 0 to 319; got tokens from 5 to 999"):
        list(strange)
    with pytest.raises(ConfigurationError, match="got none"):
        empty.result()


def test_a_row_that_breaks_breaks_alone(engine, monkeypatch) -> None:
    from skeleton_of_thought.decoding.sampling import RowSampler

    def draw(_self: RowSampler, _logits: torch.Tensor) -> int:
        raise RuntimeError("no token")

    monkeypatch.setattr(RowSampler, "_draw", draw)
    bad, good = engine.submit_many([request(temperature=1), request()])
    with pytest.raises(DecodingError, match="no token"):
        bad.result()
    assert good.result().usage.output_tokens == 12


def test_a_broken_step_ends_what_runs_and_the_engine_goes_on(engine, monkeypatch) -> None:
    expected = engine.submit(request()).result().token_ids
    with monkeypatch.context() as patch:
        patch.setattr(ModelView, "run", lambda *_: 1 / 0)
        for generation in engine.submit_many([request(), request()]):
            with pytest.raises(DecodingError, match="ZeroDivisionError"):
                generation.result()
    assert engine.submit(request()).result().token_ids == expected


@pytest.mark.parametrize("most", [1, 3, 20])
def test_out_of_memory_shrinks_the_batch_and_goes_on(engine, alone, monkeypatch, most: int) -> None:
    run = ModelView.run
    failures = []

    def scarce(view, flat):
        if len(flat.tokens) > most + 15:
            failures.append(len(flat.tokens))
            raise torch.OutOfMemoryError("CUDA out of memory")
        return run(view, flat)

    monkeypatch.setattr(ModelView, "run", scarce)
    prompts = [(5, 6, *range(10, 40), token) for token in range(2, 14)]
    generations = engine.submit_many([request(prompt, ignore_eos=False) for prompt in prompts])
    for prompt, generation in zip(prompts, generations, strict=True):
        assert list(generation.result(60).token_ids) == alone(KIND, prompt, 12)
    assert failures
    until(lambda: engine._worker.scheduler._limit == engine.max_batch)  # idle again: as large as ever


def test_memory_that_runs_out_while_texts_are_begun_loses_none(engine, alone, monkeypatch) -> None:
    fit, failures = Slots.fit, [torch.OutOfMemoryError("CUDA out of memory")]

    def scarce(slots: Slots, rows: int, length: int, more: tuple[int, int] = (0, 1)) -> None:
        if more[0] and failures:
            raise failures.pop()
        fit(slots, rows, length, more)

    monkeypatch.setattr(Slots, "fit", scarce)
    prompts = [(5, 6, token) for token in range(2, 6)]
    generations = engine.submit_many([request(prompt, ignore_eos=False) for prompt in prompts])
    for prompt, generation in zip(prompts, generations, strict=True):
        assert list(generation.result(10).token_ids) == alone(KIND, prompt, 12)
    assert not failures


@pytest.mark.parametrize(
    ("error", "others_fail"),
    [(torch.OutOfMemoryError("CUDA out of memory"), False), (RuntimeError("no kernel"), True)],
)
@pytest.mark.usefixtures("slow")
def test_an_error_while_a_cancelled_row_is_dropped_does_not_end_the_engine(
    engine, alone, monkeypatch, error: Exception, *, others_fail: bool
) -> None:
    def give(*_: object) -> None:
        raise error

    cancelled, other = engine.submit_many(
        [request(max_tokens=400), request((5, 6, 8), max_tokens=400, ignore_eos=False)]
    )
    until(lambda: [len(row.job.tokens) > 30 for row in engine._worker.scheduler.rows] == [True, True])
    with monkeypatch.context() as patch:
        patch.setattr(Slots, "give", give)
        cancelled.cancel()
        assert cancelled.result(10).finish_reason == "cancelled"
        until(lambda: engine.running < 2)
    if others_fail:
        with pytest.raises(DecodingError, match="no kernel"):
            other.result(10)
    else:
        other.cancel()
        assert list(other.result(10).token_ids)[:24] == alone(KIND, (5, 6, 8), 24)
    assert engine.submit(request()).result(10).usage.output_tokens == 12


def test_many_rows_give_their_memory_back_and_few_keep_it(tiny_model, tokenizer) -> None:
    with Engine(tiny_model(KIND), tokenizer, max_batch=20) as engine:
        slots = engine._worker.scheduler._slots
        for rows, kept in ((8, 8), (20, 0), (2, 8), (1, 8)):
            for generation in engine.submit_many([request((5, 6, row + 2)) for row in range(rows)]):
                generation.result(10)
            until(lambda kept=kept: slots.slots == kept)


def test_a_request_that_alone_is_too_large_fails_alone(engine, monkeypatch) -> None:
    run = ModelView.run

    def scarce(view, flat):
        if 300 in flat.tokens:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return run(view, flat)

    monkeypatch.setattr(ModelView, "run", scarce)
    bad = engine.submit(request((300,) * 40))
    with pytest.raises(DecodingError, match="Not enough memory"):
        bad.result(60)
    assert engine.submit(request()).result(60)


def test_what_closing_does(tiny_model, tokenizer) -> None:
    before = threads()
    engine = Engine(tiny_model(KIND), tokenizer, max_batch=1)
    generations = engine.submit_many([request(max_tokens=400) for _ in range(3)])
    engine.close()
    engine.close()
    assert engine.closed
    assert threads() == before
    for generation in generations:
        with pytest.raises(EngineClosedError, match="closed before the text was finished"):
            generation.result(5)
    with pytest.raises(EngineClosedError, match="make a new one"):
        engine.submit(request())


def test_an_engine_nobody_holds_ends_its_thread(tiny_model, tokenizer) -> None:
    before = threads()
    engine = Engine(tiny_model(KIND), tokenizer)
    engine.submit(request()).result()
    gone = weakref.ref(engine)
    del engine
    gc.collect()
    assert gone() is None
    assert threads() == before


def test_pickling_and_copying_say_what_to_do(engine) -> None:
    with pytest.raises(EngineClosedError, match="make one in each process"):
        pickle.dumps(engine)


def test_the_callers_model_and_tokenizer_are_not_changed(tiny_model, tokenizer) -> None:
    model = tiny_model(KIND)
    ids = torch.tensor([[5, 6, 7]])

    def state() -> tuple:
        return (
            model.config.to_dict(),
            model.config._attn_implementation,
            model.generation_config.to_dict(),
            {
                name: (parameter.data_ptr(), parameter.sum().item())
                for name, parameter in model.named_parameters()
            },
            [type(module) for module in model.modules()],
            tokenizer._tokenizer.to_str(),
            tokenizer.pad_token,
            tokenizer.padding_side,
            model(ids).logits.sum().item(),
        )

    before = state()
    with Engine(model, tokenizer) as engine:
        engine.submit(GenerationRequest(messages=HELLO, max_tokens=9)).result()
        assert state() == before
    assert state() == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_batch": 0}, "max_batch is 0; it must be at least 1"),
        ({"max_queue": 0}, "max_queue is 0"),
        ({"prefix_cache_tokens": -1}, "prefix_cache_tokens is -1"),
    ],
)
def test_options_are_checked(tiny_model, tokenizer, options: dict, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Engine(tiny_model(KIND), tokenizer, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "either messages or input_ids"),
        ({"messages": [], "input_ids": [1]}, "either messages or input_ids"),
        ({"input_ids": [1], "stop": "x"}, r"such as \('x',\)"),
        ({"input_ids": [1], "stop": [""]}, "empty string"),
        ({"input_ids": [1], "suppress": "x"}, r"suppress must be a sequence of strings, such as \('x',\)"),
        ({"input_ids": [1], "suppress": [""]}, "suppress has an empty string"),
        ({"input_ids": [1], "soft_max_tokens": 0}, "soft_max_tokens is 0; it must be at least 1"),
        ({"input_ids": [1], "max_tokens": 0}, "max_tokens is 0; it must be at least 1"),
        ({"input_ids": [1], "temperature": -1}, "temperature is -1"),
        ({"input_ids": [1], "top_p": 1.5}, "top_p is 1.5; it must be between 0 and 1"),
        ({"input_ids": [1], "top_k": -1}, "top_k is -1"),
        ({"input_ids": [1], "min_p": float("nan")}, "min_p is nan"),
        ({"input_ids": [1], "repetition_penalty": 0}, "repetition_penalty is 0"),
    ],
)
def test_requests_are_checked_before_they_are_sent(options: dict, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        GenerationRequest(**options)


def test_texts_that_do_not_fit_memory_together_wait_for_each_other(engine, alone, monkeypatch) -> None:
    scheduler = engine._worker.scheduler
    assert scheduler._room > 10_000
    # Three prompts of 10 tokens and three slots of 30.
    monkeypatch.setattr(scheduler, "_room", 3 * 10 + 3 * 30)
    run = ModelView.run
    rows = []
    monkeypatch.setattr(ModelView, "run", lambda view, flat: rows.append(len(flat.last)) or run(view, flat))
    prompts = [(*range(10, 19), token) for token in range(20, 28)]
    generations = engine.submit_many([request(prompt, max_tokens=20, ignore_eos=False) for prompt in prompts])
    for prompt, generation in zip(prompts, generations, strict=True):
        assert list(generation.result(60).token_ids) == alone(KIND, prompt, 20)
    assert max(rows) <= 4  # the three texts, and what the prompts share in a pass of its own
    huge = engine.submit(request(tuple(range(10, 300)), max_tokens=5))
    assert huge.result(60).usage.output_tokens == 5  # alone it may try
