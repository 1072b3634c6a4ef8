from __future__ import annotations

from typing import Any

import pytest

from langchain_sot import SkeletonOfThoughtChain
from skeleton_of_thought import Options

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
    answer = await ask(way, SkeletonOfThoughtChain(router="always", model=chat_model(server, api, **options)))
    sot = answer.response_metadata["sot"]
    assert [point["status"] for point in sot["points"]] == ["ok"] * 4
    assert "Let me think" not in answer.text
    assert "That is the order" not in sot["skeleton"]
    thought = [entry.output_tokens for entry in server.ledger.entries if entry.outcome == "answered"]
    assert sot["usage"]["output_tokens"] == sum(thought)


async def test_no_sampling_is_sent_unless_asked(server, bodies, model):
    await SkeletonOfThoughtChain(router="always", model=model).ainvoke(QUESTION)
    sampling = {"temperature", "top_p", "top_k", "seed", "frequency_penalty", "presence_penalty"}
    assert len(bodies) == 5
    assert not any(body.keys() & sampling for body in bodies)
    bodies.clear()
    await SkeletonOfThoughtChain(router="always", model=model).ainvoke(QUESTION, temperature=0.5)
    assert [body["temperature"] for body in bodies] == [0.5] * 5


@pytest.mark.parametrize("way", WAYS)
async def test_a_model_per_stage(server, bodies, way):
    chain = SkeletonOfThoughtChain(
        router="always",
        model=chat_model(server, model="large"),
        skeleton_model=chat_model(server, model="medium"),
        point_model=chat_model(server, model="small"),
    )
    await ask(way, chain)
    await ask(way, chain, config={"configurable": {"sot_route": "direct"}})
    assert [body["model"] for body in bodies] == ["medium", *["small"] * 4, "large"]


def budget(size):
    return {"thinking": {"type": "enabled", "budget_tokens": size}, "max_tokens": 4000}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("api", ["openai", "anthropic"])
async def test_points_may_think_less(server, bodies, way, api):
    if api == "openai":
        model = chat_model(server, model="gpt-5-mini", reasoning_effort="high")
        less: Any = model.bind(reasoning_effort="minimal")
    else:
        model, less = chat_model(server, api, **budget(2048)), chat_model(server, api, **budget(1024))
    answer = await ask(way, SkeletonOfThoughtChain(router="always", model=model, point_model=less))
    assert len(answer.response_metadata["sot"]["points"]) == 4
    efforts = [body.get("reasoning_effort") or body["thinking"]["budget_tokens"] for body in bodies]
    assert set(efforts[:-4]) == ({"high"} if api == "openai" else {2048})
    assert efforts[-4:] == [("minimal" if api == "openai" else 1024)] * 4


@pytest.mark.parametrize("way", WAYS)
async def test_a_skeleton_as_json(server, bodies, model, way):
    chain = SkeletonOfThoughtChain(router="always", model=model, options=Options(structured_skeleton=True))
    answer = await ask(way, chain)
    sot = answer.response_metadata["sot"]
    assert (sot["route"], len(sot["points"])) == ("sot", 4)
    assert sot["skeleton"].startswith("1. ")
    assert "{" not in sot["skeleton"]
    skeleton, *points = bodies
    wanted = skeleton.get("response_format") or skeleton["output_config"]
    assert "json_schema" in str(wanted)
    assert not any({"response_format", "output_config"} & body.keys() for body in points)
    assert sot["usage"]["input_tokens"] == server.ledger.usage().input_tokens


def test_a_model_that_follows_no_schema_says_so(server):
    model = chat_model(server, profile={"structured_output": False})
    with pytest.raises(ValueError, match="structured_skeleton=True needs a model that follows a JSON schema"):
        SkeletonOfThoughtChain(router="always", model=model, options=Options(structured_skeleton=True))


@pytest.mark.parametrize("way", WAYS)
async def test_several_points_per_call(server, bodies, model, way):
    alone = await ask(way, SkeletonOfThoughtChain(router="always", model=model))
    once = server.ledger.usage().input_tokens
    server.ledger.clear()
    answer = await ask(
        way, SkeletonOfThoughtChain(router="always", model=model, options=Options(points_per_call=3))
    )
    sot, before = answer.response_metadata["sot"], alone.response_metadata["sot"]
    assert len(server.ledger.entries) == 1 + 2
    assert server.ledger.usage().input_tokens < 0.8 * once
    assert [point["title"] for point in sot["points"]] == [point["title"] for point in before["points"]]
    for point in sot["points"]:
        assert point["text"].startswith(point["title"])
        assert not any(other["title"] in point["text"] for other in sot["points"] if other is not point)
    assert sot["bill"]["stages"]["points"]["calls"] == 2
    assert sot["bill"]["input_tokens"] == server.ledger.usage().input_tokens
    assert sum(point["usage"]["output_tokens"] for point in sot["points"]) == sum(
        entry.output_tokens for entry in server.ledger.entries if entry.stage == "point"
    )
