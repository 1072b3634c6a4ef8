"""`sot serve` as its clients see it."""

from __future__ import annotations

import itertools
import json
import logging
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import httpx
import openai
import pytest
from langchain_core.messages import HumanMessage
from langchain_openai import ChatOpenAI
from llama_index.core.llms import ChatMessage

from llamaindex_sot import LangChainLLM
from skeleton_of_thought import speeds
from skeleton_of_thought.fake_server import FakeReply, Pace, stage_of, wire_openai
from sot_command.server import answering
from sot_command.server.writing import Gathered

from .serving import Serving

QUESTION = [{"role": "user", "content": "What are the main benefits of learning a second language?"}]
HELLO = [{"role": "user", "content": "Hi"}]
SOT = {"sot": {"route": "sot"}}
TOOL = {
    "type": "function",
    "function": {
        "name": "look_up",
        "parameters": {"type": "object", "properties": {"word": {"type": "string"}}},
    },
}


@pytest.fixture(scope="module")
def serving(shared_server):
    with Serving(base_url=f"{shared_server.url}/v1", retries=2) as serving:
        yield serving


@pytest.fixture
def client(serving, fake):
    with openai.OpenAI(base_url=serving.url, api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture
def asked(fake):
    """The requests that reached the upstream."""
    requests, answer = [], fake.provider.answer

    def noting(request):
        requests.append(request)
        return answer(request)

    fake.provider.answer = noting
    return requests


def ask(client, messages=QUESTION, **options):
    return client.chat.completions.create(model="gpt-4o-mini", messages=messages, **options)


def post(serving, body, **options):
    return httpx.post(f"{serving.url}/chat/completions", json=body, **options)


# The openai SDK.


def test_a_skeleton_answer_whole(client):
    raw = client.chat.completions.with_raw_response.create(
        model="gpt-4o-mini", messages=QUESTION, extra_body=SOT
    )
    answer = raw.parse()
    assert raw.headers["x-sot-route"] == "sot"
    assert raw.headers["x-request-id"]
    assert answer.sot["route"] == "sot"
    assert len(answer.sot["points"]) == 4
    assert all(point["text"] in answer.choices[0].message.content for point in answer.sot["points"])
    assert answer.usage.total_tokens == answer.sot["usage"]["total_tokens"] > 0


def test_a_skeleton_answer_streamed_in_reading_order(client):
    stream = ask(client, stream=True, stream_options={"include_usage": True}, extra_body=SOT)
    chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    sot = chunks[-1].sot
    places = [text.index(point["title"]) for point in sot["points"]]
    assert places == sorted(places)
    assert len(chunks) > 6
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage.total_tokens == sot["usage"]["total_tokens"]


def test_usage_and_sot_only_for_who_asks(client):
    chunks = list(ask(client, stream=True))
    assert all(chunk.choices and chunk.usage is None for chunk in chunks)
    assert not hasattr(ask(client), "sot")


@pytest.mark.parametrize("route", ["direct", "sot"])
def test_an_upstream_that_sends_content_in_parts_is_heard(client, fake, monkeypatch, route):
    def in_parts(self, place):
        return self._chunk({"content": [{"type": "text", "text": self._turn.tokens[place]}]})

    monkeypatch.setattr(wire_openai.OpenAIStream, "token", in_parts)
    forced = {"sot": {"route": route}}
    whole = ask(client, extra_body=forced).choices[0].message.content
    shown = [
        chunk.choices[0].delta.content
        for chunk in ask(client, stream=True, extra_body=forced)
        if chunk.choices
    ]
    assert "".join(filter(None, shown)) == whole
    assert whole.startswith(fake.provider.ledger.entries[0].text.partition("\n")[0])
    assert len(whole) > 100


def test_the_router_decides_where_nobody_does(client):
    decided = ask(client, extra_body={"sot": True}).sot, ask(client, HELLO, extra_body={"sot": True}).sot
    assert [sot["route"] for sot in decided] == ["sot", "direct"]


def test_a_header_forces_the_route_and_the_body_counts_more(client):
    headers = {"x-sot-route": "direct"}
    assert ask(client, extra_headers=headers, extra_body={"sot": True}).sot["route"] == "direct"
    assert ask(client, extra_headers=headers, extra_body=SOT).sot["route"] == "sot"


def test_what_the_caller_sets_reaches_the_model(client, asked):
    ask(client, temperature=0.3, seed=7, user="me", extra_body={**SOT, "top_k": 5})
    for request in asked:
        body = request.body
        assert (body["temperature"], body["seed"], body["user"], body["top_k"]) == (0.3, 7, "me", 5)
        assert "sot" not in body
    assert len(asked) == 5


def test_a_length_limit_is_shared_among_the_points(client, asked):
    ask(client, max_tokens=400, extra_body=SOT)
    limits = [request.max_tokens for request in asked]
    assert limits == [400, 50, 50, 50, 50]
    assert ask(client, max_tokens=60, extra_body=SOT).sot["route"] == "direct"


@pytest.mark.parametrize(
    "field",
    [
        {"tools": [TOOL]},
        {"response_format": {"type": "json_object"}},
        {"stop": ["\n"]},
        {"logprobs": True},
    ],
    ids=lambda field: next(iter(field)),
)
def test_tools_formats_and_stops_go_to_one_plain_answer(client, asked, field):
    answer = ask(client, **field, extra_body=SOT)
    (request,) = asked
    name = next(iter(field))
    assert answer.sot["route"] == "direct"
    assert request.body[name] == field[name]


def test_a_call_whose_later_pieces_name_nothing_keeps_its_name():
    first = {"index": 0, "id": "c1", "type": "function", "function": {"name": "look_up", "arguments": ""}}
    others = [
        {"index": 0, "id": "", "type": "", "function": {"name": "", "arguments": '{"word": '}},
        {"index": 0, "id": None, "type": None, "function": {"name": None, "arguments": '"tea"}'}},
    ]
    gathered = Gathered()
    for piece in (first, *others):
        gathered.add({"choices": [{"index": 0, "delta": {"tool_calls": [piece]}}]})
    (choice,) = gathered.choices()
    (call,) = choice["message"]["tool_calls"]
    function = {"name": "look_up", "arguments": '{"word": "tea"}'}
    assert call == {"id": "c1", "type": "function", "function": function}


def test_calls_without_a_place_are_calls_of_their_own():
    gathered = Gathered()
    calls = [
        {"index": None, "id": name, "function": {"name": name, "arguments": "{}"}} for name in ("a", "b")
    ]
    gathered.add({"choices": [{"index": 0, "delta": {"tool_calls": calls}}]})
    assert [call["id"] for call in gathered.choices()[0]["message"]["tool_calls"]] == ["a", "b"]


def test_a_conversation_with_tool_calls_arrives_unchanged(client, asked):
    call = {"id": "c1", "type": "function", "function": {"name": "look_up", "arguments": "{}"}}
    messages = [
        *HELLO,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "a word"},
    ]
    ask(client, messages, tools=[TOOL])
    (request,) = asked
    assert request.body["messages"] == messages


