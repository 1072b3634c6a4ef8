from __future__ import annotations

import logging
import re

import pytest
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.base.response.schema import AsyncStreamingResponse, Response, StreamingResponse
from llama_index.core.embeddings import BaseEmbedding
from llama_index.core.response_synthesizers import Accumulate

from llamaindex_sot import SkeletonOfThoughtSynthesizer, TransformersLLM
from skeleton_of_thought import Decision, PointError

from .fakes import TITLES, ChatLLM, CompletionLLM, PretendedAsyncLLM, Script, nodes

QUESTION = "How do I make good compost?"
KINDS = [ChatLLM, PretendedAsyncLLM, CompletionLLM]
ANSWER = "\n\n".join(
    f"{n}. {title}: All of this is said by source [{n}] so." for n, title in enumerate(TITLES[:3], start=1)
)


@pytest.mark.parametrize("kind", KINDS)
async def test_the_four_ways_give_the_same_answer(kind):
    whole = SkeletonOfThoughtSynthesizer(kind())
    streamed = SkeletonOfThoughtSynthesizer(kind(), streaming=True)
    sync, stream = whole.synthesize(QUESTION, nodes()), streamed.synthesize(QUESTION, nodes())
    awaited, astream = (
        await whole.asynthesize(QUESTION, nodes()),
        await streamed.asynthesize(QUESTION, nodes()),
    )
    assert [type(r) for r in (sync, stream, awaited, astream)] == [
        Response,
        StreamingResponse,
        Response,
        AsyncStreamingResponse,
    ]
    pieces = list(stream.response_gen)
    apieces = [piece async for piece in astream.async_response_gen()]
    assert len(pieces) > 3
    assert len(apieces) > 3
    for text in (str(sync), "".join(pieces), str(awaited), "".join(apieces)):
        assert text == ANSWER


@pytest.mark.parametrize("streaming", [False, True])
def test_metadata_has_the_contract_the_citations_and_the_nodes(streaming):
    response = SkeletonOfThoughtSynthesizer(ChatLLM(), streaming=streaming).synthesize(QUESTION, nodes())
    text = str(response)
    sot = response.metadata["sot"]
    assert text == ANSWER
    assert response.metadata["node-1"] == {"file": "1.md"}
    assert len(response.source_nodes) == 3
    assert sot["route"] == "sot"
    assert [point["title"] for point in sot["points"]] == TITLES[:3]
    assert all(point["status"] == "ok" for point in sot["points"])
    assert sot["citations"] == {"1": "node-1", "2": "node-2", "3": "node-3"}
    assert sot["removed_citations"] == 0
    assert sot["context"] == {"given": [1, 2, 3], "shortened": None, "left_out": []}
    assert sot["usage"]["total_tokens"] > 0
    assert sot["seconds"]["total"] >= sot["seconds"]["skeleton"]


def test_citations_of_chunks_that_were_not_given_are_removed_and_counted():
    script = Script(point="True [1], false [7], both [2, 9].")
    for streaming in (False, True):
        synthesizer = SkeletonOfThoughtSynthesizer(ChatLLM(script), streaming=streaming)
        response = synthesizer.synthesize(QUESTION, nodes())
        assert "1. Soil: True [1], false, both [2]." in str(response)
        assert response.metadata["sot"]["removed_citations"] == 6
        assert response.metadata["sot"]["citations"] == {"1": "node-1", "2": "node-2"}


@pytest.mark.parametrize("kind", [ChatLLM, CompletionLLM])
def test_the_context_is_one_prefix_of_all_requests(kind):
    llm = kind(system_prompt="Be brief.")
    SkeletonOfThoughtSynthesizer(llm).synthesize(QUESTION, nodes())
    skeleton, *points = llm.script.asked
    prefix = skeleton[: skeleton.index(QUESTION)]
    assert "system: Be brief." in prefix
    assert given(prefix) == [1, 2, 3]
    assert "[2] file: 2.md\n\nWater is what chunk 2 is about.\n\n[3]" in prefix
    assert len(points) == 3
    shared = skeleton[: skeleton.rindex("assistant:")] if kind is CompletionLLM else skeleton
    assert all(point.startswith(shared) for point in points)


