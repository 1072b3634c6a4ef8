"""Points the provider breaks off for its content policy."""

from __future__ import annotations

import pytest

from langchain_sot import SkeletonOfThoughtChain

from .ways import WAYS, ask


def second_point(request):
    return "The point is 2." in request.question


@pytest.mark.parametrize("fault", ["content_filter", "refusal"])
@pytest.mark.parametrize("way", WAYS)
async def test_a_filtered_point_is_marked_and_not_asked_for_again(server, model, way, fault):
    server.faults.add(fault, when=second_point)
    answer = await ask(way, SkeletonOfThoughtChain(router="always", model=model, retries=3))
    points = answer.response_metadata["sot"]["points"]
    assert [point["status"] for point in points] == ["ok", "failed", "ok", "ok"]
    faulty = [entry for entry in server.ledger.entries if entry.fault]
    if fault == "refusal" and faulty[0].api == "openai" and "stream" in way:
        assert "nothing" in points[1]["error"]  # LangChain drops a streamed refusal: nothing is left of it
    else:
        assert "content filter" in points[1]["error"]
        assert len(faulty) == 1
    assert "could not be written" in answer.text
    assert answer.usage_metadata["total_tokens"] == server.ledger.usage().total_tokens
