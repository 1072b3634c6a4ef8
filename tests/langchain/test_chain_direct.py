"""One plain answer where a skeleton does not fit: the model's own message, with the reason in its metadata."""

from __future__ import annotations

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.output_parsers import StrOutputParser
from langchain_core.runnables import RunnableLambda
from pydantic import BaseModel

from langchain_sot import ChatSkeletonOfThought, SkeletonOfThoughtChain, SkeletonOfThoughtRouter
from skeleton_of_thought import Decision, Options
from skeleton_of_thought.routing import FixedRouter

from .fakes import DIRECT, PROMPTS, QUESTION, WAYS, FakeChat, PrefixCachingChat, ask, whole

TOOL = {
    "type": "function",
    "function": {"name": "add", "description": "Adds.", "parameters": {"type": "object"}},
}


def new_chain(model=None, **options):
    return SkeletonOfThoughtChain(model=model or FakeChat(), prompts=PROMPTS, **options)


def told(message):
    return message.response_metadata["sot"]


@pytest.mark.parametrize(
    ("skeleton", "reason"),
    [
        ("I am sorry, I cannot help with that.", "the skeleton had no list"),
        ("", "the skeleton had no list"),
        ("1. Only this", "the skeleton had only one point"),
    ],
)
async def test_fallbacks(way, skeleton, reason):
    chain = new_chain(FakeChat(skeleton=skeleton))
    message = await ask(chain, way)
    assert message.text == DIRECT
    assert (told(message)["route"], told(message)["reason"], told(message)["points"]) == (
        "direct",
        reason,
        [],
    )
    (direct,) = chain.model.log.of("direct")
    assert [seen.text for seen in direct.messages] == [QUESTION]
    assert direct.kwargs["stop"] is None


# The model's own message.


def rich_message():
    usage = {
        "input_tokens": 7,
        "output_tokens": 9,
        "total_tokens": 16,
        "output_token_details": {"reasoning": 4},
    }
    return AIMessageChunk(
        content=[
            {"type": "reasoning", "reasoning": "Hm.", "index": 0},
            {"type": "text", "text": "Hello.", "index": 1},
        ],
        id="msg_1",
        additional_kwargs={"extra": 1},
        response_metadata={"provider": "p"},
        usage_metadata=usage,
        tool_call_chunks=[{"name": "add", "args": '{"a": 1}', "id": "call_1", "index": 2}],
    )


class RichChat(FakeChat):
    """Its direct answer has all a message can have."""

    def _run(self, seen):
        if seen.stage == "direct":
            yield 0, rich_message()
        else:
            yield from super()._run(seen)


class RichCachingChat(RichChat, PrefixCachingChat):
    pass


@pytest.mark.parametrize(
    ("model", "options"),
    [
        (RichChat(), {}),
        (RichChat(disable_streaming=True), {}),
        (RichCachingChat(), {"options": Options(prompt_cache=True)}),
    ],
    ids=["streaming", "not streaming", "prompt cache"],
)
async def test_a_direct_answer_is_the_models_own_message(way, model, options):
    plain = await ask(model, way)
    routed = await ask(new_chain(model, router=FixedRouter("direct"), **options), way)
    assert routed.content == plain.content
    assert (
        routed.tool_calls
        == plain.tool_calls
        == [{"name": "add", "args": {"a": 1}, "id": "call_1", "type": "tool_call"}]
    )
    assert routed.additional_kwargs == plain.additional_kwargs
    assert routed.usage_metadata == plain.usage_metadata, "its details survive"
    assert routed.id.startswith("lc_run--") if plain.id.startswith("lc_run--") else routed.id == plain.id
    assert {**plain.response_metadata, "sot": told(routed)} == routed.response_metadata


class Parsed(BaseModel):
    """What a provider's client made of an answer in form."""

    count: int


async def test_what_a_models_message_carries_besides_stays_what_it_is(way):
    said = AIMessage("1", additional_kwargs={"parsed": Parsed(count=1)})
    message = await ask(new_chain(RunnableLambda(lambda _: said), router=FixedRouter("direct")), way)
    assert message.additional_kwargs == {"parsed": Parsed(count=1)}


THOUGHT = {"type": "thinking", "thinking": "Hm.", "index": 0}


@pytest.mark.parametrize("options", [{"router": "never"}, {"router": "self", "prompts": "opening"}])
@pytest.mark.parametrize("begins", ["", " ", "\n", "\n\n", "\n\n\n"])
@pytest.mark.parametrize("thought", [[], [THOUGHT]], ids=["no thought", "thought"])
@pytest.mark.parametrize("face", [SkeletonOfThoughtChain, ChatSkeletonOfThought])
async def test_an_answer_is_the_same_in_pieces_and_whole(face, options, begins, thought):
    written = {"type": "text", "text": f"{begins}Hello.", "index": 1}
    model = FakeChat(direct=AIMessageChunk(content=[*thought, written] if thought else written["text"]))
    answers = [await ask(face(**{"model": model, "prompts": PROMPTS, **options}), way) for way in WAYS]
    assert len({str(answer.text) for answer in answers}) == 1
    assert answers[0].text.strip() == "Hello."
    if thought:
        assert [answer.content[0] for answer in answers] == thought * len(WAYS)


