"""What a provider tells of its tokens, in the metadata of an answer that came through LangChain."""

from __future__ import annotations

import pytest
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk

from langchain_sot import ChatSkeletonOfThought, SkeletonOfThoughtChain
from skeleton_of_thought.limits import Limiter
from skeleton_of_thought.prices import Price, Prices

from .fakes import PROMPTS, WAYS, FakeChat, ask

STREAMED = ("stream", "astream")


class Telling(FakeChat):
    """A model that tells the tokens so far with every piece, as vLLM does if asked to, or with none."""

    told: bool = True
    model_name: str = "telling"

    def _run(self, seen):
        for place, (pause, chunk) in enumerate(super()._run(seen)):
            usage = {"input_tokens": 10, "output_tokens": place, "total_tokens": 10 + place}
            yield pause, chunk.model_copy(update={"usage_metadata": usage if self.told else None})


def chain(model, **options):
    return SkeletonOfThoughtChain(model=model, router="always", prompts=PROMPTS, **options)


def written(model):
    return sum(len(model._tokens(seen)) for seen in model.log.seen)


@pytest.mark.parametrize("way", STREAMED)
@pytest.mark.parametrize("route", ["sot", "direct"])
async def test_totals_in_every_piece_are_billed_once(way, route):
    model = Telling()
    limiter = Limiter(tokens_per_minute=100_000)
    message = await ask(chain(model, limiter=limiter), way, config={"configurable": {"sot_route": route}})
    calls = len(model.log.seen)
    expected = {"input_tokens": 10 * calls, "output_tokens": written(model)}
    sot = message.response_metadata["sot"]
    assert {name: sot["usage"][name] for name in expected} == expected
    assert {name: message.usage_metadata[name] for name in expected} == expected
    assert limiter.load == pytest.approx(sum(expected.values()) / 100_000)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("route", ["sot", "direct"])
@pytest.mark.parametrize("face", [SkeletonOfThoughtChain, ChatSkeletonOfThought])
async def test_what_a_provider_does_not_tell_is_unknown(way, route, face):
    prices = Prices({"telling": Price(input=1, output=2)})
    asked = face(model=Telling(told=False), router="always", prompts=PROMPTS, prices=prices)
    message = await ask(asked, way, config={"configurable": {"sot_route": route}})
    sot = message.response_metadata["sot"]
    assert sot["route"] == route
    assert set(sot["usage"].values()) == {None}
    assert sot["bill"]["output_tokens"] is None
    assert (sot["bill"]["cost"]["total"], sot["bill"]["cost"]["plain"]) == (None, None)
    assert message.usage_metadata is None


@pytest.mark.parametrize("way", STREAMED)
async def test_a_piece_that_is_passed_on_tells_what_it_adds(way):
    """So that what adds the pieces up, as LangChain does, comes to the same."""
    answer = chain(Telling(direct="Go to bed."))
    whole = await ask(answer, way, config={"configurable": {"sot_route": "direct"}})
    assert whole.usage_metadata["input_tokens"] == 10
    assert whole.usage_metadata["output_tokens"] == 3


class Router(Telling):
    def _stream(self, messages, stop=None, run_manager=None, **kwargs):
        yield ChatGenerationChunk(message=AIMessageChunk("A"))


async def test_a_router_that_does_not_tell_makes_the_sum_unknown_and_no_cost():
    prices = Prices({"telling": Price(input=1, output=2)})
    routed = SkeletonOfThoughtChain(model=Telling(), router=Router(), prompts=PROMPTS, prices=prices)
    sot = (await ask(routed, "stream")).response_metadata["sot"]
    assert sot["usage"]["input_tokens"] is None
    assert sot["bill"]["stages"]["points"]["input_tokens"] == 80
    assert sot["bill"]["cost"]["total"] > 0