# Errors.


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({}, 400, "messages"),
        ({"messages": []}, 400, "messages"),
        ({"messages": [{"role": "robot", "content": "x"}]}, 400, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 5}]}, 400, "messages[0].content"),
        ({"messages": HELLO, "model": "gpt-9"}, 404, "model"),
        ({"messages": HELLO, "sot": {"route": "both"}}, 400, "sot"),
        ({"messages": HELLO, "sot_route": ["sot"]}, 400, "sot"),
        ({"messages": HELLO, "stream_options": "x"}, 400, "stream_options"),
        ({"messages": HELLO, "max_tokens": 0}, 400, "max_tokens"),
        ({"messages": [{"role": "user", "content": " "}]}, 400, None),
        ([], 400, None),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_wrong_request_is_refused_in_openais_shape(serving, fake, body, status, param, stream):  # noqa: PLR0917
    response = post(serving, {**body, "stream": stream} if isinstance(body, dict) else body)
    assert response.status_code == status
    error = response.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert error["param"] == param
    assert fake.provider.ledger.entries == ()


@pytest.mark.parametrize("content", [b"{", b"[" * 100_000], ids=["half", "deep"])
def test_what_is_no_json_is_refused_and_counted(serving, content):
    def counted():
        metrics = httpx.get(f"{serving.address}/metrics").text.splitlines()
        return [line for line in metrics if line.startswith('sot_requests_total{route="none",outcome="400"}')]

    before = counted()
    response = httpx.post(f"{serving.url}/chat/completions", content=content)
    assert response.status_code == 400
    assert "no JSON" in response.json()["error"]["message"]
    assert counted() != before


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("kind", "status"), [("server_error", 502), ("unauthorized", 502), ("unknown_model", 404)]
)
def test_an_upstreams_error_has_the_status_that_fits(serving, fake, kind, status, stream):
    fake.provider.faults.add(kind)
    response = post(serving, {"messages": HELLO, "stream": stream})
    assert response.status_code == status
    assert response.json()["error"]["message"]


