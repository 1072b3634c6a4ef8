"""Through the router, every answer is what it is without: streamed, traced and billed the same."""

from __future__ import annotations

import asyncio

import pytest
from langchain_core.callbacks import UsageMetadataCallbackHandler
from langchain_core.messages import AIMessage

from langchain_sot import SkeletonOfThoughtChain, SkeletonOfThoughtRouter
from skeleton_of_thought.routing import FixedRouter
from tests.fixtures.traces import Tracer

from .fakes import DIRECT, PROMPTS, QUESTION, WAYS, BatchingChat, FakeChat, ask

SUITABLE = "What are the main benefits of learning a second language?"
UNSUITABLE = "What is 17 times 23?"


def tree(run):
    """A trace without what no two traces have in common: names, kinds, tags, inputs and what came out."""
    return (
        run.name,
        run.run_type,
        sorted(run.tags),
        str(run.inputs.get("messages")),
        sorted(str(tree(child)) for child in run.child_runs),
    )


async def watched(chain, way, question):
    tracer, usage = Tracer(), UsageMetadataCallbackHandler()
    answer = await ask(chain, way, question, config={"callbacks": [tracer, usage], "run_name": "it"})
    (root,) = tracer.roots
    return answer, tree(root), usage.usage_metadata


@pytest.mark.parametrize("way", WAYS)
async def test_a_skeleton_is_the_chains_own(way):
    routed = await watched(SkeletonOfThoughtRouter(model=FakeChat(), prompts=PROMPTS), way, SUITABLE)
    alone = await watched(SkeletonOfThoughtChain(model=FakeChat(), prompts=PROMPTS), way, SUITABLE)
    assert routed[0].text == alone[0].text
    assert routed[0].usage_metadata == alone[0].usage_metadata
    assert routed[0].response_metadata["sot"]["bill"] == alone[0].response_metadata["sot"]["bill"]
    assert routed[1:] == alone[1:]


@pytest.mark.parametrize("way", WAYS)
async def test_a_direct_answer_is_the_models_own(way):
    routed, trace, usage = await watched(
        SkeletonOfThoughtRouter(model=FakeChat(), prompts=PROMPTS), way, UNSUITABLE
    )
    tracer, alone_usage = Tracer(), UsageMetadataCallbackHandler()
    alone = await ask(FakeChat(), way, UNSUITABLE, config={"callbacks": [tracer, alone_usage]})
    assert (routed.text, routed.usage_metadata) == (alone.text, alone.usage_metadata)
    assert usage == alone_usage.usage_metadata
    name, kind, _, _, children = trace
    assert (name, kind, len(children)) == ("it", "chain", 1)
    assert children[0].startswith("('direct', 'chat_model', ['nostream', 'sot:direct']")
    assert str(tracer.roots[0].inputs["messages"]) in children[0]


async def test_a_direct_answer_streams_token_by_token():
    chain = SkeletonOfThoughtRouter(model=FakeChat(), prompts=PROMPTS)
    routed = [chunk.text async for chunk in chain.astream(UNSUITABLE)]
    alone = [chunk.text async for chunk in FakeChat().astream(UNSUITABLE)]
    assert [text for text in routed if text] == [text for text in alone if text]
    assert len(alone) > 5


class Letters(FakeChat):
    """Says A to what asks for a list, else C."""

    max_tokens: int = 99

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        self.log.batches.append((1, [kwargs]))
        return super()._generate(messages, stop, **kwargs)


@pytest.mark.parametrize(("letter", "route"), [("A", "sot"), ("C.", "direct"), ("who knows", "direct")])
@pytest.mark.parametrize("way", WAYS)
async def test_a_chat_model_is_asked_for_one_letter(way, letter, route):
    asked = FakeChat(direct=letter)
    chain = SkeletonOfThoughtRouter(model=FakeChat(), prompts=PROMPTS, router=asked)
    tracer = Tracer()
    answer = await ask(chain, way, config={"callbacks": [tracer]})
    told = answer.response_metadata["sot"]
    assert told["route"] == route
    assert told["bill"]["stages"]["route"]["output_tokens"] > 0
    assert told["usage"]["total_tokens"] == answer.usage_metadata["total_tokens"]
    (root,) = tracer.roots
    assert [run.name for run in root.child_runs].count("route") == 1
    assert QUESTION in asked.log.seen[0].messages[0].text


@pytest.mark.parametrize("bound", [False, True])
def test_a_letter_needs_few_tokens_unless_the_model_was_bound(bound):
    asked = Letters(direct="A")
    router = asked.bind(stop=["\n"]) if bound else asked
    SkeletonOfThoughtRouter(model=FakeChat(), prompts=PROMPTS, router=router).invoke(QUESTION)
    ((_, (kwargs,)),) = asked.log.batches
    assert kwargs == ({} if bound else {"max_tokens": 16})


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
async def test_in_a_race_a_letter_costs_no_time_and_is_billed(way):
    chain = SkeletonOfThoughtRouter(
        model=FakeChat(token_seconds=lambda seen: 0.02),
        prompts=PROMPTS,
        router=FakeChat(direct="A", token_seconds=lambda seen: 0.1),
        race=True,
    )
    answer = await ask(chain, way)
    told = answer.response_metadata["sot"]
    assert told["route"] == "sot"
    assert told["seconds"]["total"] < told["seconds"]["route"] + told["seconds"]["skeleton"] + 5
    assert told["bill"]["stages"]["direct"]["calls"] == 1
    assert DIRECT not in answer.text
    assert isinstance(answer, AIMessage)


def test_the_route_of_one_call_beats_router_and_load():
    chain = SkeletonOfThoughtRouter(
        model=FakeChat(), prompts=PROMPTS, router=FixedRouter("direct"), race=True
    )
    config = {"configurable": {"sot_route": "sot"}}
    assert chain.invoke(QUESTION, config).response_metadata["sot"]["route"] == "sot"


async def test_routed_questions_still_go_out_as_one_batch():
    model = BatchingChat()
    await SkeletonOfThoughtRouter(model=model, prompts=PROMPTS).ainvoke(SUITABLE)
    assert [size for size, _ in model.log.batches] == [8]
    await asyncio.sleep(0)
