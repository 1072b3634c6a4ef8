"""What is learned of a model's points, and what becomes of it."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest
from langchain_openai import ChatOpenAI

from langchain_sot import SkeletonOfThoughtChain
from skeleton_of_thought import Answer, Options, PointResult, Seconds, speeds
from skeleton_of_thought.bill import Bill, BillLine
from skeleton_of_thought.fake_server import Pace
from skeleton_of_thought.speeds import Speeds

QUESTION = "What are the main benefits of learning a second language?"


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch):
    monkeypatch.setattr(speeds, "_KNOWN", {})


def skeleton_answer(ends, *, length=200, ahead=0.5):
    points = tuple(
        PointResult(index, "Title", "x" * length, start=ahead, seconds=end)
        for index, end in enumerate(ends, 1)
    )
    return Answer("text", "sot", "", points=points, seconds=Seconds(total=ahead + max(ends)))


def plain_answer(seconds, length=800):
    return Answer("x" * length, "direct", "", seconds=Seconds(total=seconds))


IN_TURN = skeleton_answer([1.0, 2.0, 3.0, 4.0])
AT_ONCE = skeleton_answer([1.0, 1.1, 1.0, 1.2])


def test_nothing_is_expected_of_a_model_nobody_asked():
    assert Speeds().expected() is None
    assert Speeds().decide() is None


def test_points_one_after_another_gain_nothing():
    known = Speeds()
    known.observe(IN_TURN)
    assert known.expected().streams == pytest.approx(1.0)
    assert known.expected().gain == pytest.approx(4.0 / 4.5)
    assert known.decide().route == "direct"


def test_points_at_once_gain():
    known = Speeds()
    known.observe(AT_ONCE)
    known.observe(plain_answer(4.0))
    assert known.expected().streams > 3
    assert known.expected().gain == pytest.approx(4.0 / 1.7)
    assert known.decide() is None


def test_many_streams_that_are_each_slower_than_one_alone_gain_nothing():
    known = Speeds()
    known.observe(AT_ONCE)
    known.observe(plain_answer(1.0))
    assert known.expected().streams > 3
    assert known.decide().route == "direct"


def test_a_full_model_has_no_room_and_a_busy_one_gains_less():
    known = Speeds()
    known.observe(AT_ONCE)
    known.observe(plain_answer(4.0))
    assert known.decide(1.0).reason == "no room for more requests: load 1.00, limit 1.00"
    assert known.expected(0.9).gain < known.expected(0.0).gain
    assert known.decide(0.95).route == "direct"


def test_a_skeleton_is_tried_again_now_and_then_and_less_often_while_it_does_not_pay():
    known = Speeds()
    known.observe(IN_TURN)
    plain = [known.decide() is not None for _ in range(80)]
    assert [place for place, direct in enumerate(plain) if not direct] == [25, 76]
    known.observe(AT_ONCE)
    known.observe(AT_ONCE)
    known.observe(AT_ONCE)
    assert known.decide() is None


@pytest.mark.parametrize(
    "answer",
    [
        skeleton_answer([2.0, 2.0, 2.0]),
        Answer(
            "",
            "sot",
            "",
            points=(PointResult(1, "a", "x" * 99, seconds=1.0), PointResult(2, "b", "", "failed")),
        ),
        plain_answer(1.0, length=10),
        replace(
            IN_TURN,
            points=tuple(replace(point, start=float(point.index), seconds=0.9) for point in IN_TURN.points),
        ),
        replace(IN_TURN, bill=Bill(points={1: BillLine(calls=1), 2: BillLine(calls=2, retries=1)})),
    ],
    ids=["one batch", "a failed point", "a word", "held back", "refused"],
)
def test_some_answers_say_nothing(answer):
    known = Speeds()
    known.observe(answer)
    assert known.expected() is None


def test_it_is_said_once_and_not_after_one_busy_moment(caplog):
    known = Speeds("some model")
    known.observe(IN_TURN)
    known.observe(AT_ONCE)
    known.observe(IN_TURN)
    assert not caplog.records
    for _ in range(3):
        known.observe(IN_TURN)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "some model came one after another" in record.message


# In a chain.


def chain(server, **options):
    model = ChatOpenAI(
        model="gpt-4o-mini",
        base_url=f"{server.url}/v1",
        api_key="fake",
        max_retries=0,
        use_responses_api=False,
    )
    return SkeletonOfThoughtChain(model=model, **options)


@pytest.fixture
def in_turn(fake):
    """A server that answers one request at a time."""
    fake.provider.slots = 1
    fake.provider.pace = Pace(first_token=0.02, per_token=0.001)
    yield fake
    fake.provider.slots = None


def routes(chain, count):
    return [chain.invoke(QUESTION).response_metadata["sot"]["route"] for _ in range(count)]


async def test_a_load_aware_chain_answers_plainly_where_points_come_in_turn(in_turn):
    assert routes(chain(in_turn, options=Options(load_aware=True)), 4) == [
        "sot",
        "direct",
        "direct",
        "direct",
    ]


async def test_a_load_aware_chain_goes_on_where_points_come_at_once(fake):
    fake.provider.pace = Pace(first_token=0.02, per_token=0.003)
    assert routes(chain(fake, options=Options(load_aware=True)), 3) == ["sot", "sot", "sot"]


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream"])
async def test_a_chain_says_once_that_points_come_in_turn(in_turn, caplog, way):
    asked = chain(in_turn)
    for _ in range(4):
        if way == "invoke":
            asked.invoke(QUESTION)
        elif way == "ainvoke":
            await asked.ainvoke(QUESTION)
        else:
            list(asked.stream(QUESTION))
    told = [record for record in caplog.records if record.name == "skeleton_of_thought.speeds"]
    assert len(told) == 1
    assert "one after another" in told[0].message


def test_a_chain_says_nothing_where_points_come_at_once(fake, caplog):
    fake.provider.pace = Pace(first_token=0.02, per_token=0.003)
    asked = chain(fake)
    for _ in range(3):
        asked.invoke(QUESTION)
    assert not [record for record in caplog.records if record.name == "skeleton_of_thought.speeds"]