@pytest.mark.parametrize("kind", ["stream_error", "reset"])
def test_a_plain_stream_that_breaks_in_the_middle_is_gone_on_with(client, fake, kind):
    fake.provider.faults.add(kind, times=1, after_tokens=5)
    chunks = [chunk for chunk in ask(client, HELLO, stream=True) if chunk.choices]
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    begun, rest = text.split(" […]\n\n")
    assert begun
    assert rest == fake.provider.ledger.entries[-1].text
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices[0].finish_reason] == ["stop"]
    assert len(fake.provider.ledger.entries) == 2


def test_a_stream_that_is_gone_on_with_ends_with_the_usage_and_the_whole_text(client, fake):
    fake.provider.faults.add("reset", times=1, after_tokens=5)
    fields = {"sot": {"route": "direct"}}
    chunks = list(ask(client, HELLO, stream=True, stream_options={"include_usage": True}, extra_body=fields))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text.endswith(f" […]\n\n{fake.provider.ledger.entries[-1].text}")
    assert chunks[-1].sot["route"] == "direct"
    assert "gone on with" in chunks[-1].sot["reason"]
    used = fake.provider.ledger.usage()
    assert chunks[-1].usage.total_tokens == chunks[-1].sot["usage"]["total_tokens"] == used.total_tokens
    assert {chunk.id for chunk in chunks} == {chunks[0].id}
    assert sum(chunk.choices[0].delta.role is not None for chunk in chunks if chunk.choices) == 1


@pytest.mark.parametrize("kind", ["stream_error", "reset"])
@pytest.mark.parametrize(
    "field",
    [{"n": 2}, {"tools": [TOOL]}, {"response_format": {"type": "json_object"}}],
    ids=lambda field: next(iter(field)),
)
def test_a_stream_that_only_the_plain_model_can_write_ends_with_an_error_event(
    client, fake, monkeypatch, kind, field
):
    read = wire_openai.read
    monkeypatch.setattr(wire_openai, "read", lambda body, **options: read({**body, "n": 1}, **options))
    fake.provider.faults.add(kind, after_tokens=5)
    chunks = []
    with pytest.raises(openai.APIError):
        chunks.extend(ask(client, HELLO, stream=True, **field))
    assert [entry.outcome for entry in fake.provider.ledger.entries] == ["broken"]


def first_point(request):
    return [number for number, _ in stage_of(request).points] == [1]


def second_point(request):
    return [number for number, _ in stage_of(request).points] == [2]


@pytest.mark.parametrize(("stream", "status"), [(False, 502), (True, 200)])
def test_a_point_that_fails_for_good_ends_the_answer_where_that_is_wanted(
    shared_server, fake, stream, status
):
    fake.provider.faults.add("server_error", when=second_point)
    with Serving(base_url=f"{shared_server.url}/v1", retries=1, on_point_error="raise") as serving:
        response = post(serving, {"messages": QUESTION, "stream": stream, **SOT})
    assert response.status_code == status
    last = response.text.removesuffix("\n\n").rpartition("data: ")[2]
    assert json.loads(last)["error"]["message"]
    refused = [entry for entry in fake.provider.ledger.entries if entry.outcome == "refused"]
    assert len(refused) == 2  # once, and once again


def test_the_usage_of_an_answer_that_was_begun_again_counts_what_was_lost(shared_server, fake):
    fake.provider.faults.add("stream_error", times=1, after_tokens=5, when=first_point)
    with Serving(base_url=f"{shared_server.url}/v1", retries=1, on_point_error="raise") as serving:
        answer = post(serving, {"messages": QUESTION, **SOT}).json()
    assert {point["status"] for point in answer["sot"]["points"]} == {"ok"}
    assert [entry.stage for entry in fake.provider.ledger.entries].count("opening") == 2
    used = fake.provider.ledger.usage()
    assert answer["usage"]["total_tokens"] == answer["sot"]["usage"]["total_tokens"] == used.total_tokens


@pytest.mark.parametrize("stream", [False, True])
def test_answers_in_a_row_use_one_connection_to_the_upstream(client, fake, stream):
    for _ in range(3):
        answer = ask(client, HELLO, stream=stream)
        if stream:
            list(answer)
    assert len({entry.client for entry in fake.provider.ledger.entries}) == 1


