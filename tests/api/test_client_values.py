"""What servers report and send is read as what it means: totals once, parts as text, null as nothing."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace as Object

import pytest

from skeleton_of_thought.asking import Asker
from skeleton_of_thought.clients import open_client, without_password
from skeleton_of_thought.errors import ConfigurationError
from skeleton_of_thought.messages import Message
from skeleton_of_thought.prices import Price, Prices
from skeleton_of_thought.request import Request
from skeleton_of_thought.usage import Usage
from sot_command.footer import footer

REQUEST = Request("direct", "direct", (Message("user", "Hello"),))


def openai_answer(monkeypatch, *chunks):
    pytest.importorskip("openai")
    client = open_client("openai:m", base_url="http://localhost:1/v1")
    monkeypatch.setattr(client, "_completions", Object(create=lambda **_: nullcontext(chunks)))
    return list(client.stream(REQUEST))


def anthropic_answer(monkeypatch, *events):
    pytest.importorskip("anthropic")
    client = open_client("anthropic:m", base_url="http://localhost:1")
    monkeypatch.setattr(client, "_messages", Object(create=lambda **_: nullcontext(events)))
    return list(client.stream(REQUEST))


def chunk(content=None, *, tokens=None, finish=None):
    usage = None if tokens is None else Object(prompt_tokens=tokens[0], completion_tokens=tokens[1])
    choice = Object(delta=Object(content=content, refusal=None), finish_reason=finish)
    return Object(choices=[choice], usage=usage)


def total(deltas):
    return sum((delta.usage for delta in deltas), Usage())


def test_usage_in_every_chunk_counts_once(monkeypatch):
    deltas = openai_answer(
        monkeypatch, chunk("a", tokens=(9, 1)), chunk("b", tokens=(9, 2)), chunk(tokens=(9, 2), finish="stop")
    )
    assert total(deltas) == Usage(9, 2)


def test_counts_that_are_null_are_none(monkeypatch):
    deltas = openai_answer(monkeypatch, chunk("a", tokens=(None, 2)), chunk("b", tokens=(7, None)))
    assert "".join(delta.text for delta in deltas) == "ab"


@pytest.mark.parametrize("count", ["12", [3], True, -4, float("nan"), float("inf"), {"n": 1}, 10**400])
def test_counts_that_are_none_cost_no_answer(monkeypatch, count):
    deltas = openai_answer(monkeypatch, chunk("a", tokens=(count, 2)), chunk("b", tokens=(7, count)))
    assert "".join(delta.text for delta in deltas) == "ab"
    assert total(deltas) == Usage(7, 2)


def test_what_a_server_leaves_out_costs_no_answer(monkeypatch):
    pieces = [
        Object(usage=Object(prompt_tokens=7)),
        Object(choices=None),
        Object(choices=[Object(finish_reason=None)]),
        Object(choices=[Object(delta=Object(content="a"))], usage=Object(completion_tokens=2.0)),
    ]
    deltas = openai_answer(monkeypatch, *pieces)
    assert "".join(delta.text for delta in deltas) == "a"
    assert total(deltas) == Usage(7, 2)


def test_what_no_chunk_tells_is_unknown_and_so_is_the_cost(monkeypatch):
    pytest.importorskip("openai")
    client = open_client("openai:m", base_url="http://localhost:1/v1")
    chunks = [chunk("Go to bed."), chunk(finish="stop")]
    monkeypatch.setattr(client, "_completions", Object(create=lambda **_: nullcontext(chunks)))
    prices = Prices({"m": Price(input=1, output=2)})
    told = Asker(client, router="never", prices=prices).ask("How do I sleep better?").to_dict()
    assert set(told["usage"].values()) == {None}
    assert told["bill"]["cost"]["total"] is None
    assert "tokens unknown" in footer(told, "openai:m")


def test_anthropics_totals_name_the_prompt_again(monkeypatch):
    last = Object(
        type="message_delta",
        usage=Object(input_tokens=7, output_tokens=3, cache_read_input_tokens=2),
        delta=Object(stop_reason="end_turn"),
    )
    assert total(anthropic_answer(monkeypatch, start(), end(1), last)) == Usage(9, 3, 2)


def test_content_may_be_a_list_of_parts(monkeypatch):
    parts = [{"type": "text", "text": "Go to "}, {"type": "image"}, "bed.", {"type": "text", "text": None}]
    assert openai_answer(monkeypatch, chunk(parts))[0].text == "Go to bed."


def start(**usage):
    counts = {
        "input_tokens": 5,
        "cache_read_input_tokens": None,
        "cache_creation_input_tokens": None,
        **usage,
    }
    return Object(type="message_start", message=Object(usage=Object(**counts)))


def end(tokens, reason=None):
    return Object(type="message_delta", usage=Object(output_tokens=tokens), delta=Object(stop_reason=reason))


def test_anthropics_running_totals_count_once(monkeypatch):
    assert total(anthropic_answer(monkeypatch, start(), end(3), end(8, "end_turn"))) == Usage(5, 8)


def test_cache_writes_by_lifetime_count(monkeypatch):
    lifetimes = Object(ephemeral_5m_input_tokens=20, ephemeral_1h_input_tokens=100)
    usage = total(anthropic_answer(monkeypatch, start(cache_creation=lifetimes), end(1)))
    assert usage == Usage(125, 1, 0, 120)
    both = start(cache_creation=lifetimes, cache_creation_input_tokens=120)
    assert total(anthropic_answer(monkeypatch, both)) == Usage(125, 0, 0, 120)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("gpt-4o-mini", "openai:gpt-4o-mini"),
        ("o3-mini", "openai:o3-mini"),
        ("claude-x", "anthropic:claude-x"),
    ],
)
def test_a_name_without_its_provider(name, hint):
    with pytest.raises(ConfigurationError, match=f"Did you mean {hint}"):
        open_client(name)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("How \ud83d can I?", "How \ufffd can I?"),
        ("\U0001f600 fine", "\U0001f600 fine"),
        (["a\udcff", {"type": "text", "text": "b\ud800"}, {"type": "image"}],
         ["a\ufffd", {"type": "text", "text": "b\ufffd"}, {"type": "image"}]),
    ],
)  # fmt: skip
def test_half_characters_are_replaced(content, expected):
    assert Message("user", content).content == expected
    assert Message("user", content).with_text("x\udfff").text == "x\ufffd"


@pytest.mark.parametrize(
    ("address", "written"),
    [
        ("https://me:secret@host:8000/v1?a=b", "https://host:8000/v1?a=b"),
        ("http://localhost:1/v1", "http://localhost:1/v1"),
        (None, None),
    ],
)
def test_no_password_is_written_down(address, written):
    assert without_password(address) == written


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
@pytest.mark.parametrize("address", ["http://[::1", "http://localhost:80a/v1", "http://localhost:99999"])
def test_an_address_that_is_none_is_named_before_anything_is_sent(kind, address):
    with pytest.raises(ConfigurationError, match=r"base_url.* is no address"):
        open_client(f"{kind}:m", base_url=address)
