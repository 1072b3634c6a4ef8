from __future__ import annotations

import anthropic
import pytest

from skeleton_of_thought.fake_server import FakeReply
from skeleton_of_thought.fake_server.request import count

from .asking import CLAUDE, ask_anthropic, user


def test_whole_and_streamed_answers_are_the_same(anthropic_client):
    whole = ask_anthropic(anthropic_client)
    with anthropic_client.messages.stream(
        model=CLAUDE, max_tokens=1000, messages=user("Why do we sleep?")
    ) as stream:
        pieces = list(stream.text_stream)
        streamed = stream.get_final_message()
    assert streamed.content[0].text == whole.content[0].text == "".join(pieces)
    assert streamed.stop_reason == whole.stop_reason == "end_turn"
    assert streamed.usage.input_tokens == whole.usage.input_tokens
    assert streamed.usage.output_tokens == whole.usage.output_tokens == count("".join(pieces)) == len(pieces)


def test_the_events_come_in_the_documented_order(anthropic_client, server):
    server.provider.answer = lambda _: FakeReply("one two", thinking="hmm so")
    events = [event.type for event in ask_anthropic(anthropic_client, stream=True)]
    block = ["content_block_start", "content_block_delta", "content_block_delta"]
    assert events == [
        "message_start",
        *block,
        "content_block_delta",  # the signature
        "content_block_stop",
        *block,
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]


def test_thinking_blocks_come_first_and_are_billed(anthropic_client):
    thinking = {"type": "enabled", "budget_tokens": 1024}
    whole = ask_anthropic(anthropic_client, thinking=thinking, max_tokens=2000)
    assert [block.type for block in whole.content] == ["thinking", "text"]
    assert whole.usage.output_tokens == count(whole.content[0].thinking) + count(whole.content[1].text)
    with anthropic_client.messages.stream(
        model=CLAUDE, max_tokens=2000, messages=user("Why do we sleep?"), thinking=thinking
    ) as stream:
        streamed = stream.get_final_message()
    assert streamed.content[0].thinking == whole.content[0].thinking
    assert streamed.content[0].signature
    assert streamed.content[1].text == whole.content[1].text


async def test_the_async_client_works(server):
    async with anthropic.AsyncAnthropic(base_url=server.url, api_key="fake", max_retries=0) as client:
        whole = await client.messages.create(model=CLAUDE, max_tokens=100, messages=user("Hi"))
        async with client.messages.stream(model=CLAUDE, max_tokens=100, messages=user("Hi")) as stream:
            assert await stream.get_final_text() == whole.content[0].text


def test_models_and_token_counts(anthropic_client, server):
    assert [model.id for model in anthropic_client.models.list()] == list(server.provider.models)
    counted = anthropic_client.messages.count_tokens(model=CLAUDE, messages=user("Why do we sleep?"))
    assert counted.input_tokens == ask_anthropic(anthropic_client).usage.input_tokens


def test_stop_and_length_end_an_answer(anthropic_client, server):
    server.provider.answer = lambda _: "one two three four"
    stopped = ask_anthropic(anthropic_client, stop_sequences=["three"])
    assert (stopped.content[0].text, stopped.stop_reason, stopped.stop_sequence) == (
        "one two ",
        "stop_sequence",
        "three",
    )
    cut = ask_anthropic(anthropic_client, max_tokens=2)
    assert (cut.content[0].text, cut.stop_reason, cut.usage.output_tokens) == ("one two", "max_tokens", 2)


@pytest.mark.parametrize("model", ["claude-haiku-4-5", "claude-haiku-4-5-20251001", "some-other-model"])
def test_older_models_continue_a_partial_answer(anthropic_client, model):
    begun = [
        *user("Give the skeleton of an answer: why do we sleep?"),
        {"role": "assistant", "content": "1."},
    ]
    text = ask_anthropic(anthropic_client, model=model, messages=begun).content[0].text
    assert not text.startswith("1.")
    assert "\n2. " in text


@pytest.mark.parametrize(
    "model", ["claude-sonnet-4-6", "claude-opus-4-7-20260301", "claude-fable-5", "claude-sonnet-5-5"]
)
def test_newer_models_refuse_a_partial_answer(anthropic_client, model):
    begun = [*user("Why do we sleep?"), {"role": "assistant", "content": "1."}]
    with pytest.raises(anthropic.BadRequestError, match="does not support assistant message prefill"):
        ask_anthropic(anthropic_client, model=model, messages=begun)
    assert ask_anthropic(anthropic_client, model=model).content


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"messages": [*user("x"), {"role": "assistant", "content": "1. "}]}, "trailing whitespace"),
        ({"messages": user("  ")}, "non-empty"),
        ({"messages": [{"role": "system", "content": "x"}]}, "role"),
        (
            {"system": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}] * 5},
            "maximum of 4",
        ),
    ],
)
def test_malformed_requests_are_refused(anthropic_client, body, message):
    with pytest.raises(anthropic.BadRequestError, match=message):
        ask_anthropic(anthropic_client, **body)


ADD = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}}
TOOLS = [{"name": "add_up", "input_schema": ADD}, {"name": "multiply", "input_schema": ADD}]


@pytest.mark.parametrize("thinking", [False, True])
def test_tools_are_called_one_after_the_other_and_then_answered_from(anthropic_client, thinking):
    options = {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 2000} if thinking else {}
    messages = user("Please add 3 and 4, then multiply 5 by -6.")
    called = []
    while True:
        whole = ask_anthropic(anthropic_client, messages=messages, tools=TOOLS, **options)
        asked = {"model": CLAUDE, "max_tokens": 1000, "messages": messages, "tools": TOOLS, **options}
        with anthropic_client.messages.stream(**asked) as stream:
            streamed = stream.get_final_message()
        assert [block.model_dump(exclude={"id"}) for block in streamed.content] == [
            block.model_dump(exclude={"id"}) for block in whole.content
        ]
        calls = [block for block in whole.content if block.type == "tool_use"]
        if not calls:
            break
        assert whole.stop_reason == streamed.stop_reason == "tool_use"
        called += [(call.name, call.input) for call in calls]
        results = [{"type": "tool_result", "tool_use_id": call.id, "content": "done"} for call in calls]
        content = [block.model_dump() for block in whole.content]
        messages += [{"role": "assistant", "content": content}, {"role": "user", "content": results}]
    assert called == [("add_up", {"a": 3, "b": 4}), ("multiply", {"a": 5, "b": -6})]
    assert whole.stop_reason == "end_turn"


@pytest.mark.parametrize(
    ("choice", "called"),
    [("auto", None), ("none", None), ("any", "add_up"), ("tool", "multiply")],
)
def test_the_choice_of_a_tool_is_the_clients(anthropic_client, choice, called):
    wanted = {"type": choice, **({"name": called} if choice == "tool" else {})}
    content = ask_anthropic(anthropic_client, "Hello there", tools=TOOLS, tool_choice=wanted).content
    assert [block.name for block in content if block.type == "tool_use"] == ([called] if called else [])


def test_a_length_limit_cuts_a_tool_call(anthropic_client):
    message = ask_anthropic(anthropic_client, "add 12 and 13", tools=TOOLS, max_tokens=4)
    assert (message.stop_reason, message.content[0].input) == ("max_tokens", {})
