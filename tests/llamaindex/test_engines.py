from __future__ import annotations

import pytest
from llama_index.core import MockEmbedding, VectorStoreIndex
from llama_index.core.base.response.schema import AsyncStreamingResponse, StreamingResponse
from llama_index.core.chat_engine import CondenseQuestionChatEngine
from llama_index.core.query_engine import (
    CitationQueryEngine,
    RetrieverQueryEngine,
    RouterQueryEngine,
    SubQuestionQueryEngine,
)
from llama_index.core.question_gen.types import BaseQuestionGenerator, SubQuestion
from llama_index.core.retrievers import BaseRetriever
from llama_index.core.tools import QueryEngineTool
from pydantic import BaseModel

from llamaindex_sot import (
    SkeletonOfThoughtQueryEngine,
    SkeletonOfThoughtSelector,
    SkeletonOfThoughtSynthesizer,
)
from skeleton_of_thought import ConfigurationError

from .fakes import ChatLLM, CompletionLLM, PretendedAsyncLLM, Script, memory, nodes

LISTED = "What are the main causes of traffic jams, and how can a city reduce them?"
PLAIN = "What is 17 * 23?"


class Shelf(BaseRetriever):
    def _retrieve(self, query_bundle):
        return nodes(5)


async def test_a_retriever_query_engine():
    synthesizer = SkeletonOfThoughtSynthesizer(ChatLLM())
    engine = RetrieverQueryEngine(Shelf(), response_synthesizer=synthesizer)
    response, again = engine.query(LISTED), await engine.aquery(LISTED)
    assert str(response) == str(again)
    assert response.metadata["sot"]["citations"] == {"1": "node-1", "2": "node-2", "3": "node-3"}
    assert len(response.source_nodes) == 5


async def test_a_router_query_engine():
    def tool(words: str) -> QueryEngineTool:
        llm = ChatLLM(Script(point=words))
        return QueryEngineTool.from_defaults(
            SkeletonOfThoughtQueryEngine(llm, router="always"), name=words, description=words
        )

    engine = RouterQueryEngine(SkeletonOfThoughtSelector(), [tool("listed"), tool("plain")], llm=ChatLLM())
    for question, words in ((LISTED, "listed"), (PLAIN, "plain")):
        for response in (engine.query(question), await engine.aquery(question)):
            assert f"1. Soil: {words}" in str(response)
            assert response.metadata["selector_result"].reason


def test_a_selector_knows_its_places():
    swapped = SkeletonOfThoughtSelector("always", sot=2, direct=0)
    assert swapped.select(["a", "b", "c"], LISTED).ind == 2
    with pytest.raises(ConfigurationError, match="There are 2 tools"):
        swapped.select(["a", "b"], LISTED)
    with pytest.raises(ConfigurationError, match="two different places"):
        SkeletonOfThoughtSelector(sot=1, direct=1)
    with pytest.raises(ConfigurationError, match="asks no model"):
        swapped.update_prompts({"x": None})


@pytest.mark.parametrize("kind", [ChatLLM, PretendedAsyncLLM, CompletionLLM])
async def test_the_query_engine(kind):
    engine = SkeletonOfThoughtQueryEngine(kind())
    streaming = SkeletonOfThoughtQueryEngine(kind(), streaming=True)
    response = engine.query(LISTED)
    text = str(response)
    stream, astream = streaming.query(LISTED), await streaming.aquery(LISTED)
    assert isinstance(stream, StreamingResponse)
    assert isinstance(astream, AsyncStreamingResponse)
    assert text.startswith("1. Soil: All of this")
    assert text == str(await engine.aquery(LISTED)) == "".join(stream.response_gen)
    assert text == "".join([piece async for piece in astream.async_response_gen()])
    for each in (response, stream, astream):
        assert each.metadata["sot"]["route"] == "sot"
        assert len(each.metadata["sot"]["points"]) == 3


def test_the_query_engine_answers_unsuitable_questions_plainly():
    llm = ChatLLM()
    response = SkeletonOfThoughtQueryEngine(llm, router="lexical").query(PLAIN)
    assert str(response) == "One plain answer."
    assert llm.script.asked == [f"user: {PLAIN}"]
    assert response.metadata["sot"]["route"] == "direct"
    assert response.metadata["sot"]["usage"]["output_tokens"] == 3


