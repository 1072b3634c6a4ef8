from __future__ import annotations

import pytest
from langchain_core.messages import HumanMessage, SystemMessage

from langchain_sot import SkeletonOfThoughtChain
from skeleton_of_thought import Options
from skeleton_of_thought.fake_server import PlausibleAnswers

from .conftest import chat_model
from .ways import QUESTION, WAYS, ask

CONTEXT = "word " * 4000
CACHED = {"openai": "gpt-5.4", "anthropic": "claude-haiku-4-5"}
WRITE, READ = 1.25, 0.1


def prompt_price(entries):
    """What the prompts of some requests cost, in uncached tokens."""
    total = 0.0
    for entry in entries:
        plain = entry.input_tokens - entry.cache_read_tokens - entry.cache_write_tokens
        total += plain + entry.cache_read_tokens * READ + entry.cache_write_tokens * WRITE
    return total


@pytest.fixture(params=["openai", "anthropic"])
def cached_model(request, server):
    return chat_model(server, request.param, model=CACHED[request.param])


def conversation(question=QUESTION):
    return [SystemMessage("Answer from the context."), HumanMessage(f"{CONTEXT}\n\n{question}")]


@pytest.mark.parametrize("way", WAYS)
async def test_a_long_context_is_paid_once(server, cached_model, way):
    server.provider.answer = PlausibleAnswers(points=8)
    await cached_model.ainvoke(conversation())
    plain = prompt_price(server.ledger.entries)
    server.ledger.clear()
    server.provider.cache.clear()
    chain = SkeletonOfThoughtChain(router="always", model=cached_model, options=Options(prompt_cache=True))
    bill = (await ask(way, chain, conversation())).response_metadata["sot"]["bill"]
    answered = [entry for entry in server.ledger.entries if entry.outcome == "answered"]
    assert len(answered) == 9
    assert prompt_price(answered) <= 2.2 * plain
    assert bill["cache_read_tokens"] == server.ledger.usage().cache_read_tokens > 8 * 3900
    assert bill["stages"]["skeleton"]["cache_read_tokens"] == 0


async def test_without_the_option_nothing_is_marked(server, cached_model, monkeypatch):
    bodies = []
    answer = server.provider.answer
    server.provider.answer = lambda request: bodies.append(request.body) or answer(request)
    await SkeletonOfThoughtChain(router="always", model=cached_model).ainvoke(conversation())
    await SkeletonOfThoughtChain(
        router="always", model=cached_model, options=Options(prompt_cache=True)
    ).ainvoke(QUESTION)  # too short
    other = chat_model(server, model="another")
    split = SkeletonOfThoughtChain(
        router="always", model=cached_model, skeleton_model=other, options=Options(prompt_cache=True)
    )
    await split.ainvoke(conversation())  # nobody would read what the skeleton's model writes
    assert len(bodies) == 15
    assert not any("cache_control" in str(body) or "prompt_cache_key" in body for body in bodies)
    bodies.clear()
    await SkeletonOfThoughtChain(
        router="always", model=cached_model, options=Options(prompt_cache=True)
    ).ainvoke(conversation())
    assert len(bodies) == 5
    assert all("cache_control" in str(body) or "prompt_cache_key" in body for body in bodies)
    assert len({body.get("prompt_cache_key") for body in bodies}) == 1


async def test_the_callers_own_marks_stay(server):
    model = chat_model(server, "anthropic")
    mark = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
    block = {"type": "text", "text": CONTEXT, **mark}
    message = HumanMessage([block, {"type": "text", "text": QUESTION}])
    bodies = []
    answer = server.provider.answer
    server.provider.answer = lambda request: bodies.append(request.body) or answer(request)
    await SkeletonOfThoughtChain(router="always", model=model, options=Options(prompt_cache=True)).ainvoke(
        [message]
    )
    assert len(bodies) == 5
    assert all(str(body).count("'ttl': '1h'") == 1 for body in bodies)
    assert message.content[0] == block
