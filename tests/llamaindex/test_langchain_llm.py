"""LangChain's chat models, with real clients on the fake server, as LlamaIndex LLMs."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_anthropic import ChatAnthropic
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.runnables import RunnableLambda
from langchain_openai import ChatOpenAI
from llama_index.core.base.llms.types import AudioBlock, ChatMessage, ImageBlock, TextBlock, ThinkingBlock

from llamaindex_sot import LangChainLLM, SkeletonOfThoughtSynthesizer
from llamaindex_sot.messages import usage_of
from skeleton_of_thought import ConfigurationError, Usage
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
        model: Any = ChatOpenAI(
            model="gpt-4o-mini",
            api_key="fake",
            max_retries=0,
            stream_usage=True,
            use_responses_api=False,
            base_url=f"{server.url}/v1",
        )
    else:
        model = ChatAnthropic(
            model="claude-haiku-4-5",
            api_key="fake",
            max_retries=0,
            base_url=server.url,  # type: ignore[call-arg]
        )
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


def test_pictures_reach_the_model_and_what_cannot_is_refused(server, llm):
    picture = ImageBlock(image=b"\x89PNG\r\n\x1a\n" + b"0" * 20, image_mimetype="image/png")
    llm.chat([ChatMessage(role="user", blocks=[TextBlock(text="What is this?"), picture])])
    assert server.provider.ledger.wait_until_idle()
    seen: list[Any] = []
    taking = LangChainLLM(RunnableLambda(lambda messages: seen.append(messages) or AIMessage("A leaf.")))
    remote = ImageBlock(url="https://example.org/leaf.png")
    thought = ThinkingBlock(content="Hm.")
    taking.chat(
        [
            ChatMessage(role="user", blocks=[TextBlock(text="And this?"), picture, remote]),
            ChatMessage(role="assistant", blocks=[thought, TextBlock(text="So?")]),
        ]
    )
    (_, content), said = seen[0]
    assert [block["type"] for block in content] == ["text", "image", "image"]
    assert content[1]["mime_type"] == "image/png"
    assert content[2]["url"] == "https://example.org/leaf.png"
    assert said == ("assistant", "So?")
    with pytest.raises(ConfigurationError, match=r"reads text and image .* not audio blocks"):
        llm.chat([ChatMessage(role="user", blocks=[AudioBlock(audio=b"0" * 20)])])


class Telling(GenericFakeChatModel):
    """A model that tells the tokens so far with every piece."""

    def _stream(self, *args, **kwargs):
        for place, chunk in enumerate(super()._stream(*args, **kwargs), start=1):
            usage = {"input_tokens": 10, "output_tokens": place, "total_tokens": 10 + place}
            yield ChatGenerationChunk(message=chunk.message.model_copy(update={"usage_metadata": usage}))


async def test_totals_in_every_piece_of_a_langchain_model_count_once():
    llm = LangChainLLM(Telling(messages=iter(["Dig it in."] * 2)))
    assert usage_of(llm.complete("How?")) == Usage(10, 5)
    assert usage_of(await llm.acomplete("How?")) == Usage(10, 5)


@pytest.mark.parametrize(
    ("told", "reason"),
    [({"finish_reason": "stop"}, "stop"), ({"stop_reason": "END_TURN"}, "end_turn"), ({}, None)],
)
async def test_an_answer_has_the_reason_the_langchain_model_gave(told, reason):
    def answer(_: Any) -> AIMessage:
        return AIMessage("Dig it in.", response_metadata=told)

    llm = LangChainLLM(RunnableLambda(answer))
    assert llm.complete("How?").raw["finish_reason"] == reason
    assert (await llm.acomplete("How?")).raw["finish_reason"] == reason
