"""LangChain's chat models, with real clients on the fake server, as LlamaIndex LLMs."""

from __future__ import annotations

import pytest
from langchain_anthropic import ChatAnthropic
from langchain_openai import ChatOpenAI
from llama_index.core.base.llms.types import ChatMessage

from llamaindex_sot import LangChainLLM, SkeletonOfThoughtSynthesizer
from skeleton_of_thought import ConfigurationError
from skeleton_of_thought.fake_server import FakeServer, PlausibleAnswers

from .fakes import nodes

QUESTION = "How do members keep slugs and other pests away?"


@pytest.fixture(scope="module")
def shared_server():
    with FakeServer(answer=PlausibleAnswers(points=4)) as server:
        yield server


@pytest.fixture
def server(shared_server):
    assert shared_server.provider.ledger.wait_until_idle()
    shared_server.provider.ledger.clear()
    return shared_server


@pytest.fixture(params=["openai", "anthropic"])
def llm(request, server) -> LangChainLLM:
    if request.param == "openai":
        model = ChatOpenAI(
            model="gpt-4o-mini",
            api_key="fake",
            max_retries=0,
            stream_usage=True,
            use_responses_api=False,
            base_url=f"{server.url}/v1",
        )
    else:
        model = ChatAnthropic(model="claude-haiku-4-5", api_key="fake", max_retries=0, base_url=server.url)
    return LangChainLLM(model)


@pytest.mark.parametrize("way", ["sync", "stream", "async", "astream"])
async def test_a_langchain_model_answers_from_chunks(server, llm, way):
    synthesizer = SkeletonOfThoughtSynthesizer(llm, streaming="stream" in way)
    if way.startswith("a"):
        response = await synthesizer.asynthesize(QUESTION, nodes(8))
        text = str(await response.get_response() if way == "astream" else response)
    else:
        response = synthesizer.synthesize(QUESTION, nodes(8))
        text = str(response)
    assert text.count("\n\n**") == 4  # an opening, then each point under its title
    assert server.provider.ledger.wait_until_idle()
    entries, usage = server.ledger.entries, response.metadata["sot"]["usage"]
    assert len(entries) == 5
    assert usage["input_tokens"] == sum(entry.input_tokens for entry in entries)
    assert usage["output_tokens"] == sum(entry.output_tokens for entry in entries)


def test_limits_and_names(llm):
    cut = llm.chat([ChatMessage(content="What is mulch?")], max_tokens=3)
    assert cut.raw["finish_reason"] == "length"
    assert llm.metadata.model_name in {"gpt-4o-mini", "claude-haiku-4-5"}
    with pytest.raises(ConfigurationError, match="role 'tool'"):
        llm.chat([ChatMessage(role="tool", content="42")])