def test_history_comes_before_the_question():
    llm = ChatLLM()
    history = [ChatMessage(role="user", content="Hello"), ChatMessage(role="assistant", content="Hi there")]
    SkeletonOfThoughtSynthesizer(llm).synthesize(QUESTION, nodes(), chat_history=history)
    for asked in llm.script.asked:
        assert asked.startswith("user: Hello\nassistant: Hi there\nuser: Sources")


@pytest.mark.parametrize("streaming", [False, True])
async def test_a_direct_answer_knows_the_history(streaming):
    llm = ChatLLM()
    history = [ChatMessage(role="user", content="Hello"), ChatMessage(role="assistant", content="Hi there")]
    synthesizer = SkeletonOfThoughtSynthesizer(llm, router="never", streaming=streaming)
    str(synthesizer.synthesize(QUESTION, nodes(), chat_history=history))
    response = await synthesizer.asynthesize(QUESTION, nodes(), chat_history=history)
    str(await response.get_response() if streaming else response)
    assert len(llm.script.asked) == 2
    for asked in llm.script.asked:
        assert re.search(f"user: Hello\nassistant: Hi there\n.*{re.escape(QUESTION)}", asked, re.DOTALL)


def test_numbers_an_earlier_answer_cites_are_no_citations_of_this_one():
    history = [ChatMessage(role="assistant", content="So it was said in [7].")]
    synthesizer = SkeletonOfThoughtSynthesizer(ChatLLM(Script(point="False [7].")))
    response = synthesizer.synthesize(QUESTION, nodes(), chat_history=history)
    assert "[7]" not in str(response)
    assert response.metadata["sot"]["removed_citations"] == 3


def test_further_fields_of_the_prompts_come_from_the_call():
    from llama_index.core.prompts import PromptTemplate

    llm = ChatLLM()
    synthesizer = SkeletonOfThoughtSynthesizer(llm)
    synthesizer.update_prompts(
        {"skeleton_template": PromptTemplate("{query_str} As a skeleton, for {reader}.")}
    )
    synthesizer.synthesize(QUESTION, nodes(), reader="children")
    assert f"{QUESTION} As a skeleton, for children." in llm.script.asked[0]


async def test_without_nodes_nothing_is_asked():
    llm = ChatLLM()
    synthesizer = SkeletonOfThoughtSynthesizer(llm, empty_response="Nothing found.")
    assert str(synthesizer.synthesize(QUESTION, [])) == "Nothing found."
    assert str(await synthesizer.asynthesize(QUESTION, [])) == "Nothing found."
    assert not llm.script.asked


