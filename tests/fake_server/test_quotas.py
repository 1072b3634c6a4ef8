from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import anthropic
import openai
import pytest

from skeleton_of_thought.fake_server import Pace, Quota

from .asking import ask_anthropic, ask_openai


def test_requests_per_minute_in_a_sliding_window(openai_client, server):
    server.provider.quota = Quota(requests_per_minute=3, window=0.4)
    answers = [
        openai_client.chat.completions.with_raw_response.create(
            model="m", messages=[{"role": "user", "content": "Hi"}]
        )
        for _ in range(3)
    ]
    assert [answer.headers["x-ratelimit-remaining-requests"] for answer in answers] == ["2", "1", "0"]
    with pytest.raises(openai.RateLimitError) as caught:
        ask_openai(openai_client)
    assert 0 < float(caught.value.response.headers["retry-after-ms"]) <= 400
    assert caught.value.response.headers["retry-after"] == "1"
    time.sleep(0.41)
    ask_openai(openai_client)


def test_tokens_per_minute_count_prompt_and_answer(anthropic_client, server):
    server.provider.answer = lambda _: "one two three"
    server.provider.quota = Quota(tokens_per_minute=40, window=0.4)
    answer = ask_anthropic(anthropic_client, "Hello there")
    assert answer.usage.input_tokens + answer.usage.output_tokens == 11
    for _ in range(2):
        raw = anthropic_client.messages.with_raw_response.create(
            model="claude-haiku-4-5", max_tokens=9, messages=[{"role": "user", "content": "Hello there"}]
        )
    assert raw.headers["anthropic-ratelimit-tokens-remaining"] == "7"
    with pytest.raises(anthropic.RateLimitError):
        ask_anthropic(anthropic_client, "Hello there")
    time.sleep(0.41)
    ask_anthropic(anthropic_client, "Hello there")


def test_cached_tokens_may_be_free(anthropic_client, server):
    server.provider.answer = lambda _: "yes"
    system = [{"type": "text", "text": "word " * 1500, "cache_control": {"type": "ephemeral"}}]
    for count_cached, served in ((False, 9), (True, 1)):
        server.provider.meter.clear()
        server.provider.cache.clear()
        server.provider.quota = Quota(tokens_per_minute=1700, count_cached=count_cached)
        answered = 0
        for _ in range(9):
            try:
                ask_anthropic(anthropic_client, "Hi", system=system)
                answered += 1
            except anthropic.RateLimitError:
                pass
        assert answered == served


def test_concurrent_requests(openai_client, server):
    server.provider.quota = Quota(max_concurrent=2)
    server.provider.pace = Pace(first_token=0.2)

    def ask(_):
        try:
            ask_openai(openai_client)
        except openai.RateLimitError as error:
            return error.status_code
        return 200

    with ThreadPoolExecutor(5) as pool:
        statuses = sorted(pool.map(ask, range(5)))
    assert statuses == [200, 200, 429, 429, 429]
    assert server.ledger.most_concurrent() == 2
    assert ask(0) == 200


def test_connections_are_closed_after_their_share(openai_client, server):
    server.provider.quota = Quota(requests_per_connection=2)
    for _ in range(4):
        ask_openai(openai_client)
    clients = [entry.client for entry in server.ledger.entries]
    assert clients[0] == clients[1] != clients[2] == clients[3]
