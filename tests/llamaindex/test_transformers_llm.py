"""The local LLM, on the packaged model."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage, ImageBlock, TextBlock
from llama_index.core.callbacks import CallbackManager, TokenCountingHandler
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events.llm import LLMChatEndEvent
from llama_index_instrumentation import get_dispatcher

from llamaindex_sot import SkeletonOfThoughtSynthesizer, TransformersLLM
from skeleton_of_thought import ConfigurationError, Options

from .fakes import nodes

CAPITAL = "What is the capital of France? Answer in one short sentence."


@pytest.fixture(scope="module")
def llm() -> TransformersLLM:
    return TransformersLLM(max_tokens=12, temperature=0)


def messages(text: str = CAPITAL) -> list[ChatMessage]:
    return [ChatMessage(role="user", content=text)]


async def test_every_method_writes_the_same(llm):
    text = llm.chat(messages()).message.content
    assert "Paris" in text
    streamed = list(llm.stream_chat(messages()))
    astreamed = [piece async for piece in await llm.astream_chat(messages())]
    for pieces in (streamed, astreamed):
        assert "".join(piece.delta for piece in pieces) == text
        assert pieces[-1].message.content == text
        assert len(pieces) > 2
    assert (await llm.achat(messages())).message.content == text
    assert llm.complete(CAPITAL).text == text
    assert (await llm.acomplete(CAPITAL)).text == text
    assert list(llm.stream_complete(CAPITAL))[-1].text == text
    assert [piece async for piece in await llm.astream_complete(CAPITAL)][-1].text == text


def test_limits_and_stops_of_a_call_are_kept(llm):
    short = llm.chat(messages(), max_tokens=3)
    assert short.raw["usage"]["completion_tokens"] == 3
    assert short.raw["finish_reason"] == "length"
    stopped = llm.chat(messages(), stop=["France"])
    assert "France" not in stopped.message.content
    assert stopped.raw["finish_reason"] == "stop"
    with pytest.raises(ConfigurationError, match="no option max_token;"):
        llm.chat(messages(), max_token=3)


def test_an_unfinished_answer_is_continued(llm):
    begun = [*messages(), ChatMessage(role="assistant", content="The capital of France is")]
    assert llm.chat(begun).message.content.strip().startswith("Paris")


def test_a_formatted_prompt_is_taken_as_it_is(llm):
    raw = "<|im_start|>user\nSay hello.<|im_end|>\n<|im_start|>assistant\nThe capital of France is"
    assert llm.complete(raw, formatted=True).text.strip().startswith("Paris")


def test_metadata_and_token_counts(llm):
    assert llm.metadata.context_window == 8192
    assert llm.metadata.num_output == 12
    assert llm.metadata.is_chat_model
    counter = TokenCountingHandler()
    counting = TransformersLLM(max_tokens=5, callback_manager=CallbackManager([counter]))
    counting.chat(messages())
    list(counting.stream_chat(messages()))
    prompt = len(llm.engine.encode([{"role": "user", "content": CAPITAL}]))
    assert counter.prompt_llm_token_count == 2 * prompt
    assert counter.completion_llm_token_count == 10


def test_only_text_is_read(llm):
    with pytest.raises(ConfigurationError, match="role 'tool'"):
        llm.chat([ChatMessage(role="tool", content="42")])
    with pytest.raises(ConfigurationError, match="image"):
        llm.chat(
            [
                ChatMessage(
                    role="user",
                    blocks=[TextBlock(text="Look"), ImageBlock(image=b"x", image_mimetype="image/png")],
                )
            ]
        )


def test_instances_share_an_engine_and_one_can_be_given(llm):
    assert TransformersLLM().engine is llm.engine
    assert (
        TransformersLLM.from_engine(llm.engine, model="mine", max_tokens=3).chat(messages()).raw["model"]
        == "mine"
    )


class Bills(BaseEventHandler):
    seen: list[tuple[str, int, int]] = []  # noqa: RUF012 - a pydantic field

    @classmethod
    def class_name(cls) -> str:
        return "Bills"

    def handle(self, event: Any, **_: Any) -> None:
        if isinstance(event, LLMChatEndEvent):
            usage = event.response.raw["usage"]
            read = usage["prompt_tokens_details"]["cached_tokens"]
            self.seen.append((event.tags["sot_request"], usage["prompt_tokens"], read))


@pytest.fixture
def bills():
    bills = Bills(seen=[])
    get_dispatcher().add_event_handler(bills)
    yield bills.seen
    get_dispatcher().event_handlers.remove(bills)


def synthesizer(longest: int = 12, **options: Any) -> SkeletonOfThoughtSynthesizer:
    llm = TransformersLLM(temperature=0, max_tokens=longest)
    return SkeletonOfThoughtSynthesizer(llm, **{"router": "always", "point_max_tokens": longest, **options})


QUESTIONS = (  # the small model does not write a list every time
    "What helps a garden?",
    "What are the steps of making a garden?",
    "How do I keep a garden healthy?",
)


def test_the_context_is_read_once(bills):
    for question in QUESTIONS:
        bills.clear()
        synthesizer(skeleton="model").synthesize(question, nodes(8))
        if len(bills) > len(("skeleton", "direct")):
            break
    (_, skeleton, _), *points = sorted(bills, key=lambda bill: bill[0] != "skeleton")
    assert skeleton > 150
    assert len(points) >= 2
    for _, prompt, cached in points:
        assert cached >= skeleton - 5
        assert prompt - cached < 150  # the skeleton of up to 72 tokens, and the request for the point


def test_a_context_all_points_share_is_read_once_without_a_skeleton_request_too(bills):
    synthesizer(context="shared").synthesize("What keeps a garden alive?", nodes(8))
    assert len(bills) == 8
    assert all(request.startswith("point") for request, *_ in bills), bills
    context = min(prompt for _, prompt, _ in bills) - 100
    assert sum(prompt - cached for _, prompt, cached in bills) < context + 8 * 100


def test_the_packaged_model_is_not_asked_for_a_skeleton_unless_something_needs_one(bills):
    synthesizer().synthesize("What keeps a garden alive?", nodes(3))
    assert len(bills) == 3
    for options in ({"skeleton": "model"}, {"prompts": "partial"}, {"options": Options(points_per_call=2)}):
        bills.clear()
        synthesizer(**options).synthesize("What keeps a garden alive?", nodes(3))
        assert "skeleton" in {request for request, *_ in bills}, options


async def test_two_questions_at_once_share_batches(bills):
    rows: list[int] = []

    async def watch() -> None:
        while True:
            rows.append(TransformersLLM().engine.running)
            await asyncio.sleep(0.002)

    watching = asyncio.create_task(watch())
    both = synthesizer(32), synthesizer(32)
    for question in QUESTIONS:
        bills.clear()
        rows.clear()
        await asyncio.gather(*(each.asynthesize(question, nodes(8)) for each in both))
        points = len(bills) // 2 - 1
        if points >= 2:
            break
    watching.cancel()
    assert points >= 2
    assert max(rows) > points  # more than one question has