@pytest.mark.parametrize("kind", ["stream_error", "reset", "server_error"])
def test_an_answer_that_is_not_shown_yet_is_begun_again(client, fake, kind):
    fake.provider.faults.add(kind, times=1)
    answer = ask(client, HELLO)
    assert answer.choices[0].message.content == fake.provider.ledger.entries[-1].text
    assert answer.choices[0].finish_reason == "stop"


@pytest.mark.parametrize("retries", [0, 2])
@pytest.mark.parametrize(
    ("kind", "after_tokens"), [("reset", 5), ("stream_error", 5), ("reset", 0), ("server_error", 0)]
)
def test_an_answer_is_not_begun_again_more_often_than_requests_are_sent_again(
    shared_server, fake, kind, after_tokens, retries
):
    fake.provider.faults.add(kind, after_tokens=after_tokens)
    with Serving(base_url=f"{shared_server.url}/v1", retries=retries) as serving:
        assert post(serving, {"messages": HELLO}).status_code == 502
    assert len(fake.provider.ledger.entries) == 1 + retries


def test_beginning_again_does_not_begin_the_waiting_again(shared_server, fake):
    fake.provider.faults.add("stream_error", times=1, after_tokens=5)
    fake.provider.faults.add("rate_limit", retry_after=1000)
    with Serving(base_url=f"{shared_server.url}/v1", retries=2) as serving:
        assert post(serving, {"messages": HELLO}).status_code == 429
    assert len(fake.provider.ledger.entries) == 2


def test_beginning_again_does_not_begin_the_timeout_again(shared_server, fake, monkeypatch):
    clock = itertools.count(step=100.0)  # seconds from look to look
    times = SimpleNamespace(monotonic=lambda: next(clock), perf_counter=time.perf_counter)
    monkeypatch.setattr(answering, "time", times)
    fake.provider.faults.add("stream_error", times=1, after_tokens=5)
    with Serving(base_url=f"{shared_server.url}/v1", retries=2, timeout=60) as serving:
        assert post(serving, {"messages": HELLO}).status_code == 502
    assert len(fake.provider.ledger.entries) == 1


@pytest.mark.parametrize("kind", ["server_error", "reset", "stream_error"])
def test_points_that_fail_are_asked_for_again(client, fake, kind):
    fake.provider.faults.add(kind, stage="point", times=2)
    assert {point["status"] for point in ask(client, extra_body=SOT).sot["points"]} == {"ok"}


def test_a_model_that_does_not_manage_the_opening_protocol_is_asked_in_it_once(client, fake):
    plausible, asked = fake.provider.answer, []

    def answer(request):
        asked.append(stage_of(request).kind)
        text = "An opening.\n\nOUTLINE\n\n" + "No plan but a finished text. " * 60
        return FakeReply(text) if asked[-1] == "opening" else plausible(request)

    fake.provider.answer = answer
    routes = [ask(client, extra_body=SOT).sot["route"] for _ in range(2)]
    assert routes == ["direct", "sot"]
    assert (asked.count("opening"), asked.count("skeleton")) == (1, 1)


# Leaving and stopping.


@pytest.mark.parametrize("stream", [False, True])
def test_when_the_client_leaves_the_upstream_is_told(serving, fake, stream):
    fake.provider.pace = Pace(first_token=0.01, per_token=0.1)
    with pytest.raises(httpx.TimeoutException):
        post(serving, {"messages": QUESTION, "stream": stream, **SOT}, timeout=0.4)
    assert fake.provider.ledger.wait_until_idle(5)
    assert any(entry.outcome == "disconnected" for entry in fake.provider.ledger.entries)
    until = time.monotonic() + 5
    while serving.service.metrics.in_flight and time.monotonic() < until:
        time.sleep(0.01)
    assert serving.service.metrics.in_flight == 0


def test_a_stop_lets_answers_finish(fake):
    fake.provider.pace = Pace(first_token=0.05, per_token=0.02)
    with Serving(base_url=f"{fake.url}/v1") as serving:
        answers = []
        body = {"messages": QUESTION, **SOT}
        asking = threading.Thread(target=lambda: answers.append(post(serving, body, timeout=30)))
        asking.start()
        until = time.monotonic() + 5
        while not serving.service.metrics.in_flight and time.monotonic() < until:
            time.sleep(0.01)
        serving.stop()
        asking.join(10)
        assert answers[0].status_code == 200
        assert len(answers[0].json()["sot"]["points"]) == 4
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{serving.address}/health")


