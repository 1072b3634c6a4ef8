from __future__ import annotations

import time

import anthropic
import httpx2
import openai
import pytest

from skeleton_of_thought.errors import ConfigurationError
from skeleton_of_thought.fake_server import Faults

from .asking import ask_anthropic, ask_openai, user


def text_of(chunks):
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "failure",
    [
        ("rate_limit", 429),
        ("server_error", 500),
        ("overloaded", 529),
        ("unauthorized", 401),
        ("unknown_model", 404),
    ],
)
def test_error_statuses(openai_client, anthropic_client, server, failure, stream):
    kind, status = failure
    server.faults.add(kind)
    with pytest.raises(openai.APIStatusError) as first:
        ask_openai(openai_client, stream=stream)
    with pytest.raises(anthropic.APIStatusError) as second:
        ask_anthropic(anthropic_client, stream=stream)
    assert first.value.status_code == second.value.status_code == status
    assert all("retry-after" not in caught.value.response.headers for caught in (first, second))
    assert {(entry.outcome, entry.status, entry.fault) for entry in server.ledger.entries} == {
        ("refused", status, kind)
    }


def test_retry_after_is_sent_and_the_sdk_obeys(server):
    server.faults.add("rate_limit", times=1, retry_after=0.3)
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="fake", max_retries=1) as client:
        ask_openai(client)
    refused, answered = server.ledger.entries
    assert answered.arrived - refused.arrived >= 0.3


@pytest.mark.parametrize("stream", [False, True])
def test_a_reset_breaks_the_connection(openai_client, anthropic_client, server, stream):
    server.faults.add("reset", after_tokens=2)
    with pytest.raises(openai.APIConnectionError):
        list(ask_openai(openai_client, stream=stream))
    with pytest.raises((anthropic.APIConnectionError, httpx2.NetworkError)):
        list(ask_anthropic(anthropic_client, stream=stream))
    assert server.ledger.wait_until_idle()
    assert {(entry.outcome, entry.reported) for entry in server.ledger.entries} == {("broken", False)}
    assert [entry.output_tokens == 2 for entry in server.ledger.entries] == [stream, stream]


def test_stream_errors(openai_client, anthropic_client, server):
    server.faults.add("stream_error", after_tokens=2)
    with pytest.raises(openai.APIError, match="Overloaded"):
        list(ask_openai(openai_client, stream=True))
    with pytest.raises(anthropic.APIStatusError, match="overloaded_error"):
        list(ask_anthropic(anthropic_client, stream=True))
    for ask, client in ((ask_openai, openai_client), (ask_anthropic, anthropic_client)):
        with pytest.raises((openai.InternalServerError, anthropic.InternalServerError)):
            ask(client)


@pytest.mark.parametrize("stream", [False, True])
def test_invalid_json(openai_client, anthropic_client, server, stream):
    server.faults.add("invalid_json")
    for ask, client in ((ask_openai, openai_client), (ask_anthropic, anthropic_client)):
        with pytest.raises(ValueError, match="char"):
            list(ask(client, stream=stream))


def test_slow_first_token_and_stall(openai_client, server):
    server.faults.add("slow_first_token", seconds=0.2, times=1)
    server.faults.add("stall", seconds=0.2, after_tokens=3)
    for wait_before in (1, 4):  # chunks: role, three tokens, silence
        began, waits, chunks = time.monotonic(), [], []
        for chunk in ask_openai(openai_client, stream=True):
            waits.append(time.monotonic() - began)
            chunks.append(chunk)
        assert waits[wait_before] >= 0.2
        assert text_of(chunks) == ask_openai(openai_client).choices[0].message.content
        assert wait_before == 1 or waits[wait_before - 1] < 0.2


def test_a_stalled_stream_can_be_timed_out(openai_client, server):
    server.faults.add("stall")
    with pytest.raises(openai.APITimeoutError):
        list(ask_openai(openai_client, stream=True, timeout=0.2))
    assert server.ledger.wait_until_idle()
    assert [(entry.outcome, entry.output_tokens) for entry in server.ledger.entries] == [("disconnected", 3)]


