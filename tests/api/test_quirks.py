from __future__ import annotations

import pytest

from langchain_sot import SkeletonOfThoughtChain
from skeleton_of_thought import PROMPTS
from skeleton_of_thought.asking import Asker
from skeleton_of_thought.clients import open_client
from skeleton_of_thought.fake_server import FakeReply

from .conftest import chat_model
from .ways import QUESTION, WAYS, ask


def refused(server):
    return [entry.stage for entry in server.ledger.entries if entry.outcome == "refused"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("api", "name", "prompts"),
    [("openai", "gpt-5-mini", None), ("anthropic", "claude-opus-4-6", "partial")],
)
async def test_what_a_model_does_not_take_is_learned_once(server, way, api, name, prompts):
    chain = SkeletonOfThoughtChain(
        router="always", model=chat_model(server, api, model=name), prompts=prompts, retries=0
    )
    first = await ask(way, chain)
    assert [point["status"] for point in first.response_metadata["sot"]["points"]] == ["ok"] * 4
    assert refused(server)
    server.ledger.clear()
    again = SkeletonOfThoughtChain(
        router="always", model=chat_model(server, api, model=name), prompts=prompts, retries=0
    )
    second = await ask(way, again)
    assert not refused(server)
    assert second.text == first.text
    assert not any(text in entry.prompt for entry in server.ledger.entries for text in ("{point", "{request"))


async def test_another_models_quirks_stay_its_own(server):
    for name in ("claude-opus-4-6", "claude-haiku-4-5"):
        await SkeletonOfThoughtChain(
            model=chat_model(server, "anthropic", model=name), prompts="partial"
        ).ainvoke(QUESTION)
    assert set(refused(server)) == {"skeleton"}
    assert "Begin your answer with" not in server.ledger.entries[-1].prompt


@pytest.mark.parametrize("name", ["openai:gpt-5-mini", "anthropic:claude-opus-4-6"])
def test_the_sdk_clients_learn_too(server, name):
    url = f"{server.url}/v1" if name.startswith("openai") else server.url
    client = open_client(name, base_url=url)
    client.prompts = PROMPTS["partial"]
    for _ in range(2):
        result = Asker(client, router="always").ask(QUESTION)
        assert [point.status for point in result.points] == ["ok"] * 4
        first, server_saw = len(refused(server)), server.ledger.entries
        server.ledger.clear()
    assert first == 0
    assert len(server_saw) == 5


@pytest.fixture
def prefills():
    """The partial answers the server was sent; empty ones of requests without."""
    return []


@pytest.fixture
def repeating(server, prefills):
    """Makes replies begin with the partial answer again: always, as in a new turn, or as llama.cpp does."""
    plausible = server.provider.answer

    def repeat(*, streams):
        def answer(request):
            prefills.append(request.prefill)
            reply = plausible(request)
            repeated = request.prefill and (streams or not request.stream)
            return FakeReply(f"{request.prefill} {reply.text.strip()}") if repeated else reply

        server.provider.answer = answer

    return repeat


@pytest.mark.parametrize("way", ["stream", "astream"])
async def test_a_server_that_closes_the_turn_is_noticed_by_what_it_streams(server, repeating, prefills, way):
    repeating(streams=True)
    chain = SkeletonOfThoughtChain(model=chat_model(server), router="always", prompts="partial")
    first = await ask(way, chain)
    assert all(prefills)
    prefills.clear()
    second = await ask(way, chain)
    assert not any(prefills)
    for answer in (first, second):
        sot = answer.response_metadata["sot"]
        assert [point["status"] for point in sot["points"]] == ["ok"] * 4
        assert not any(point["text"].startswith(point["title"] + ":") for point in sot["points"])


@pytest.mark.parametrize("way", WAYS)
async def test_a_server_that_repeats_partial_answers_in_whole_replies_alone_keeps_getting_them(
    server, repeating, prefills, way
):
    repeating(streams=False)
    chain = SkeletonOfThoughtChain(model=chat_model(server), router="always", prompts="partial")
    for _ in range(3):
        answer = await ask(way, chain)
    assert len(prefills) == 15
    assert all(prefills)
    assert [point["status"] for point in answer.response_metadata["sot"]["points"]] == ["ok"] * 4


async def test_a_request_that_is_wrong_for_another_reason_is_not_sent_again(server):
    chain = SkeletonOfThoughtChain(router="always", model=chat_model(server), retries=3)
    server.faults.add("unauthorized", stage="point")
    sot = (await chain.ainvoke(QUESTION)).response_metadata["sot"]
    assert [point["status"] for point in sot["points"]] == ["failed"] * 4
    assert len(refused(server)) == 4
