from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from skeleton_of_thought.fake_server import Ledger, Pace
from skeleton_of_thought.usage import Usage

from .asking import ask_anthropic, ask_openai


def test_entries_tell_who_what_and_when(openai_client, anthropic_client, server):
    server.provider.pace = Pace(first_token=0.05, per_token=0.002)
    before = time.monotonic()
    answer = ask_openai(openai_client)
    ask_anthropic(anthropic_client)
    first, second = server.ledger.entries
    assert (first.api, first.model, first.stage, first.stream) == ("openai", "gpt-4o-mini", "direct", False)
    assert before < first.arrived < first.first_token < first.ended < second.arrived < time.monotonic()
    assert first.first_token - first.arrived >= 0.05
    assert first.usage == Usage(answer.usage.prompt_tokens, answer.usage.completion_tokens)
    assert (first.outcome, first.status, first.finish, second.finish) == ("answered", 200, "stop", "end_turn")
    assert first.text == answer.choices[0].message.content
    assert first.client.startswith("127.0.0.1:")
    assert first.client != second.client
    assert first.prompt_hash == second.prompt_hash
    assert server.ledger.usage() == first.usage + second.usage


def test_a_client_that_leaves_is_noticed(openai_client, server):
    server.provider.pace = Pace(per_token=0.01)
    server.provider.answer = lambda _: "word " * 1000
    stream = ask_openai(openai_client, stream=True)
    for _, _ in zip(range(6), stream, strict=False):
        pass
    left = time.monotonic()
    stream.close()
    assert server.ledger.wait_until_idle()
    entry = server.ledger.entries[0]
    assert entry.outcome == "disconnected"
    assert entry.ended - left < 0.5
    assert 5 <= entry.output_tokens < 100
    assert not entry.reported


def test_a_client_that_leaves_before_a_whole_answer_is_noticed(server):
    server.provider.pace = Pace(first_token=0.05, per_token=0.01)
    server.provider.answer = lambda _: "word " * 1000
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
    with pytest.raises(httpx2.ReadTimeout):
        httpx2.post(f"{server.url}/v1/chat/completions", json=body, timeout=0.3)
    assert server.ledger.wait_until_idle()
    entry = server.ledger.entries[0]
    assert (entry.outcome, entry.input_tokens) == ("disconnected", 7)
    assert 10 <= entry.output_tokens <= 60


def test_the_ledger_over_http(openai_client, server):
    ask_openai(openai_client)
    with httpx2.Client(base_url=server.url) as http:
        shown = http.get("/ledger").json()["entries"]
        assert shown[0]["output_tokens"] == server.ledger.entries[0].output_tokens
        assert "prompt" not in shown[0]
        again = Ledger.from_json(shown)
        assert again.usage() == server.ledger.usage()
        assert again.entries[0].arrived == server.ledger.entries[0].arrived
        told = http.get("/ledger", params={"texts": "true"}).json()["entries"]
        assert Ledger.from_json(told).entries == server.ledger.entries
        assert http.delete("/ledger").status_code == 204
    assert server.ledger.entries == ()


def test_peaks(openai_client, server):
    server.provider.pace = Pace(first_token=0.2)
    with ThreadPoolExecutor(5) as pool:
        list(pool.map(lambda _: ask_openai(openai_client), range(5)))
    ask_openai(openai_client)
    ledger = server.ledger
    assert ledger.most_concurrent() == 5
    assert (ledger.most_within(0.15), ledger.most_within(60)) == (5, 6)
    assert ledger.most_within(60, tokens=True) == ledger.usage().total_tokens
