"""A model somewhere inside a runnable answers as it does alone: asked for points, with the options of each request."""

from __future__ import annotations

import pytest
from langchain_core.messages import SystemMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.runnables import RunnableLambda, RunnablePassthrough, chain

from langchain_sot import ChatSkeletonOfThought

from .fakes import PROMPTS, QUESTION, TITLES, WAYS, FakeChat, ask, whole
from .test_chain import new_chain

SHORT = {"point_max_tokens": 40}


def in_verse(messages):
    return [SystemMessage("Answer in verse."), *messages]


def with_a_prompt(model):
    prompt = ChatPromptTemplate.from_messages([("system", "Answer in verse."), MessagesPlaceholder("asked")])
    return {"asked": RunnablePassthrough()} | prompt | model


def as_a_function(model):
    @chain
    def own(messages):
        return model.invoke(in_verse(messages))

    return own


INSIDE = {
    "behind a function": lambda model: RunnableLambda(in_verse) | model,
    "behind a prompt": with_a_prompt,
    "before a parser": lambda model: RunnableLambda(in_verse) | model | StrOutputParser(),
    "with fallbacks": lambda model: (RunnableLambda(in_verse) | model).with_fallbacks([model]),
    "with a config": lambda model: (RunnableLambda(in_verse) | model).with_config(tags=["mine"]),
    "retried": lambda model: (RunnableLambda(in_verse) | model).with_retry(stop_after_attempt=2),
    "two deep": lambda model: RunnableLambda(lambda asked: asked) | (RunnableLambda(in_verse) | model),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("inside", INSIDE)
async def test_points_are_asked_for_with_their_options(way, inside):
    model = FakeChat()
    answer = await ask(new_chain(model=INSIDE[inside](model), **SHORT), way)
    assert answer.response_metadata["sot"]["route"] == "sot"
    assert answer.text == whole()
    asked = model.log.of("point")
    assert len(asked) == len(TITLES)
    assert [seen.kwargs["max_tokens"] for seen in asked] == [40] * len(TITLES)
    assert all(seen.kwargs["stop"] for seen in asked), "and with the stop sequences of a point"
    assert all(seen.messages[0].text == "Answer in verse." for seen in asked)


@pytest.mark.parametrize("way", WAYS)
async def test_a_function_that_hides_its_model_is_asked_without_options(way):
    model = FakeChat()
    answer = await ask(new_chain(model=as_a_function(model), **SHORT), way)
    assert answer.response_metadata["sot"]["route"] == "sot"
    assert answer.text == whole()
    assert all("max_tokens" not in seen.kwargs for seen in model.log.of("point"))


@pytest.mark.parametrize("way", WAYS)
async def test_options_reach_a_model_inside_the_chat_model(way):
    model = FakeChat()
    front = ChatSkeletonOfThought(
        model=RunnableLambda(in_verse) | model, router="always", prompts=PROMPTS, **SHORT
    )
    assert (await ask(front, way, QUESTION)).text == whole()
    assert {seen.kwargs["max_tokens"] for seen in model.log.of("point")} == {40}
