from __future__ import annotations

import pytest
from llama_index.core.base.response.schema import AsyncStreamingResponse, StreamingResponse
from llama_index.core.query_engine import RetrieverQueryEngine, RouterQueryEngine
from llama_index.core.retrievers import BaseRetriever
from llama_index.core.tools import QueryEngineTool

from llamaindex_sot import (
    SkeletonOfThoughtQueryEngine,
    SkeletonOfThoughtSelector,
    SkeletonOfThoughtSynthesizer,
)
from skeleton_of_thought import ConfigurationError

from .fakes import ChatLLM, CompletionLLM, PretendedAsyncLLM, Script, nodes

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
