"""ChatTransformers: everything LangChain does around a chat model works, and underneath is one batch."""

from __future__ import annotations

import asyncio
import math
import pickle
import threading
import time
from typing import Any

import pytest
import torch
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import BaseCallbackHandler, UsageMetadataCallbackHandler
from langchain_core.exceptions import ContextOverflowError as LangChainContextOverflowError
from langchain_core.exceptions import ModelTimeoutError
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.rate_limiters import InMemoryRateLimiter
from pydantic import ValidationError
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from langchain_sot import ChatTransformers
from langchain_sot.local_messages import conversation_of
from skeleton_of_thought.decoding import Engine
from skeleton_of_thought.decoding.view import ModelView
from skeleton_of_thought.errors import ConfigurationError, ContextOverflowError, EngineClosedError

TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
QUESTIONS = [f"question {number}" for number in range(10)]


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<|im_start|>", "<|im_end|>"],
        show_progress=False,
    )
    backend.train_from_iterator([], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<|im_end|>", chat_template=TEMPLATE)


@pytest.fixture(scope="module")
def engine(tokenizer: PreTrainedTokenizerFast) -> Engine:
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=258,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=256,
            bos_token_id=None,
            eos_token_id=1,
            pad_token_id=None,
        )
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)
        model.lm_head.weight[1] = 0  # the end of sequence comes rarely
    with Engine(model, tokenizer, max_batch=16) as engine:
        yield engine


@pytest.fixture
def chat(engine: Engine) -> ChatTransformers:
    return ChatTransformers.from_engine(engine, model="tiny", max_tokens=12)


@pytest.fixture
def batches(monkeypatch) -> list[int]:
    """How many texts each pass through the model carried."""
    seen: list[int] = []
    run = ModelView.run
    monkeypatch.setattr(ModelView, "run", lambda view, flat: seen.append(len(flat.last)) or run(view, flat))
    return seen


class Ends(BaseCallbackHandler):
    def __init__(self) -> None:
        self.starts: list[tuple[str, ...]] = []
        self.tokens: list[str] = []
        self.ends = 0
        self.errors = 0

    def on_chat_model_start(self, serialized, messages, *, tags=None, **_) -> None:
        self.starts.append(tuple(tags or ()))

    def on_llm_new_token(self, token, **_) -> None:
        self.tokens.append(token)

    def on_llm_end(self, response, **_) -> None:
        self.ends += 1

    def on_llm_error(self, error, **_) -> None:
        self.errors += 1


def texts(messages: list[AIMessage]) -> list[str]:
    return [message.text for message in messages]