def test_the_query_engine_shows_its_prompts():
    engine = SkeletonOfThoughtQueryEngine(ChatLLM())
    assert sorted(engine.get_prompts()) == ["point_template", "skeleton_template"]
    with pytest.raises(ConfigurationError, match="'skeleton_template', 'point_template'"):
        engine.update_prompts({"context_template": engine.get_prompts()["point_template"]})


@pytest.mark.parametrize("streaming", [False, True])
async def test_where_no_node_is_found_the_metadata_say_so(streaming):
    synthesizer = SkeletonOfThoughtSynthesizer(ChatLLM(), streaming=streaming)
    for response in (synthesizer.synthesize(LISTED, []), await synthesizer.asynthesize(LISTED, [])):
        sot = response.metadata["sot"]
        assert (sot["route"], sot["reason"], sot["citations"]) == ("direct", "no node was retrieved", {})
    assert str(synthesizer.synthesize(LISTED, [])) == "Empty Response"


class Plan(BaseModel):
    steps: list[str]


def test_an_output_class_is_refused_wherever_it_is_given():
    synthesizer = SkeletonOfThoughtSynthesizer(ChatLLM())
    assert synthesizer
    RetrieverQueryEngine.from_args(Shelf(), llm=ChatLLM(), response_synthesizer=synthesizer)
    with pytest.raises(ConfigurationError, match="compact or tree_summarize"):
        RetrieverQueryEngine.from_args(
            Shelf(), llm=ChatLLM(), response_synthesizer=synthesizer, output_cls=Plan
        )
    index = VectorStoreIndex([], embed_model=MockEmbedding(embed_dim=3))
    with pytest.raises(ConfigurationError, match="compact or tree_summarize"):
        index.as_query_engine(llm=ChatLLM(), response_synthesizer=synthesizer, output_cls=Plan)


async def test_a_citation_query_engine():
    llm = ChatLLM()
    engine = CitationQueryEngine(
        Shelf(), llm=llm, response_synthesizer=SkeletonOfThoughtSynthesizer(llm), citation_chunk_size=512
    )
    response = engine.query(LISTED)
    assert "[1] file: 1.md\n\nSoil is what chunk 1 is about." in llm.script.asked[0]
    assert "Source 1:" not in llm.script.asked[0]
    assert set(response.metadata["sot"]["citations"]) == {"1", "2", "3"}
    assert str(await engine.aquery(LISTED)) == str(response)


async def test_a_sub_question_query_engine():
    class Asking(BaseQuestionGenerator):
        def generate(self, tools, query):
            return [SubQuestion(sub_question=LISTED, tool_name="garden")] * 2

        async def agenerate(self, tools, query):
            return self.generate(tools, query)

        def _get_prompts(self):
            return {}

        def _update_prompts(self, prompts):
            pass

    llm = ChatLLM()
    inner = RetrieverQueryEngine(Shelf(), response_synthesizer=SkeletonOfThoughtSynthesizer(llm))
    engine = SubQuestionQueryEngine.from_defaults(
        [QueryEngineTool.from_defaults(inner, name="garden", description="The garden.")],
        llm=llm,
        question_gen=Asking(),
        response_synthesizer=SkeletonOfThoughtSynthesizer(llm),
        use_async=False,
        verbose=False,
    )
    for response in (engine.query(LISTED), await engine.aquery(LISTED)):
        assert str(response).startswith("1. Soil: All of this is said by source [1] so.")
        assert set(response.metadata["sot"]["citations"]) == {"1", "2"}  # two sub-answers are its sources


async def test_a_chat_engine_that_answers_by_the_synthesizer_itself():
    llm = ChatLLM()
    engine = CondenseQuestionChatEngine.from_defaults(
        RetrieverQueryEngine(Shelf(), response_synthesizer=SkeletonOfThoughtSynthesizer(llm)),
        llm=llm,
        memory=memory(),
    )
    response = engine.chat(LISTED)
    assert response.sources[0].raw_output.metadata["sot"]["citations"] == {
        "1": "node-1",
        "2": "node-2",
        "3": "node-3",
    }
    assert response.response.startswith("1. Soil: All of this is said by source [1]")
    streamed = engine.stream_chat(LISTED)
    assert (
        "".join(streamed.response_gen) == "One plain answer."
    )  # the condensed question is this script's answer
