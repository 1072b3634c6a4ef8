"""What clients and chains get from a real inference server, with eight slots and with one."""

from __future__ import annotations

import asyncio
import itertools
import logging

import openai
import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_openai import ChatOpenAI

from langchain_sot import SkeletonOfThoughtChain
from skeleton_of_thought import PROMPTS, Message, SkeletonOfThought

pytestmark = pytest.mark.server

QUESTION = "What are the benefits of learning a second language?"
COLOURS = [{"role": "user", "content": "Name three colours."}, {"role": "assistant", "content": "1. Red\n2."}]


def client(server):
    return openai.OpenAI(base_url=server.url, api_key="none", max_retries=0)


def chat(server, **options):
    return ChatOpenAI(
        model="smollm2",
        base_url=server.url,
        api_key="none",
        max_retries=0,
        temperature=0,
        stream_usage=True,
        use_responses_api=False,
        **options,
    )


def chain(server, **options):
    given = {"prompts": "partial", "max_points": 4, "point_max_tokens": 24, **options}
    return SkeletonOfThoughtChain(model=chat(server), **given)


@pytest.fixture(params=["eight_slots", "one_slot"])
def server(request):
    return request.getfixturevalue(request.param)


# What the server does.


def test_a_partial_answer_is_continued_when_streamed_and_repeated_when_not(server):
    options = {"model": "smollm2", "messages": COLOURS, "stop": ["\n"], "temperature": 0, "max_tokens": 16}
    whole = client(server).chat.completions.create(**options).choices[0].message.content
    chunks = client(server).chat.completions.create(**options, stream=True)
    streamed = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert streamed
    assert not streamed.startswith("1. Red")
    assert whole == COLOURS[-1]["content"] + streamed


def test_usage_and_the_end_are_reported(server):
    options = {"model": "smollm2", "messages": COLOURS[:1], "temperature": 0, "max_tokens": 5}
    whole = client(server).chat.completions.create(**options)
    assert (whole.usage.completion_tokens, whole.choices[0].finish_reason) == (5, "length")
    chunks = list(
        client(server).chat.completions.create(**options, stream=True, stream_options={"include_usage": True})
    )
    assert chunks[-1].usage.completion_tokens == 5
    assert chunks[0].choices[0].delta.content is None
    assert chunks[-2].choices[0].finish_reason == "length"


def test_too_long_a_prompt_is_refused_with_the_numbers(server):
    with pytest.raises(openai.BadRequestError, match="exceeds the available context size") as caught:
        client(server).chat.completions.create(
            model="smollm2", messages=[{"role": "user", "content": "word " * 9000}]
        )
    assert caught.value.type == "exceed_context_size_error"


def test_a_streamed_answer_nobody_reads_frees_its_slot(server):
    answer = client(server).chat.completions.create(
        model="smollm2",
        messages=[{"role": "user", "content": "Write a long story."}],
        max_tokens=1500,
        stream=True,
        extra_body={"ignore_eos": True},
    )
    list(itertools.islice(answer, 3))
    assert server.busy() == 1
    answer.close()
    assert server.is_idle_within(3)


# What a chain makes of it.


def test_a_chain_answers_in_points_and_counts_what_the_server_counts(server):
    answer = chain(server).invoke(QUESTION)
    sot = answer.response_metadata["sot"]
    assert sot["route"] == "sot"
    assert len(sot["points"]) >= 2
    assert all(point["status"] == "ok" for point in sot["points"])
    assert answer.usage_metadata["output_tokens"] == sot["usage"]["output_tokens"] > 0


@pytest.mark.parametrize("prompts", ["partial", "partial-examples"])
def test_a_run_makes_the_same_answer_of_repeated_partial_answers(prompts):
    """llama.cpp's whole answers begin with the partial answer; shown, every point would have its title twice."""

    def answer(*, repeated):
        run = SkeletonOfThought([Message("user", QUESTION)], PROMPTS[prompts])
        skeleton = run.start()[0]
        begun = skeleton.messages[-1].text if repeated else ""
        for request in run.done(skeleton.id, f"{begun} New jobs\n2. New friends\n3. A sharper mind"):
            begun = request.messages[-1].text if repeated else ""
            run.done(request.id, f"{begun} It opens doors.")
        return run.answer.text

    assert answer(repeated=True) == answer(repeated=False)


@pytest.mark.parametrize("streamed", [False, True])
def test_partial_answers_that_are_continued_or_repeated_go_on_being_sent(eight_slots, streamed, caplog):
    caplog.set_level(logging.INFO, "skeleton_of_thought.provider_errors")
    begun = []

    class Noting(BaseCallbackHandler):
        def on_chat_model_start(self, serialized, messages, **kwargs):
            begun.append(messages[0][-1].type == "ai")

    for _ in range(2):
        asked = chain(eight_slots, max_points=2, point_max_tokens=8)
        config = {"callbacks": [Noting()]}
        list(asked.stream(QUESTION, config)) if streamed else asked.invoke(QUESTION, config)
    assert len(begun) >= 6
    assert all(begun)
    assert "leaving it out" not in caplog.text


def test_a_streamed_answer_is_what_its_pieces_say(server):
    chunks = list(chain(server).stream(QUESTION))
    text = "".join(chunk.text for chunk in chunks)
    sot = chunks[-1].response_metadata["sot"]
    assert sot["route"] == "sot"
    assert all(point["text"] in text for point in sot["points"])
    assert len([chunk for chunk in chunks if chunk.text]) > len(sot["points"])


async def test_an_answer_nobody_reads_frees_every_slot(server):
    answer = chain(server, point_max_tokens=400).astream(QUESTION)
    async for chunk in answer:
        if chunk.text:
            break
    await answer.aclose()
    assert await asyncio.to_thread(server.is_idle_within, 5)


def test_a_question_beyond_the_context_is_an_error_that_says_so(one_slot):
    with pytest.raises(Exception, match="context size"):
        chain(one_slot).invoke("word " * 3000)
