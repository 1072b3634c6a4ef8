"""What a chat model takes, the chain takes."""

from __future__ import annotations

import pytest
from langchain_core.messages import AIMessage, ChatMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.prompt_values import ChatPromptValue, StringPromptValue

from langchain_sot import SkeletonOfThoughtChain
from skeleton_of_thought import ConfigurationError

from .fakes import DIRECT, PROMPTS, QUESTION, SKELETON, FakeChat, ask, whole


def new_chain(**options):
    return SkeletonOfThoughtChain(model=FakeChat(), prompts=PROMPTS, **options)


@pytest.mark.parametrize(
    "value",
    [
        QUESTION,
        [HumanMessage(QUESTION)],
        (HumanMessage(QUESTION),),
        [("human", QUESTION)],
        [("user", QUESTION)],
        [{"role": "user", "content": QUESTION}],
        [QUESTION],
        [ChatMessage(role="user", content=QUESTION)],
        StringPromptValue(text=QUESTION),
        ChatPromptValue(messages=[HumanMessage(QUESTION)]),
        [HumanMessage([{"type": "text", "text": QUESTION}])],
        [HumanMessage([QUESTION])],
    ],
    ids=lambda value: type(value).__name__,
)
async def test_every_notation(way, value):
    chain = new_chain()
    assert (await ask(chain, way, value)).text == whole()
    assert chain.model.log.seen[0].messages[-1].text == f"SKELETON of {QUESTION}"


@pytest.mark.parametrize("value", [{"messages": []}, {"question": QUESTION}, HumanMessage(QUESTION), 3, None])
async def test_anything_else_is_refused_as_a_chat_model_refuses_it(way, value):
    with pytest.raises(ConfigurationError, match=r"str|text, a list of messages or a PromptValue.*not \w+"):
        await ask(new_chain(), way, value)
    if value is not None:
        with pytest.raises(ValueError, match="Invalid input type"):
            FakeChat().invoke(value)


@pytest.mark.parametrize(
    "value", ["", "  \n", [], [HumanMessage("")], [HumanMessage([])], [SystemMessage("x"), HumanMessage(" ")]]
)
async def test_an_empty_question_is_refused_before_anything_is_sent(way, value):
    chain = new_chain()
    with pytest.raises(ConfigurationError, match=r"empty|no message"):
        await ask(chain, way, value)
    assert chain.model.log.seen == []


HISTORY = [
    SystemMessage("Be brief.", name="boss"),
    HumanMessage("Hello", id="h1"),
    AIMessage([{"type": "text", "text": "Hi."}], id="a1"),
    HumanMessage(QUESTION, id="h2", name="ada", additional_kwargs={"mark": 1}),
]


async def test_history_is_sent_as_it_is_and_only_the_question_is_templated(way):
    chain = new_chain()
    before = [message.model_copy(deep=True) for message in HISTORY]
    assert (await ask(chain, way, HISTORY)).text == whole()
    assert before == HISTORY, "the caller's messages are not touched"
    for seen in chain.model.log.seen:
        assert [message.content for message in seen.messages[:3]] == [
            message.content for message in HISTORY[:3]
        ]
        assert seen.messages[0].name == "boss"
        asked = seen.messages[3]
        assert (asked.text, asked.id, asked.name) == (f"SKELETON of {QUESTION}", "h2", "ada")
        assert asked.additional_kwargs == {"mark": 1}
    point = max(chain.model.log.of("point"), key=lambda seen: seen.index)  # it knows the whole skeleton
    assert [type(message) for message in point.messages[4:]] == [AIMessage, HumanMessage]
    assert point.messages[4].text == SKELETON


async def test_an_answer_of_the_chain_is_history_for_the_next_question(way):
    chain = new_chain()
    first = await ask(chain, way)
    second = await ask(chain, way, [HumanMessage(QUESTION), first, HumanMessage("And then?")])
    assert second.text == whole()
    assert second.response_metadata["sot"]["usage"] != first.response_metadata["sot"]["usage"]


async def test_images_and_cache_marks_survive(way):
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    text = {"type": "text", "text": "What is this?", "cache_control": {"type": "ephemeral"}}
    chain = new_chain()
    await ask(chain, way, [HumanMessage([image, text])])
    expected = [image, {**text, "text": "SKELETON of What is this?"}]
    for stage in ("skeleton", "point"):
        assert all(seen.messages[0].content == expected for seen in chain.model.log.of(stage))


TOOL_CALL = AIMessage("", tool_calls=[{"name": "add", "args": {}, "id": "c1"}])


@pytest.mark.parametrize(
    "value",
    [
        [SystemMessage("You tell jokes.")],
        [HumanMessage(QUESTION), AIMessage("Well,")],
        [HumanMessage("2+2?"), TOOL_CALL, ToolMessage("4", tool_call_id="c1")],
    ],
    ids=["system", "assistant", "tool"],
)
async def test_a_conversation_that_ends_otherwise_is_the_models_business(way, value):
    chain = new_chain()
    message = await ask(chain, way, value)
    assert message.text == DIRECT
    assert "does not end with a user's question" in message.response_metadata["sot"]["reason"]
    (seen,) = chain.model.log.seen
    assert seen.messages == value


async def test_a_tool_result_in_the_history_is_no_obstacle(way):
    history = [HumanMessage("2+2?"), TOOL_CALL, ToolMessage("4", tool_call_id="c1"), AIMessage("4")]
    chain = new_chain()
    assert (await ask(chain, way, [*history, HumanMessage(QUESTION)])).text == whole()
    assert all(seen.messages[:4] == history for seen in chain.model.log.seen)