async def test_abatch_batch_and_streams_are_one_batch_and_agree(chat, batches) -> None:
    alone = [chat.invoke(question).text for question in QUESTIONS]
    assert max(batches) == 1
    assert len(set(alone)) > 5

    batches.clear()
    assert texts(await chat.abatch(QUESTIONS)) == alone
    assert max(batches) == 10
    assert len(batches) < 2 * 12, "fewer steps than of two batches, one after the other"

    batches.clear()
    assert texts(chat.batch(QUESTIONS)) == alone
    assert max(batches) == 10  # and not the default executor's cpu + 4

    async def stream(question: str) -> str:
        return "".join([chunk.text async for chunk in chat.astream(question)])

    batches.clear()
    assert await asyncio.gather(*map(stream, QUESTIONS)) == alone
    assert max(batches) == 10

    batches.clear()
    found: dict[str, str] = {}
    workers = [
        threading.Thread(target=lambda q=q: found.update({q: "".join(c.text for c in chat.stream(q))}))
        for q in QUESTIONS
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [found[question] for question in QUESTIONS] == alone
    assert max(batches) > 5


async def test_batching_goes_on_underneath_events_and_handlers(chat, batches) -> None:
    handler = Ends()
    usage = UsageMetadataCallbackHandler()
    events = [
        event
        async for event in (chat | (lambda message: message.text)).astream_events(
            QUESTIONS[0], version="v2", config={"callbacks": [handler, usage]}
        )
    ]
    assert any(event["event"] == "on_chat_model_stream" for event in events)
    configs = [{"callbacks": [handler, usage], "tags": [f"input:{index}"]} for index in range(10)]
    batches.clear()
    await chat.abatch(QUESTIONS, configs)
    assert max(batches) == 10
    assert sorted(handler.starts) == sorted(
        [*handler.starts[:1], *((f"input:{index}",) for index in range(10))]
    )
    assert handler.ends == 11
    assert usage.usage_metadata["tiny"]["output_tokens"] > 11


def test_a_large_batch_keeps_its_order_and_the_engines_rows_full(chat, engine, monkeypatch) -> None:
    run, asked, rows = ModelView.run, [], []

    def seen(view: ModelView, flat: Any) -> Any:
        asked.append(engine.running + engine.queued)
        rows.append(len(flat.last))
        return run(view, flat)

    monkeypatch.setattr(ModelView, "run", seen)
    questions = [f"question {number}" for number in range(150)]
    answers = texts(chat.batch(questions, max_tokens=5))
    assert max(rows) >= engine.max_batch
    assert max(asked) <= 2 * engine.max_batch
    assert answers == texts(chat.batch(questions, {"max_concurrency": 20}, max_tokens=5))


async def test_concurrency_limits_are_kept(chat, batches) -> None:
    chat.batch(QUESTIONS, {"max_concurrency": 3})
    assert max(batches) <= 3
    batches.clear()
    await chat.abatch(QUESTIONS, {"max_concurrency": 2})
    assert max(batches) <= 2


async def test_as_completed_and_exceptions(chat) -> None:
    alone = [chat.invoke(question).text for question in QUESTIONS[:3]]
    inputs = [*QUESTIONS[:3], "x" * 300]
    for outcomes in (
        chat.batch(inputs, return_exceptions=True),
        await chat.abatch(inputs, return_exceptions=True),
        [
            outcome
            for _, outcome in sorted(
                chat.batch_as_completed(inputs, return_exceptions=True), key=lambda o: o[0]
            )
        ],
        [
            outcome
            for _, outcome in sorted(
                [each async for each in chat.abatch_as_completed(inputs, return_exceptions=True)],
                key=lambda o: o[0],
            )
        ],
    ):
        assert texts(outcomes[:3]) == alone
        assert isinstance(outcomes[3], ContextOverflowError)
    with pytest.raises(ContextOverflowError):
        chat.batch(inputs)
    assert chat.batch([]) == []


async def test_retry_and_fallbacks(chat) -> None:
    alone = [chat.invoke(question).text for question in QUESTIONS[:3]]
    assert texts(await chat.with_retry().abatch(QUESTIONS[:3])) == alone
    narrow = ChatTransformers.from_engine(chat.engine, model="narrow", max_tokens=255)
    both = narrow.with_fallbacks([chat])
    assert texts(await both.abatch(QUESTIONS[:3])) == alone
    assert both.invoke(QUESTIONS[0]).response_metadata["model_name"] == "tiny"


def test_cache_keys_hold_every_option(engine, batches) -> None:
    cache = InMemoryCache()

    def ask(**options) -> AIMessage:
        return ChatTransformers.from_engine(
            engine, model="tiny", cache=cache, max_tokens=5, **options
        ).invoke("hi")

    first = ask()
    batches.clear()
    assert ask().text == first.text
    assert batches == []
    for options in (
        {"temperature": 0.1},
        {"top_p": 0.5},
        {"top_k": 3},
        {"seed": 1},
        {"min_p": 0.1},
        {"stop": ["q"]},
    ):
        batches.clear()
        ask(**options)
        assert batches, options
    assert len(cache._cache) == 7


def test_rate_limiter(engine) -> None:
    class Counting(InMemoryRateLimiter):
        count = 0

        def acquire(self, *, blocking: bool = True) -> bool:
            type(self).count += 1
            return super().acquire(blocking=blocking)

    limiter = Counting(requests_per_second=1000, check_every_n_seconds=0.001, max_bucket_size=10)
    chat = ChatTransformers.from_engine(engine, model="tiny", max_tokens=2, rate_limiter=limiter)
    chat.batch(QUESTIONS[:4])
    assert Counting.count == 4


def test_metadata_and_usage(chat) -> None:
    first = chat.invoke("the same question")
    again = chat.invoke("the same question")
    assert first.response_metadata == {"model_name": "tiny", "finish_reason": "length"}
    usage = again.usage_metadata
    prompt = chat.get_num_tokens_from_messages([HumanMessage("the same question")])
    assert usage["input_tokens"] == prompt
    assert usage["output_tokens"] == 12
    assert usage["total_tokens"] == prompt + 12
    assert usage["input_token_details"] == {"cache_read": prompt - 1}
    whole = None
    for chunk in chat.stream("the same question"):
        whole = chunk if whole is None else whole + chunk
    assert whole.text == first.text
    assert (whole.usage_metadata, whole.response_metadata) == (usage, first.response_metadata)
    assert chat.get_token_ids("abc") == chat.engine.tokenizer.encode("abc")


def test_a_partial_answer_is_continued(chat, tokenizer) -> None:
    conversation = [SystemMessage("s"), HumanMessage("q"), AIMessage("1. **Time")]
    ids = tokenizer.apply_chat_template(
        [{"role": r, "content": c} for r, c in (("system", "s"), ("user", "q"), ("assistant", "1. **Time"))],
        continue_final_message=True,
        return_dict=False,
    )
    assert chat.get_num_tokens_from_messages(conversation) == len(ids)
    assert chat.invoke(conversation).usage_metadata["input_tokens"] == len(ids)
    finished = chat.get_num_tokens_from_messages([*conversation[:2], AIMessage("")])
    assert finished == chat.get_num_tokens_from_messages(conversation[:2])


def test_stop_sequences_of_the_model_and_of_the_call(chat, engine) -> None:
    text = chat.invoke("q").text
    early, late = text[2:4], text[6:8]
    stopping = ChatTransformers.from_engine(engine, model="tiny", max_tokens=12, stop=[late])
    assert stopping.invoke("q").text == text[: text.index(late)]
    message = stopping.invoke("q", stop=[early])
    assert message.text == text[: text.index(early)]
    assert message.response_metadata["finish_reason"] == "stop"
    assert "".join(chunk.text for chunk in stopping.bind(stop=[early]).stream("q")) == message.text
    # One by itself, as APIs take it, is not taken letter by letter.
    assert chat.invoke("q", stop=early).text == message.text
    assert chat.invoke("q", stop=text[0] + "\ue000").text == text


async def test_a_long_prompt_is_encoded_beside_the_event_loop(engine, monkeypatch) -> None:
    seen = []
    encode = engine.encode
    monkeypatch.setattr(
        engine, "encode", lambda *a, **k: seen.append(threading.current_thread()) or encode(*a, **k)
    )
    chat = ChatTransformers.from_engine(engine, model="tiny", max_tokens=5)
    with pytest.raises(ContextOverflowError):
        await chat.ainvoke("x" * 30_000)
    assert seen[0] is not threading.main_thread()
    assert (await chat.ainvoke([HumanMessage("q"), AIMessage("so")])).text == chat.invoke(
        [HumanMessage("q"), AIMessage("so")]
    ).text


def test_options_of_a_call(chat) -> None:
    assert chat.invoke("q", max_tokens=3).usage_metadata["output_tokens"] == 3
    drawn = {chat.invoke("q", temperature=1.5, seed=seed).text for seed in range(5)}
    assert len(drawn) == 5
    assert chat.invoke("q", temperature=1.5, seed=3).text in drawn
    with pytest.raises(
        ConfigurationError, match="no option temprature; a call takes model, stop, temperature"
    ):
        chat.invoke("q", temprature=1)
    with pytest.raises(ConfigurationError, match="top_p is 2"):
        chat.invoke("q", top_p=2)


def test_sampling_defaults_come_from_the_generation_config(tokenizer, engine) -> None:
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(vocab_size=258, hidden_size=32, intermediate_size=64, num_hidden_layers=1)
    )
    model.generation_config = GenerationConfig(do_sample=True, temperature=5.0, eos_token_id=1)
    with Engine(model, tokenizer) as sampling:
        chat = ChatTransformers.from_engine(sampling, model="tiny", max_tokens=12)
        assert len({chat.invoke("q").text for _ in range(3)}) == 3
        assert len({chat.invoke("q", temperature=0).text for _ in range(3)}) == 1


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        (HumanMessage([{"type": "image_url", "image_url": {"url": "x"}}]), "block of type 'image_url'"),
        (HumanMessage([{"type": "audio", "base64": "x"}]), "block of type 'audio'"),
        (ToolMessage("4", tool_call_id="1"), "not ToolMessage"),
        (AIMessage("", tool_calls=[{"name": "add", "args": {}, "id": "1"}]), "does not call tools"),
    ],
)
def test_what_it_cannot_read_is_refused(chat, message, complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        chat.invoke([message, HumanMessage("q")])


def test_text_blocks_are_text(chat) -> None:
    blocks = HumanMessage([{"type": "text", "text": "question"}, " 1"])
    assert chat.invoke([blocks]).text == chat.invoke("question 1").text


def test_a_context_that_does_not_fit_is_both_libraries_error(chat) -> None:
    with pytest.raises(
        LangChainContextOverflowError, match=r"prompt has 3\d\d tokens and max_tokens is 12.*holds 256"
    ):
        chat.invoke("x" * 300)
    with pytest.raises(ContextOverflowError):
        list(chat.stream("x" * 300))


@pytest.fixture
def slow(monkeypatch) -> None:
    run = ModelView.run
    monkeypatch.setattr(ModelView, "run", lambda view, flat: time.sleep(0.01) or run(view, flat))


@pytest.mark.usefixtures("slow")
async def test_timeouts(engine) -> None:
    chat = ChatTransformers.from_engine(engine, model="tiny", max_tokens=200, timeout=0.05)
    with pytest.raises(ModelTimeoutError, match=r"timeout=0\.05 seconds"):
        chat.invoke("q")
    with pytest.raises(ModelTimeoutError):
        await chat.ainvoke("q")
    with pytest.raises(ModelTimeoutError):
        list(chat.stream("q"))
    with pytest.raises(ModelTimeoutError):
        async for _ in chat.astream("q"):
            pass
    await settled(engine)


async def test_an_answer_of_which_nothing_comes_is_not_waited_for(engine, monkeypatch) -> None:
    run, over = ModelView.run, threading.Event()
    monkeypatch.setattr(ModelView, "run", lambda view, flat: (over.wait(2), run(view, flat))[1])
    chat = ChatTransformers.from_engine(engine, model="tiny", max_tokens=12, timeout=0.01)
    try:
        with pytest.raises(ModelTimeoutError):
            next(chat.stream("q"))
        with pytest.raises(ModelTimeoutError):
            await anext(chat.astream("q"))
    finally:
        over.set()
    await settled(engine)


async def test_an_answer_that_is_there_in_time_is_given_however_late_it_is_read(engine, monkeypatch) -> None:
    chat = ChatTransformers.from_engine(engine, model="tiny", max_tokens=12, timeout=60)
    alone, clock = chat.invoke("q").text, time.monotonic
    stream, astream = chat.stream("q"), chat.astream("q")
    read = [next(stream).text]
    aread = [(await anext(astream)).text]
    await settled(engine)
    monkeypatch.setattr(time, "monotonic", lambda: clock() + 3600)
    assert "".join(read + [chunk.text for chunk in stream]) == alone
    assert "".join(aread + [chunk.text async for chunk in astream]) == alone


async def settled(engine: Engine) -> None:
    await reached(engine, 0)


async def reached(engine: Engine, running: int) -> None:
    async with asyncio.timeout(20):
        while engine.running != running:  # noqa: ASYNC110 (the engine has no event to wait for)
            await asyncio.sleep(0.001)


@pytest.mark.usefixtures("slow")
async def test_what_nobody_waits_for_any_more_stops(engine) -> None:
    chat = ChatTransformers.from_engine(engine, model="tiny", max_tokens=200)
    task = asyncio.create_task(chat.abatch(QUESTIONS))
    await reached(engine, 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await settled(engine)
    stream: Any = chat.astream("q")
    await anext(stream)
    assert engine.running == 1
    await stream.aclose()
    await settled(engine)
    pieces: Any = chat.stream("q")
    next(pieces)
    pieces.close()
    await settled(engine)


def test_construction() -> None:
    with pytest.raises(ValidationError, match="temprature"):
        ChatTransformers(temprature=0)  # type: ignore[call-arg]
    with pytest.raises(ValidationError, match="max_tokens"):
        ChatTransformers(max_tokens=0)
    for timeout in (0, math.inf, math.nan, 1e300):
        with pytest.raises(ValidationError, match="timeout"):
            ChatTransformers(timeout=timeout)
    remote: dict[str, Any] = {"api_key": "k", "max_retries": 2}
    chat = ChatTransformers(**remote)  # means nothing here, and is not an error
    assert pickle.loads(pickle.dumps(chat)) == chat
    assert chat.configurable_fields is not None
    with pytest.raises(NotImplementedError):
        chat.bind_tools([])


def test_instances_of_one_model_share_an_engine_and_pickling_one_with_its_own_says_so(chat) -> None:
    first, second = ChatTransformers(temperature=0.5), ChatTransformers(max_tokens=3)
    assert first.engine is second.engine
    assert first.engine is not chat.engine
    with pytest.raises(EngineClosedError, match="cannot be pickled"):
        pickle.dumps(chat)


def test_a_conversation_with_thoughts_of_another_model_is_continued():
    thought = {"type": "thinking", "thinking": "Paris it is.", "signature": "x"}
    said = AIMessage([thought, {"type": "text", "text": "Paris."}])
    conversation, _ = conversation_of(
        [HumanMessage("What is the capital of France?"), said, HumanMessage("And?")]
    )
    assert [message["content"] for message in conversation] == [
        "What is the capital of France?",
        "Paris.",
        "And?",
    ]
