from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from skeleton_of_thought.fake_server import Pace

from .asking import ask_anthropic, ask_openai, words

EPHEMERAL = {"type": "ephemeral"}


def cached(client, text, **options):
    return ask_openai(client, text, **options).usage.prompt_tokens_details.cached_tokens


def test_openai_caches_in_steps_of_128_from_1024(openai_client):
    long = words(1400)
    assert cached(openai_client, long) == 0
    assert cached(openai_client, long) == 1280 + 0 * 128  # 1,400 and the frames: ten full steps
    assert cached(openai_client, words(1200) + " and then something else " + words(300)) == 1152
    assert cached(openai_client, words(1000) + " and then something else " + words(300)) == 0


def test_openai_caches_nothing_below_1024(openai_client):
    short = words(1010)
    assert [cached(openai_client, short) for _ in range(2)] == [0, 0]
    enough = words(1018)  # 1,024 with the frames
    assert [cached(openai_client, enough) for _ in range(2)] == [0, 1024]


def test_openai_cache_keys_and_models_do_not_share(openai_client):
    long = words(1400)
    assert cached(openai_client, long, prompt_cache_key="a") == 0
    assert cached(openai_client, long, prompt_cache_key="b") == 0
    assert cached(openai_client, long, model="gpt-4o") == 0
    assert cached(openai_client, long, prompt_cache_key="a") > 0


def system(text, **control):
    return [{"type": "text", "text": text, **({"cache_control": EPHEMERAL} | control)}]


def counts(answer):
    usage = answer.usage
    return usage.input_tokens, usage.cache_creation_input_tokens, usage.cache_read_input_tokens


def test_anthropic_writes_and_reads_up_to_the_breakpoint(anthropic_client, server):
    shared = system(words(1500))
    first = ask_anthropic(anthropic_client, "One?", system=shared)
    second = ask_anthropic(anthropic_client, "Two, and longer?", system=shared)
    assert counts(first)[1:] == (1503, 0)
    assert counts(second)[1:] == (0, 1503)
    assert counts(first)[0] + 3 == counts(second)[0]
    entry = server.ledger.entries[1]
    assert entry.input_tokens == sum(counts(second))
    assert (entry.cache_read_tokens, entry.cache_write_tokens) == (1503, 0)


def test_anthropic_caches_nothing_unasked_or_short(anthropic_client):
    for options in ({"system": words(1500)}, {"system": system(words(1000))}):
        assert [counts(ask_anthropic(anthropic_client, **options))[1:] for _ in range(2)] == [(0, 0), (0, 0)]


def test_a_longer_prefix_is_read_and_the_rest_is_written(anthropic_client):
    shared = system(words(1500))
    ask_anthropic(anthropic_client, system=shared)
    longer = [*shared, *system(words(200, "more"))]
    assert counts(ask_anthropic(anthropic_client, system=longer))[1:] == (200, 1503)


def test_the_top_level_field_marks_the_last_block(anthropic_client):
    options = {"text": words(1500), "extra_body": {"cache_control": EPHEMERAL}}
    assert counts(ask_anthropic(anthropic_client, **options))[1:] == (1503, 0)
    assert counts(ask_anthropic(anthropic_client, **options))[1:] == (0, 1503)


@pytest.mark.parametrize("together", [True, False])
def test_only_a_begun_answer_can_be_read_from(anthropic_client, server, together):
    server.provider.pace = Pace(first_token=0.2, per_token=0.005)
    server.provider.answer = lambda _: "word " * 100
    shared, begun = system(words(1500)), threading.Event()

    def write() -> None:
        for _ in ask_anthropic(anthropic_client, "One?", system=shared, stream=True):
            begun.set()

    with ThreadPoolExecutor(1) as pool:
        writer = pool.submit(write)
        if together:
            time.sleep(0.05)
        else:
            begun.wait()
        second = ask_anthropic(anthropic_client, "Two?", system=shared, max_tokens=1)
        assert together or not writer.done()
        writer.result()
    assert counts(second)[1:] == ((1503, 0) if together else (0, 1503))
