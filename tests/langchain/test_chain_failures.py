"""What a failing model does to an answer: the policies, the retries, and what is never lost."""

from __future__ import annotations

import asyncio

import pytest

from langchain_sot import ChatSkeletonOfThought, SkeletonOfThoughtChain
from skeleton_of_thought import PointError

from .fakes import (
    DIRECT,
    PROMPTS,
    QUESTION,
    SKELETON,
    BusyError,
    FakeChat,
    added,
    ask,
    outcomes,
    point_text,
    whole,
)
from .test_usage import Telling

THREE = "1. Light\n2. Coffee\n3. Exercise"
NOTE = "[This point could not be written.]"


class RefusedError(Exception):
    is_retryable = False


def new_chain(fault, *, fault_after=0, skeleton=THREE, **options):
    model = FakeChat(fault=fault, fault_after=fault_after, skeleton=skeleton)
    return SkeletonOfThoughtChain(model=model, prompts=PROMPTS, **options)


def point_2(error=None, *, times=99):
    return lambda seen: (error or BusyError("busy")) if seen.index == 2 and seen.attempt <= times else None


async def test_a_point_that_fails_once_is_written_again(way):
    chain = new_chain(point_2(times=1), on_point_error="raise")
    message = await ask(chain, way)
    assert message.text == whole(["Light", "Coffee", "Exercise"])
    assert [seen.index for seen in chain.model.log.of("point")].count(2) == 2


async def test_retries_are_counted(way):
    chain = new_chain(point_2(), retries=3)
    await ask(chain, way)
    assert [seen.index for seen in chain.model.log.of("point")].count(2) == 4


async def test_no_retries(way):
    chain = new_chain(point_2(times=1), retries=0)
    assert outcomes(await ask(chain, way))[1] == ("failed", "")


async def test_an_error_that_says_so_is_not_retried(way):
    chain = new_chain(point_2(RefusedError("no")), retries=3)
    message = await ask(chain, way)
    assert [seen.index for seen in chain.model.log.of("point")].count(2) == 1
    assert message.response_metadata["sot"]["points"][1]["error"] == "RefusedError: no"


async def test_mark(way):
    message = await ask(new_chain(point_2()), way)
    assert (
        message.text
        == f"1. Light: {point_text('Light')}\n\n2. Coffee: {NOTE}\n\n3. Exercise: {point_text('Exercise')}"
    )
    assert [point["status"] for point in message.response_metadata["sot"]["points"]] == ["ok", "failed", "ok"]


async def test_skip(way):
    message = await ask(new_chain(point_2(), on_point_error="skip"), way)
    assert message.text == f"1. Light: {point_text('Light')}\n\n3. Exercise: {point_text('Exercise')}"
    assert [point["status"] for point in message.response_metadata["sot"]["points"]] == [
        "ok",
        "skipped",
        "ok",
    ]


async def test_raise_carries_the_other_points(way):
    with pytest.raises(PointError, match="Coffee") as caught:
        await ask(new_chain(point_2(), on_point_error="raise"), way)
    assert isinstance(caught.value.__cause__, BusyError)
    texts = [point.text for point in caught.value.answer.points]
    assert texts == [point_text("Light"), "", point_text("Exercise")]


async def test_every_point_skipped_gives_a_direct_answer(way):
    chain = new_chain(
        lambda seen: BusyError() if seen.stage == "point" else None, on_point_error="skip", retries=0
    )
    message = await ask(chain, way)
    assert message.text == DIRECT
    assert message.response_metadata["sot"]["reason"] == "every point failed"


@pytest.mark.parametrize("call", ["stream", "astream"])
async def test_a_stream_that_breaks_before_its_turn_is_begun_again(call):
    fault = lambda seen: BusyError() if seen.index == 3 and seen.attempt == 1 else None  # noqa: E731
    chain = new_chain(fault, fault_after=2)
    chain.model.token_seconds = lambda seen: 0.05 if seen.index == 1 else 0.0
    assert (await ask(chain, call)).text == whole(["Light", "Coffee", "Exercise"])


@pytest.mark.parametrize("call", ["stream", "astream"])
async def test_a_stream_that_breaks_while_it_is_read_is_marked_and_kept(call):
    chain = new_chain(lambda seen: BusyError("reset") if seen.index == 1 else None, fault_after=4, retries=3)
    message = await ask(chain, call)
    assert message.text.startswith(f"1. Light: All about light in {NOTE}\n\n2. Coffee: ")
    assert outcomes(message)[0] == ("failed", "All about light in")


async def test_a_failed_skeleton_is_asked_for_again_then_answered_directly(way):
    chain = new_chain(lambda seen: BusyError("busy") if seen.stage == "skeleton" else None)
    message = await ask(chain, way)
    assert message.text == DIRECT
    assert message.response_metadata["sot"]["reason"] == "the skeleton request failed: BusyError: busy"
    assert len(chain.model.log.of("skeleton")) == 2


async def test_a_model_that_is_down_raises_its_own_error(way):
    with pytest.raises(BusyError, match="down"):
        await ask(new_chain(lambda seen: BusyError("down")), way)


@pytest.mark.parametrize("call", ["stream", "astream"])
async def test_a_direct_answer_that_breaks_while_it_is_read_is_not_begun_again(call):
    chain = new_chain(
        lambda seen: BusyError("reset") if seen.stage == "direct" else None,
        fault_after=3,
        skeleton="no",
        retries=1,
    )
    with pytest.raises(BusyError, match="reset"):
        await ask(chain, call)
    first, rest = chain.model.log.of("direct")
    assert rest.messages[: len(first.messages)] == first.messages
    assert rest.messages[len(first.messages)].text == "Go to bed", (
        "what was read is the model's own beginning"
    )


def breaks_once(seen):
    return BusyError("reset") if seen.stage == "direct" and len(seen.messages) == 1 else None


@pytest.mark.parametrize("call", ["stream", "astream"])
@pytest.mark.parametrize("face", [SkeletonOfThoughtChain, ChatSkeletonOfThought])
async def test_a_direct_answer_that_is_gone_on_with_is_one_message(call, face):
    model = Telling(fault=breaks_once, fault_after=3)
    chunks = await pieces(face(model=model, prompts=PROMPTS, router="never"), call)
    message = added(chunks)
    assert message.text == "".join(chunk.text for chunk in chunks) == f"Go to bed […]\n\n{DIRECT}"
    assert len({chunk.id for chunk in chunks}) == 1
    told = message.response_metadata
    assert {name: message.usage_metadata[name] for name in told["sot"]["usage"]} == told["sot"]["usage"]
    assert message.usage_metadata["input_tokens"] == 20
    assert message.usage_metadata["output_tokens"] == 2 + len(DIRECT.split())
    assert (told["finish_reason"], told["model_name"]) == ("stop", "fake-1")


async def pieces(chain, call):
    if call == "stream":
        return await asyncio.to_thread(lambda: list(chain.stream(QUESTION)))
    return [chunk async for chunk in chain.astream(QUESTION)]


async def test_an_empty_point_is_a_failed_point(way):
    class Silent(FakeChat):
        def _tokens(self, seen):
            return super()._tokens(seen)[:0] if seen.index == 2 else super()._tokens(seen)

    message = await ask(
        SkeletonOfThoughtChain(model=Silent(skeleton=SKELETON), prompts=PROMPTS), way, QUESTION
    )
    assert message.response_metadata["sot"]["points"][1]["status"] == "failed"
    assert "EmptyAnswerError" in message.response_metadata["sot"]["points"][1]["error"]
    assert NOTE in message.text
