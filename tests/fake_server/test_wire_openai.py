from __future__ import annotations

import json

import openai
import pytest

from skeleton_of_thought.fake_server import FakeReply
from skeleton_of_thought.fake_server.request import count

from .asking import GPT, ask_openai, user


def test_whole_and_streamed_answers_are_the_same(openai_client, server):
    whole = ask_openai(openai_client)
    chunks = list(ask_openai(openai_client, stream=True, stream_options={"include_usage": True}))
    text = whole.choices[0].message.content
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == text
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].choices == []
    assert chunks[-1].usage == whole.usage
    assert all(chunk.usage is None for chunk in chunks[:-1])
    assert whole.usage.completion_tokens == count(text) == len(chunks) - 3
    assert len({chunk.id for chunk in chunks}) == 1


def test_the_usage_is_streamed_only_when_asked_for(openai_client, server):
    chunks = list(ask_openai(openai_client, stream=True))
    assert all(chunk.choices and chunk.usage is None for chunk in chunks)
    assert [entry.reported for entry in server.ledger.entries] == [False]


async def test_the_async_client_works(server):
    async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="fake", max_retries=0) as client:
        stream = await client.chat.completions.create(model=GPT, messages=user("Hi"), stream=True)
        text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
        whole = await client.chat.completions.create(model=GPT, messages=user("Hi"))
    assert text == whole.choices[0].message.content


def test_models_are_listed(openai_client, server):
    assert [model.id for model in openai_client.models.list()] == list(server.provider.models)


def test_stop_and_length_end_an_answer(openai_client, server):
    server.provider.answer = lambda _: "one two three four"
    stopped = ask_openai(openai_client, stop=["three", "four"])
    assert (stopped.choices[0].message.content, stopped.choices[0].finish_reason) == ("one two ", "stop")
    cut = ask_openai(openai_client, max_tokens=2)
    assert (cut.choices[0].message.content, cut.choices[0].finish_reason) == ("one two", "length")
    assert cut.usage.completion_tokens == 2


def test_reasoning_is_hidden_and_billed(openai_client, server):
    server.provider.answer = lambda request: FakeReply(
        "yes", thinking="one two three" if request.thinking else ""
    )
    answer = ask_openai(openai_client, model="o3-mini", reasoning_effort="low")
    assert answer.choices[0].message.content == "yes"
    assert answer.usage.completion_tokens == 4
    assert answer.usage.completion_tokens_details.reasoning_tokens == 3
    streamed = list(ask_openai(openai_client, model="o3-mini", reasoning_effort="low", stream=True))
    assert [chunk.choices[0].delta.content for chunk in streamed] == ["", "yes", None]


@pytest.mark.parametrize(
    ("options", "code", "param"),
    [
        ({"stop": ["x"]}, "unsupported_parameter", "stop"),
        ({"temperature": 0.2}, "unsupported_value", "temperature"),
        ({"max_tokens": 10}, "unsupported_parameter", "max_tokens"),
    ],
)
def test_reasoning_models_refuse_what_they_do_not_take(openai_client, options, code, param):
    with pytest.raises(openai.BadRequestError, match="nsupported") as caught:
        ask_openai(openai_client, model="o3-mini", **options)
    assert (caught.value.code, caught.value.param) == (code, param)
    ask_openai(openai_client, model=GPT, **options)
    ask_openai(openai_client, model="o3-mini", max_completion_tokens=10, temperature=1)


def test_a_json_schema_is_followed(openai_client):
    schema = {
        "type": "object",
        "properties": {
            "points": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {"index": {"type": "integer"}, "title": {"type": "string"}},
                },
            }
        },
    }
    form = {"type": "json_schema", "json_schema": {"name": "skeleton", "schema": schema}}
    points = json.loads(ask_openai(openai_client, response_format=form).choices[0].message.content)["points"]
    assert [point["index"] for point in points] == list(range(1, len(points) + 1))
    assert len({point["title"] for point in points}) == len(points) >= 3


@pytest.mark.parametrize(
    "body",
    [
        {"model": "", "messages": user("x")},
        {"messages": []},
        {"messages": [{"role": "wizard", "content": "x"}]},
        {"messages": [{"role": "user", "content": [{"text": "no type"}]}]},
        {"max_tokens": 0},
        {"n": 2},
        {"stop": 3},
    ],
)
def test_malformed_requests_are_refused(openai_client, server, body):
    with pytest.raises(openai.BadRequestError):
        ask_openai(openai_client, **body)
    entry = server.ledger.entries[0]
    assert (entry.outcome, entry.status, entry.usage.total_tokens) == ("refused", 400, 0)


ADD = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}}
NOTE = {"type": "object", "properties": {"text": {"type": "string"}, "kind": {"enum": ["short", "long"]}}}
TOOLS = [
    {"type": "function", "function": {"name": "add_up", "parameters": ADD}},
    {"type": "function", "function": {"name": "note", "parameters": NOTE}},
]


def test_tools_are_called_one_after_the_other_and_then_answered_from(openai_client):
    messages = user("Please add 3 and 4, then note 'Ärger'.")
    called = []
    while calls := (message := turn(openai_client, messages)).tool_calls:
        called += [(call.function.name, json.loads(call.function.arguments)) for call in calls]
        results = [{"role": "tool", "tool_call_id": call.id, "content": "done"} for call in calls]
        messages = [*messages, message.model_dump(exclude_none=True), *results]
    assert called == [("add_up", {"a": 3, "b": 4}), ("note", {"text": "Ärger", "kind": "short"})]
    assert message.content


def turn(client, messages):
    whole = ask_openai(client, messages=messages, tools=TOOLS).choices[0]
    with client.chat.completions.stream(model=GPT, messages=messages, tools=TOOLS) as stream:
        choice = stream.get_final_completion().choices[0]
    assert (choice.finish_reason, choice.message.content or None) == (
        whole.finish_reason,
        whole.message.content,
    )
    assert [call.function.arguments for call in choice.message.tool_calls or ()] == [
        call.function.arguments for call in whole.message.tool_calls or ()
    ]
    assert (whole.finish_reason == "tool_calls") == bool(whole.message.tool_calls)
    return whole.message


@pytest.mark.parametrize(
    ("choice", "called"),
    [
        ("auto", None),
        ("none", None),
        ("required", "add_up"),
        ({"type": "function", "function": {"name": "note"}}, "note"),
    ],
)
def test_the_choice_of_a_tool_is_the_clients(openai_client, choice, called):
    message = ask_openai(openai_client, "Hello there", tools=TOOLS, tool_choice=choice).choices[0].message
    assert [call.function.name for call in message.tool_calls or ()] == ([called] if called else [])


def test_a_length_limit_cuts_a_tool_call(openai_client, server):
    choice = ask_openai(openai_client, "add 12 and 13", tools=TOOLS, max_tokens=4).choices[0]
    assert choice.finish_reason == "length"
    assert choice.message.tool_calls[0].function.arguments == '{"a"'
    assert server.ledger.entries[-1].usage.output_tokens == 4
