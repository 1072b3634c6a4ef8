"""Replies to the opening request whose stream breaks off while they are read."""

from __future__ import annotations

import pytest

from langchain_sot import SkeletonOfThoughtChain

from .ways import ask

PLAIN = "What is the capital of Australia, and since when?"
PLANNED = "How can I sleep better when I work at night?"
BROKEN = {"stage": "opening", "times": 1, "after_tokens": 7}


@pytest.mark.parametrize("kind", ["reset", "stream_error"])
@pytest.mark.parametrize("question", [PLAIN, PLANNED])
@pytest.mark.parametrize("way", ["stream", "astream"])
async def test_it_is_gone_on_with(server, model, way, question, kind):
    server.faults.add(kind, **BROKEN)
    answer = await ask(way, SkeletonOfThoughtChain(model=model, prompts="opening"), question)
    broken, rest = server.ledger.entries
    shown, _, end = answer.text.partition(" […]\n\n")
    assert broken.text.startswith(shown)
    assert end == rest.text
    sot = answer.response_metadata["sot"]
    assert (sot["route"], sot["bill"]["calls"], sot["bill"]["retries"]) == ("direct", 2, 1)
    assert "broke off" in sot["reason"]
    assert sot["finish_reason"] in {"stop", "end_turn"}


@pytest.mark.parametrize("way", ["stream", "astream"])
async def test_an_outline_that_has_begun_is_used(server, model, way):
    server.faults.add("reset", **{**BROKEN, "after_tokens": 180})
    answer = await ask(way, SkeletonOfThoughtChain(model=model, prompts="opening"), PLANNED)
    sot = answer.response_metadata["sot"]
    assert sot["route"] == "sot"
    assert all(point["status"] == "ok" for point in sot["points"])
    assert "broke off" in " ".join(sot["plan_notes"])


@pytest.mark.parametrize("way", ["stream", "astream"])
async def test_without_retries_the_error_is_the_models(server, model, way):
    server.faults.add("reset", **BROKEN)
    with pytest.raises(Exception) as raised:  # noqa: PT011 - a different one with every client
        await ask(way, SkeletonOfThoughtChain(model=model, prompts="opening", retries=0), PLAIN)
    assert type(raised.value).__module__.partition(".")[0] in {
        "httpx",
        "httpx2",
        "openai",
        "anthropic",
        "langchain_openai",
    }
    assert len(server.ledger.entries) == 1