# Around the answers.


def test_a_key_is_asked_for_where_one_is_set(shared_server, fake):
    with Serving(base_url=f"{shared_server.url}/v1", api_key="sesame") as serving:
        for headers in ({}, {"authorization": "Bearer wrong"}):
            refused = post(serving, {"messages": HELLO}, headers=headers)
            assert refused.status_code == 401
            assert refused.json()["error"]["code"] == "invalid_api_key"
        assert httpx.get(f"{serving.url}/models").status_code == 401
        assert httpx.get(f"{serving.address}/health").status_code == 200
        assert (
            post(serving, {"messages": HELLO}, headers={"authorization": "Bearer sesame"}).status_code == 200
        )


def test_models_health_ready_and_metrics(serving, client):
    assert [model.id for model in client.models.list()] == ["gpt-4o-mini"]
    assert client.models.retrieve("gpt-4o-mini").object == "model"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-9")
    assert httpx.get(f"{serving.address}/health").json() == {"status": "ok"}
    assert httpx.get(f"{serving.address}/ready").json() == {"ready": True}
    ask(client, extra_body=SOT)
    metrics = httpx.get(f"{serving.address}/metrics").text
    assert 'sot_requests_total{route="sot",outcome="200"}' in metrics
    assert 'sot_answer_seconds_bucket{route="sot",le="+Inf"}' in metrics
    assert httpx.get(f"{serving.address}/nothing").json()["error"]["type"] == "not_found_error"
    assert httpx.get(f"{serving.url}/chat/completions").status_code == 405


def test_logs_are_json_and_say_neither_words_nor_keys(serving, fake, caplog):
    caplog.set_level(logging.INFO, "sot_command.server")
    body = {"messages": [{"role": "user", "content": "My password is hunter2, what is yours?"}]}
    post(serving, body, headers={"authorization": "Bearer hunter2"})
    post(serving, {"messages": [{"role": "hunter2", "content": "x"}]})
    until = time.monotonic() + 5
    while len(caplog.records) < 2 and time.monotonic() < until:
        time.sleep(0.01)  # a line is written after the answer is out
    told = [json.loads(record.message) for record in caplog.records if record.name == "sot_command.server"]
    assert [line["outcome"] for line in told] == ["200", "400"]
    assert told[0]["seconds"] > 0
    assert told[0]["output_tokens"] > 0
    assert "hunter2" not in caplog.text