@pytest.mark.parametrize("stream", [False, True])
def test_endings_that_are_no_errors(openai_client, anthropic_client, server, stream):
    def openai_ending():
        answer = ask_openai(openai_client, stream=stream)
        if not stream:
            choice = answer.choices[0]
            return choice.message.content or "", choice.message.refusal or "", choice.finish_reason
        chunks = list(answer)
        refusal = "".join(chunk.choices[0].delta.refusal or "" for chunk in chunks)
        return text_of(chunks), refusal, chunks[-1].choices[0].finish_reason

    def anthropic_ending():
        if not stream:
            answer = ask_anthropic(anthropic_client)
        else:
            with anthropic_client.messages.stream(
                model="claude-haiku-4-5", max_tokens=1000, messages=user("Why do we sleep?")
            ) as streamed:
                answer = streamed.get_final_message()
        return "".join(block.text for block in answer.content), answer.stop_reason

    server.provider.answer = lambda _: "one two three four"
    endings = {}
    for kind in ("truncated", "refusal", "empty"):
        server.faults.clear()
        server.faults.add(kind)
        endings[kind] = openai_ending(), anthropic_ending()
    assert endings["truncated"] == (("one two three", "", "length"), ("one two three", "max_tokens"))
    assert endings["empty"] == (("", "", "stop"), ("", "end_turn"))
    assert endings["refusal"][0][0] == ""
    assert "can't help" in endings["refusal"][0][1]
    assert endings["refusal"][1] == ("", "refusal")
    server.faults.clear()
    server.faults.add("content_filter")
    assert openai_ending() == ("one two three", "", "content_filter")
    with pytest.raises(anthropic.BadRequestError, match="content filtering"):
        anthropic_ending()


def test_prefill_rejected_only_with_a_prefill(anthropic_client, server):
    server.faults.add("prefill_rejected")
    ask_anthropic(anthropic_client)
    with pytest.raises(anthropic.BadRequestError, match="does not support assistant message prefill"):
        ask_anthropic(anthropic_client, messages=[*user("Hi"), {"role": "assistant", "content": "1."}])


def failures(client, number):
    failed = []
    for place in range(number):
        try:
            ask_openai(client, f"Question {place}")
        except openai.APIStatusError:
            failed.append(place)
    return failed


def test_the_rate_holds_and_does_not_depend_on_the_order(openai_client, server):
    server.faults.add("server_error", rate=0.2, seed=7)
    failed = failures(openai_client, 100)
    assert 8 <= len(failed) <= 35
    server.faults.clear()
    server.faults.add("server_error", rate=0.2, seed=7)
    again = []
    for place in reversed(range(100)):
        try:
            ask_openai(openai_client, f"Question {place}")
        except openai.APIStatusError:
            again.append(place)
    assert sorted(again) == failed
    server.faults.clear()
    server.faults.add("server_error", rate=0.2, seed=8)
    assert failures(openai_client, 100) != failed


def test_a_repeated_request_draws_again(openai_client, server):
    server.faults.add("server_error", rate=0.5)
    outcomes = set()
    for _ in range(12):
        try:
            ask_openai(openai_client)
            outcomes.add("answered")
        except openai.InternalServerError:
            outcomes.add("failed")
    assert outcomes == {"answered", "failed"}


def test_faults_choose_their_requests(openai_client, server):
    server.faults.add("server_error", stage="skeleton", model="gpt-4o-mini", contains="sleep", times=1)
    server.faults.add("rate_limit", when=lambda request: request.max_tokens == 7)
    ask_openai(openai_client, "Why do we sleep?")
    ask_openai(openai_client, "Give me a skeleton: sleep", model="gpt-4o")
    ask_openai(openai_client, "Give me a skeleton: food")
    with pytest.raises(openai.RateLimitError):
        ask_openai(openai_client, max_tokens=7)
    with pytest.raises(openai.InternalServerError):
        ask_openai(openai_client, "Give me a skeleton: sleep")
    ask_openai(openai_client, "Give me a skeleton: sleep")


def test_faults_over_http(openai_client, server):
    with httpx2.Client(base_url=server.url) as http:
        answer = http.post("/faults", json={"kind": "overloaded", "times": 1})
        assert answer.json()["faults"][0]["kind"] == "overloaded"
        with pytest.raises(openai.InternalServerError):
            ask_openai(openai_client)
        ask_openai(openai_client)
        assert http.post("/faults", json={"kind": "fire"}).status_code == 400
        assert "kind is needed" in http.post("/faults", json={"rate": 1}).json()["error"]
        assert "retry" in http.post("/faults", json={"kind": "stall", "retry": 1}).json()["error"]
        assert http.post("/faults", content="{").status_code == 400
        assert http.delete("/faults").status_code == 204
        assert http.get("/faults").json() == {"faults": []}


@pytest.mark.parametrize("options", [{"kind": "fire"}, {"kind": "stall", "rate": 2}])
def test_wrong_faults_are_refused_at_once(options):
    with pytest.raises(ConfigurationError):
        Faults().add(**options)