def test_a_streamed_direct_answer_says_once_that_it_is_complete():
    chunks = list(new_chain(RichChat(), router=FixedRouter("direct")).stream(QUESTION))
    assert [chunk.chunk_position for chunk in chunks if chunk.chunk_position] == ["last"]
    assert chunks[-1].response_metadata["sot"]["route"] == "direct"


async def test_the_bill_of_a_direct_answer_includes_the_skeleton(way):
    message = await ask(new_chain(RichChat(skeleton="no list")), way)
    assert message.usage_metadata["output_token_details"]["reasoning"] == 4
    assert message.usage_metadata["input_tokens"] == told(message)["usage"]["input_tokens"] > 7
    assert message.usage_metadata["total_tokens"] == told(message)["usage"]["total_tokens"]


async def test_a_model_that_reports_no_usage(way):
    class Untold(FakeChat):
        def _run(self, seen):
            for pause, chunk in super()._run(seen):
                yield pause, chunk.model_copy(update={"usage_metadata": None})

    plain = await ask(new_chain(Untold(), router=FixedRouter("direct")), way)
    assert plain.usage_metadata is None
    assert told(await ask(new_chain(Untold()), way))["usage"]["total_tokens"] is None


async def test_bound_tools_go_straight_to_the_model(way):
    for chain, kwargs in (
        (new_chain(RichChat()), {"tools": [TOOL]}),
        (new_chain(RichChat()).bind(tools=[TOOL]), {}),
        (new_chain(RichChat().bind(tools=[TOOL])), {}),
        (new_chain(RichChat().bind(tools=[TOOL]).with_retry()), {}),
    ):
        message = await ask(chain, way, **kwargs)
        assert message.tool_calls
        assert told(message)["reason"] == "tools are bound"


async def test_a_model_with_a_parser_behind_it(way):
    chain = new_chain(FakeChat() | StrOutputParser())
    assert (await ask(chain, way)).text == whole()
    assert (await ask(chain, way, config={"configurable": {"sot_route": "direct"}})).text == DIRECT


# Who decides.


class Undecided:
    """A router of the user's own."""

    def route(self, messages):
        return Decision("direct" if "2+2" in messages[-1].text else "sot", 0.8, "mine")

    async def aroute(self, messages):
        return self.route(messages)


def says(word):
    return RunnableLambda(lambda messages: word if "2+2" in messages[-1].text else "sot")


@pytest.mark.parametrize(
    "router",
    [
        Undecided(),
        says("direct"),
        says(" Direct.\n"),
        says(Decision("direct", 1.0, "so")),
        FakeChat(direct="direct"),
        says("perhaps"),
    ],
    ids=["router", "runnable", "words", "decision", "model", "nonsense"],
)
async def test_routers_of_every_kind(way, router):
    chain = new_chain(router=router)
    message = await ask(chain, way, "What is 2+2?")
    assert (told(message)["route"], message.text) == ("direct", DIRECT)
    if not isinstance(router, FakeChat):
        assert told(await ask(chain, way))["route"] == "sot"


async def test_a_router_model_is_billed(way):
    router = FakeChat(direct="direct")
    message = await ask(new_chain(router=router), way)
    assert told(message)["usage"]["output_tokens"] == 1 + len(DIRECT.split())
    assert message.usage_metadata["output_tokens"] == told(message)["usage"]["output_tokens"]


async def test_one_call_can_be_decided(way):
    chain = new_chain(router=FixedRouter("sot"))
    message = await ask(chain, way, config={"configurable": {"sot_route": "direct"}})
    assert (told(message)["route"], told(message)["reason"]) == ("direct", "chosen for this call")
    assert told(await ask(chain, way, config={"configurable": {"sot_route": "auto"}}))["route"] == "sot"
    with pytest.raises(ValueError, match=r"sot_route='both'.*'auto'.*'sot'.*'direct'"):
        await ask(chain, way, config={"configurable": {"sot_route": "both"}})


async def test_the_router_is_the_chain_with_a_router_switched_on(way):
    chain = SkeletonOfThoughtRouter(model=FakeChat(), prompts=PROMPTS)
    assert told(await ask(chain, way, "What is 17 * 3?"))["route"] == "direct"
    message = await ask(chain, way, "How can I improve my time management skills?")
    assert told(message)["route"] == "sot"
    assert message.text == whole()