def test_the_limiter_holds_all_answers_together(shared_server, fake):
    fake.provider.pace = Pace(first_token=0.02, per_token=0)
    with Serving(base_url=f"{shared_server.url}/v1", max_concurrency=2) as serving:
        threads = [
            threading.Thread(target=post, args=(serving, {"messages": QUESTION, **SOT})) for _ in range(3)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert "sot_limiter_load" in httpx.get(f"{serving.address}/metrics").text
    assert fake.provider.ledger.most_concurrent() <= 2


def test_the_prompt_cache_is_told_what_is_shared(shared_server, asked):
    with Serving(base_url=f"{shared_server.url}/v1", prompt_cache=True) as serving:
        system = {"role": "system", "content": "Be brief. " * 600}
        post(serving, {"messages": [system, *QUESTION], **SOT})
    keys = {request.body.get("prompt_cache_key") for request in asked}
    assert len(keys) == 1
    assert keys.pop().startswith("sot-")


# Other clients.


def test_chat_openai(serving, fake):
    model = ChatOpenAI(
        model="gpt-4o-mini", base_url=serving.url, api_key="none", stream_usage=True, use_responses_api=False
    )
    answer = model.invoke([HumanMessage(QUESTION[0]["content"])], extra_body=SOT)
    chunks = list(model.stream(QUESTION[0]["content"], extra_body=SOT))
    assert answer.text == "".join(chunk.text for chunk in chunks)
    assert answer.usage_metadata["total_tokens"] > 0
    assert sum(chunk.usage_metadata["total_tokens"] for chunk in chunks if chunk.usage_metadata) > 0


def test_llamaindex_through_a_langchain_model(serving, fake):
    model = ChatOpenAI(model="gpt-4o-mini", base_url=serving.url, api_key="none", use_responses_api=False)
    llm = LangChainLLM(model)
    question = [ChatMessage(content=QUESTION[0]["content"])]
    # Unforced, the second answer may be plain: the fake model writes too fast for a skeleton to gain anything.
    answer = llm.chat(question, extra_body=SOT)
    pieces = list(llm.stream_chat(question, extra_body=SOT))
    assert answer.message.content == "".join(piece.delta or "" for piece in pieces)
    assert len(pieces) > 6


def test_llamaindexs_openai_like_llm(serving, fake):
    openai_like = pytest.importorskip("llama_index.llms.openai_like")
    llm = openai_like.OpenAILike(
        model="gpt-4o-mini", api_base=serving.url, api_key="none", is_chat_model=True, context_window=8000
    )
    answer = llm.chat([ChatMessage(content=QUESTION[0]["content"])], extra_body=SOT)
    pieces = list(llm.stream_chat([ChatMessage(content=QUESTION[0]["content"])], extra_body=SOT))
    assert answer.message.content == "".join(piece.delta or "" for piece in pieces)
    assert len(pieces) > 6


def test_curl(serving, fake):
    body = json.dumps({"model": "default", "messages": QUESTION, "stream": True, **SOT})
    command = [
        "curl",
        "-sN",
        f"{serving.url}/chat/completions",
        "-H",
        "content-type: application/json",
        "-d",
        body,
    ]
    told = subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout
    events = [line.removeprefix("data: ") for line in told.splitlines() if line]
    assert events[-1] == "[DONE]"
    assert json.loads(events[-2])["sot"]["route"] == "sot"


def test_anthropics_api_behind(shared_server, asked):
    with Serving("anthropic:claude-haiku-4-5", base_url=shared_server.url) as serving:
        answer = post(serving, {"messages": QUESTION, "temperature": 0.5, **SOT}).json()
        refused = post(serving, {"messages": QUESTION, "tools": [TOOL]})
    assert answer["sot"]["route"] == "sot"
    assert {request.body["temperature"] for request in asked} == {0.5}
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == "tools"


def test_the_packaged_model_behind():
    with Serving("local", max_points=3) as serving:
        until = time.monotonic() + 60
        while httpx.get(f"{serving.address}/ready").status_code == 503 and time.monotonic() < until:
            time.sleep(0.05)
        body = {
            "messages": QUESTION,
            "stream": True,
            "temperature": 0,
            "stream_options": {"include_usage": True},
        }
        text, usage = "", None
        with httpx.stream(
            "POST", f"{serving.url}/chat/completions", json={**body, **SOT}, timeout=60
        ) as response:
            for line in response.iter_lines():
                if line.startswith("data: {"):
                    chunk = json.loads(line[6:])
                    usage = chunk.get("usage") or usage
                    text += "".join(choice["delta"].get("content") or "" for choice in chunk["choices"])
    assert response.headers["x-sot-route"] == "sot"
    assert text.startswith("1. ")
    assert usage["completion_tokens"] > 10


def test_a_model_that_answers_in_turn_is_answered_plainly_unless_a_skeleton_is_forced(
    shared_server, fake, monkeypatch
):
    monkeypatch.setattr(speeds, "_KNOWN", {})
    fake.provider.slots, fake.provider.pace = 1, Pace(first_token=0.02, per_token=0.001)
    try:
        with Serving(base_url=f"{shared_server.url}/v1") as serving:
            asked = [post(serving, {"messages": QUESTION, "sot": True}).json()["sot"] for _ in range(3)]
            forced = post(serving, {"messages": QUESTION, **SOT}).json()["sot"]
    finally:
        fake.provider.slots = None
    assert [sot["route"] for sot in asked] == ["sot", "direct", "direct"]
    assert "no gain to expect" in asked[1]["reason"]
    assert forced["route"] == "sot"


def test_the_command_serves_until_it_is_told_to_stop(shared_server, fake):
    program = "from sot_command import main; main()"
    options = ["--model", "openai:gpt-4o-mini", "--base-url", f"{shared_server.url}/v1", "--port", "0"]
    with subprocess.Popen(
        [sys.executable, "-c", program, "serve", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as process:
        told = process.stdout.readline()
        assert "serves gpt-4o-mini" in told
        url = told.split()[0]
        assert httpx.post(f"{url}/chat/completions", json={"messages": HELLO}, timeout=30).status_code == 200
        process.send_signal(signal.SIGTERM)
        _, logged = process.communicate(timeout=30)
    (line,) = [json.loads(line) for line in logged.splitlines()]
    assert line["outcome"] == "200"
    assert line["route"] == "direct"