class TopicEmbedding(BaseEmbedding):
    """One dimension per title."""

    def _vector(self, text: str) -> list[float]:
        return [float(title in text) for title in TITLES] + [0.01]

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._vector(text)

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._vector(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._vector(query)


def given(asked: str) -> list[int]:
    return [int(number) for number in re.findall(r"^\[(\d)\] ", asked, re.MULTILINE)]


async def test_per_point_context_by_similarity():
    llm = ChatLLM()
    synthesizer = SkeletonOfThoughtSynthesizer(
        llm, context="per_point", embed_model=TopicEmbedding(), chunks_per_point=1
    )
    first = synthesizer.synthesize(QUESTION, nodes(5))
    second = await synthesizer.asynthesize(QUESTION, nodes(5))
    assert str(first) == str(second) == ANSWER
    skeletons, points = llm.script.asked[::4], [a for i, a in enumerate(llm.script.asked) if i % 4]
    assert [given(asked) for asked in skeletons] == [[1, 2, 3, 4, 5]] * 2
    assert sorted(given(asked) for asked in points) == [[1], [1], [2], [2], [3], [3]]


def test_per_point_context_by_what_the_skeleton_names():
    llm = ChatLLM(Script(skeleton="1. Soil [2][4]\n2. Water\n3. Light [1] [9]", point="See [2] and [1]."))
    response = SkeletonOfThoughtSynthesizer(llm, context="per_point").synthesize(QUESTION, nodes(5))
    assert "numbers of its sources" in llm.script.asked[0]
    by_point = {re.search(r"point is (\d)", a)[1]: given(a) for a in llm.script.asked[1:]}
    assert by_point == {"1": [2, 4], "2": [1, 2, 3, 4, 5], "3": [1]}
    assert "1. Soil [2][4]: See [2] and." in str(response)
    assert "3. Light [1]: See and [1]." in str(response)
    assert response.metadata["sot"]["removed_citations"] == 3


def test_sources_as_skeleton_need_no_skeleton_request():
    llm = ChatLLM(Script(point="Said by [1]."))
    response = SkeletonOfThoughtSynthesizer(llm, skeleton="sources").synthesize(QUESTION, nodes(4))
    assert len(llm.script.asked) == 4
    assert [given(asked) for asked in sorted(llm.script.asked)] == [[1], [2], [3], [4]]
    assert "[2] Water is what chunk 2 is about [2].\n" in sorted(llm.script.asked)[1]
    assert [p["title"] for p in response.metadata["sot"]["points"]][1] == "Water is what chunk 2 is about [2]"
    assert response.metadata["sot"]["citations"] == {str(n): f"node-{n}" for n in range(1, 5)}


def test_points_made_of_sources_can_share_all_of_them():
    llm = ChatLLM(Script(point="Chunk [1], chunk [3]."))
    response = SkeletonOfThoughtSynthesizer(llm, skeleton="sources", context="shared").synthesize(
        QUESTION, nodes(3)
    )
    assert [given(asked) for asked in llm.script.asked] == [[1, 2, 3]] * 3
    assert response.metadata["sot"]["removed_citations"] == 0
    assert "2. Water is what chunk 2 is about [2]: Chunk [1], chunk [3]." in str(response)


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize(
    ("written", "quoted"),
    [
        ("[9]", ["2. Water is what chunk 2 is about [2]: [2]: “Water is what"]),
        (
            "Soil is what chunk {n} is about [{n}].",
            [
                "1. Soil is what chunk 1 is about [1]: [1]: “Soil",
                "2. Water is what chunk 2 is about [2]: Soil is what chunk 2",
            ],
        ),
    ],
    ids=["nothing", "only the title"],
)
async def test_a_source_of_which_the_model_says_nothing_new_is_quoted(written, quoted, streaming):
    llm = ChatLLM(Script(point=written))
    synthesizer = SkeletonOfThoughtSynthesizer(llm, skeleton="sources", streaming=streaming)
    first = synthesizer.synthesize(QUESTION, nodes(3))
    second = await synthesizer.asynthesize(QUESTION, nodes(3))
    again = await second.get_response() if streaming else second
    assert str(first) == str(again)
    assert len(llm.script.asked) == 6
    assert all(text in str(first) for text in quoted)


def test_chunks_that_do_not_fit_are_named(caplog):
    llm = ChatLLM(window=900)
    long = nodes(8)
    for place, source in enumerate(long, start=1):
        source.node.set_content(f"start{place} " + "word " * 120 + f"end{place}")
    with caplog.at_level(logging.WARNING):
        response = SkeletonOfThoughtSynthesizer(llm).synthesize(QUESTION, long)
    context = response.metadata["sot"]["context"]
    kept = context["given"]
    assert kept == list(range(1, len(kept) + 1))
    assert context["left_out"] == list(range(len(kept) + 1, 9))
    assert 1 < len(kept) < 8
    assert "left out" in caplog.text
    for asked in llm.script.asked:
        assert all(f"end{n}" in asked for n in kept if n != context["shortened"])
        assert f"start{len(kept) + 1}" not in asked
        assert len(asked.split()) < 900


def test_unsuitable_questions_go_to_the_fallback():
    llm = ChatLLM()
    response = SkeletonOfThoughtSynthesizer(llm, router="never").synthesize(QUESTION, nodes())
    sot = response.metadata["sot"]
    assert str(response) == "One plain answer."
    assert (sot["route"], sot["citations"], sot["points"]) == ("direct", {}, [])
    assert "Context information is below" in llm.script.asked[0]
    assert sot["usage"] == {
        "input_tokens": len(llm.script.asked[0].split()),
        "output_tokens": 3,
        "total_tokens": len(llm.script.asked[0].split()) + 3,
    }


async def test_a_failed_skeleton_goes_to_a_fallback_of_the_users_choice():
    for script in (Script(skeleton="I would rather not."), Script(skeleton="1. Only one")):
        fallback = Accumulate(llm=ChatLLM(script), use_async=False)
        for response in (
            SkeletonOfThoughtSynthesizer(ChatLLM(script), fallback=fallback).synthesize(QUESTION, nodes()),
            await SkeletonOfThoughtSynthesizer(ChatLLM(script), fallback=fallback).asynthesize(
                QUESTION, nodes()
            ),
        ):
            assert str(response).count("One plain answer.") == 3
            assert "the skeleton had" in response.metadata["sot"]["reason"]
    script = Script()
    script.failures = [RuntimeError("down"), RuntimeError("down"), None]
    response = SkeletonOfThoughtSynthesizer(ChatLLM(script)).synthesize(QUESTION, nodes())
    assert str(response) == "One plain answer."
    assert "down" in response.metadata["sot"]["reason"]


class FilteredLLM(ChatLLM):
    """Says in its last piece but one that the provider filtered the answer, as with OpenAI's usage in the stream."""

    def _response(self, text, delta=None, raw=None):
        end = {"choices": [{"finish_reason": "content_filter"}]}
        whole = (
            {**end, **(raw or {})} if delta is None else raw or (end if delta.strip() == "plain" else None)
        )
        return super()._response(text, delta, whole)


@pytest.mark.parametrize("streaming", [False, True])
async def test_a_fallbacks_filtered_answer_says_so(streaming):
    synthesizer = SkeletonOfThoughtSynthesizer(FilteredLLM(), router="never", streaming=streaming)
    first, second = (
        synthesizer.synthesize(QUESTION, nodes()),
        await synthesizer.asynthesize(QUESTION, nodes()),
    )
    assert str(first) == str(await second.get_response() if streaming else second) == "One plain answer."
    for response in (first, second):
        assert response.metadata["sot"]["finish_reason"] == "content_filter"


async def test_a_fallbacks_calls_before_one_that_failed_are_billed():
    for asynchronous in (False, True):
        llm = ChatLLM()
        llm.script.failures = [None, RuntimeError("down")]
        fallback = Accumulate(llm=llm, use_async=False)
        synthesizer = SkeletonOfThoughtSynthesizer(llm, router="never", fallback=fallback)
        response = (
            await synthesizer.asynthesize(QUESTION, nodes(2))
            if asynchronous
            else synthesizer.synthesize(QUESTION, nodes(2))
        )
        answered = [*llm.script.asked[:1], *llm.script.asked[2:]]
        assert len(answered) == 3
        assert response.metadata["sot"]["usage"]["input_tokens"] == sum(
            len(each.split()) for each in answered
        )


async def test_the_fallback_streams_too():
    synthesizer = SkeletonOfThoughtSynthesizer(ChatLLM(), router="never", streaming=True)
    assert len(list(synthesizer.synthesize(QUESTION, nodes()).response_gen)) == 3
    response = await synthesizer.asynthesize(QUESTION, nodes())
    assert len([piece async for piece in response.async_response_gen()]) == 3


def test_a_router_sees_the_question_and_the_history():
    seen = []

    class Watching:
        def route(self, messages):
            seen.append([message.text for message in messages])
            return Decision("sot", 1.0, "I say so")

        async def aroute(self, messages):
            return self.route(messages)

    history = [ChatMessage(role="user", content="Hello")]
    synthesizer = SkeletonOfThoughtSynthesizer(ChatLLM(), router=Watching())
    response = synthesizer.synthesize(QUESTION, nodes(), chat_history=history)
    assert seen == [["Hello", QUESTION]]
    assert response.metadata["sot"]["reason"] == "I say so"


def test_failed_points_follow_the_policy():
    def script() -> Script:
        written = Script()
        written.failures = [None, RuntimeError("lost"), None, None]
        return written

    answer = str(SkeletonOfThoughtSynthesizer(ChatLLM(script()), retries=1).synthesize(QUESTION, nodes()))
    assert answer == ANSWER
    marked = SkeletonOfThoughtSynthesizer(ChatLLM(script()), retries=0).synthesize(QUESTION, nodes())
    assert str(marked).count("could not be written") == 1
    with pytest.raises(PointError) as raised:
        SkeletonOfThoughtSynthesizer(ChatLLM(script()), retries=0, on_point_error="raise").synthesize(
            QUESTION, nodes()
        )
    assert [point.status for point in raised.value.answer.points].count("ok") == 2


def test_calls_carry_what_the_caller_asks_for():
    llm = ChatLLM()
    SkeletonOfThoughtSynthesizer(llm, llm_kwargs={"temperature": 0.5}, point_max_tokens=40).synthesize(
        QUESTION, nodes()
    )
    assert llm.script.kwargs[0] == {"temperature": 0.5}
    assert llm.script.kwargs[1:] == [{"temperature": 0.5, "max_tokens": 40}] * 3


class StoppingLLM(ChatLLM):
    """An LLM of OpenAI's kind, which takes four stop sequences."""

    additional_kwargs: dict = {}  # noqa: RUF012 - a pydantic field

    @classmethod
    def class_name(cls) -> str:
        return "openai_llm"


@pytest.mark.parametrize(
    ("own", "of_calls", "kept"),
    [
        ({"stop": "END"}, {}, ["END"]),
        ({"stop": ["END", "STOP"]}, {}, ["END", "STOP"]),
        ({"stop": ["END"]}, {"stop": "OVER"}, ["OVER"]),
        ({}, {"stop": ["a", "b", "c", "d"]}, ["a", "b", "c", "d"]),
    ],
)
def test_an_llms_own_stops_hold_in_every_request(own, of_calls, kept):
    llm = StoppingLLM(additional_kwargs=own)
    SkeletonOfThoughtSynthesizer(llm, prompts="partial", llm_kwargs=of_calls).synthesize(QUESTION, nodes())
    assert len(llm.script.kwargs) == 4
    for kwargs in llm.script.kwargs:
        assert kwargs["stop"][: len(kept)] == kept
        assert len(kwargs["stop"]) <= 4


def test_local_llms_may_repeat_their_sources():
    from llamaindex_sot.model_defaults import sampling

    greedy = {"temperature": 0.0}
    assert sampling(TransformersLLM(), retelling=False) == {"repetition_penalty": 1.0}
    assert sampling(TransformersLLM(), retelling=True) == {"repetition_penalty": 1.0, **greedy}
    assert sampling(TransformersLLM(repetition_penalty=1.2), retelling=True) == greedy
    assert sampling(TransformersLLM(temperature=0.5), retelling=True) == {"repetition_penalty": 1.0}
    assert sampling(ChatLLM(), retelling=True) == {}
