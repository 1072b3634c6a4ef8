"""What LlamaIndex's LLMs and our synthesizer get from a real inference server."""

from __future__ import annotations

import asyncio
import itertools
import time

import pytest
from langchain_openai import ChatOpenAI
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.schema import NodeWithScore, TextNode

from llamaindex_sot import LangChainLLM, SkeletonOfThoughtSynthesizer
from llamaindex_sot.llms.client_llm import ClientLLM
from skeleton_of_thought.clients import open_client

pytestmark = pytest.mark.server

STORY = [ChatMessage(content="Write a very long story.")]
QUESTION = "What are the benefits of learning a second language?"
NODES = [
    NodeWithScore(node=TextNode(text="People who speak two languages find work in more places."), score=1.0),
    NodeWithScore(node=TextNode(text="A second language makes it easier to make friends abroad."), score=0.9),
]


def through_the_sdk(server):
    return ClientLLM(open_client("openai:smollm2", base_url=server.url))


def through_langchain(server):
    return LangChainLLM(
        ChatOpenAI(
            model="smollm2",
            base_url=server.url,
            api_key="none",
            max_retries=0,
            stream_usage=True,
            use_responses_api=False,
        )
    )


def openai_like(server):
    module = pytest.importorskip("llama_index.llms.openai_like")
    return module.OpenAILike(
        model="smollm2", api_base=server.url, api_key="none", is_chat_model=True, max_retries=0
    )


@pytest.fixture(params=[through_the_sdk, through_langchain, openai_like], ids=lambda make: make.__name__)
def llm(request, eight_slots):
    return request.param(eight_slots)


def written(response):
    """Tokens of the answer, as the server counted them."""
    usage = response.raw["usage"] if isinstance(response.raw, dict) else response.raw.usage
    return usage["completion_tokens"] if isinstance(usage, dict) else usage.completion_tokens


def test_a_whole_answer_and_a_streamed_one_keep_their_limit(llm):
    whole = llm.chat(STORY, max_tokens=5)
    assert written(whole) == 5
    pieces = list(llm.stream_chat(STORY, max_tokens=5))
    text = "".join(piece.delta or "" for piece in pieces)
    assert text
    assert pieces[-1].message.content == text
    assert 1 < len([piece for piece in pieces if piece.delta]) <= 5


async def test_the_same_with_asyncio(llm):
    whole = await llm.achat(STORY, max_tokens=5)
    pieces = [piece async for piece in await llm.astream_chat(STORY, max_tokens=5)]
    assert whole.message.content
    assert pieces[-1].message.content == "".join(piece.delta or "" for piece in pieces)


@pytest.mark.parametrize("streamed", [False, True])
def test_stop_sequences_end_an_answer_and_are_no_part_of_it(llm, streamed):
    asked = [
        ChatMessage(content="Write the alphabet: A, B, C, D, E, F, G"),
        ChatMessage(role="assistant", content="A, B,"),
    ]
    options = {"stop": ["F"], "max_tokens": 40}
    if streamed:
        text = "".join(piece.delta or "" for piece in llm.stream_chat(asked, **options))
    else:
        text = llm.chat(asked, **options).message.content
    assert "E" in text
    assert "F" not in text


@pytest.mark.parametrize("streamed", [False, True])
def test_too_long_a_prompt_is_an_error_that_says_so(llm, streamed):
    question = [ChatMessage(content="word " * 9000)]
    with pytest.raises(Exception, match="exceeds the available context size"):
        list(llm.stream_chat(question)) if streamed else llm.chat(question)


# LlamaIndex's own LLM hangs up when its generator is collected, ours when it is closed.
@pytest.mark.parametrize("ours", [through_the_sdk, through_langchain])
def test_a_streamed_answer_nobody_reads_frees_its_slot(ours, eight_slots):
    answer = ours(eight_slots).stream_chat(STORY, max_tokens=1500)
    list(itertools.islice(answer, 3))
    assert eight_slots.busy() == 1
    answer.close()
    assert eight_slots.is_idle_within(3)


@pytest.mark.parametrize("ours", [through_the_sdk, through_langchain])
async def test_the_same_with_asyncio_frees_its_slot(ours, eight_slots):
    answer = await ours(eight_slots).astream_chat(STORY, max_tokens=1500)
    async for piece in answer:
        if piece.delta:
            break
    await answer.aclose()
    assert await asyncio.to_thread(eight_slots.is_idle_within, 3)


@pytest.mark.parametrize("streaming", [False, True])
def test_a_synthesizer_answers_in_points(llm, streaming):
    synthesizer = SkeletonOfThoughtSynthesizer(
        llm,
        router="always",
        prompts="partial",
        skeleton="sources",
        point_max_tokens=12,
        streaming=streaming,
    )
    response = synthesizer.synthesize(QUESTION, NODES)
    text = "".join(response.response_gen) if streaming else str(response)
    sot = response.metadata["sot"]
    assert sot["route"] == "sot"
    assert [point["status"] for point in sot["points"]] == ["ok", "ok"]
    assert all(point["text"] in text for point in sot["points"])


def test_a_synthesizers_answer_nobody_reads_frees_every_slot(llm, eight_slots):
    synthesizer = SkeletonOfThoughtSynthesizer(
        llm, router="always", prompts="partial", skeleton="sources", point_max_tokens=600, streaming=True
    )
    answer = synthesizer.synthesize(QUESTION, NODES).response_gen
    next(answer)
    until = time.monotonic() + 10
    while eight_slots.busy() < len(NODES) and time.monotonic() < until:
        time.sleep(0.01)
    assert eight_slots.busy() == len(NODES)
    answer.close()
    assert eight_slots.is_idle_within(5)
