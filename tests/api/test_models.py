from __future__ import annotations

import pytest

from langchain_sot import SkeletonOfThoughtChain

from .conftest import chat_model
from .ways import QUESTION, WAYS, ask


@pytest.fixture
def bodies(server, monkeypatch):
    """The bodies of all requests."""
    seen = []
    answer = server.provider.answer

    def remember(request):
        seen.append(request.body)
        return answer(request)

    server.provider.answer = remember
    return seen


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("api", "options"),
    [
        ("anthropic", {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 3000}),
        ("openai", {"model": "gpt-5-mini", "reasoning_effort": "low"}),
    ],
)
async def test_thoughts_are_neither_skeleton_nor_text(server, bodies, way, api, options):
    answer = await ask(way, SkeletonOfThoughtChain(model=chat_model(server, api, **options)))
    sot = answer.response_metadata["sot"]
    assert [point["status"] for point in sot["points"]] == ["ok"] * 4
    assert "Let me think" not in answer.text
    assert "That is the order" not in sot["skeleton"]
    thought = [entry.output_tokens for entry in server.ledger.entries if entry.outcome == "answered"]
    assert sot["usage"]["output_tokens"] == sum(thought)


async def test_no_sampling_is_sent_unless_asked(server, bodies, model):
    await SkeletonOfThoughtChain(model=model).ainvoke(QUESTION)
    sampling = {"temperature", "top_p", "top_k", "seed", "frequency_penalty", "presence_penalty"}
    assert len(bodies) == 5
    assert not any(body.keys() & sampling for body in bodies)
    bodies.clear()
    await SkeletonOfThoughtChain(model=model).ainvoke(QUESTION, temperature=0.5)
    assert [body["temperature"] for body in bodies] == [0.5] * 5


@pytest.mark.parametrize("way", WAYS)
async def test_a_model_per_stage(server, bodies, way):
    chain = SkeletonOfThoughtChain(
        model=chat_model(server, model="large"),
        skeleton_model=chat_model(server, model="medium"),
        point_model=chat_model(server, model="small"),
    )
    await ask(way, chain)
    await ask(way, chain, config={"configurable": {"sot_route": "direct"}})
    assert [body["model"] for body in bodies] == ["medium", *["small"] * 4, "large"]
