import pytest

from skeleton_of_thought.messages import Message
from skeleton_of_thought.routing import FixedRouter, GainRouter, PlainLength, Question, saving
from skeleton_of_thought.speeds import Speeds

SHORT, LONG = "What is the capital of Peru?", "What are the main benefits of learning a second language?"


@pytest.fixture
def parallel() -> Speeds:
    """Two streams of 100 characters a second, two seconds ahead."""
    speeds = Speeds()
    speeds.observe_points([(300, 2.0, 3.0), (310, 2.0, 3.1)], ahead=2.0)
    return speeds


def test_a_fact_is_shorter_than_a_list() -> None:
    words = PlainLength.shipped().words
    assert words(Question(SHORT)) < 120
    assert words(Question(LONG)) > 200
    assert words(Question("list " * 400)) <= 600


def test_nothing_is_said_while_no_speed_is_known() -> None:
    assert saving(Question(LONG), Speeds()) is None
    assert GainRouter(FixedRouter("sot"), speeds=Speeds()).route([Message("user", SHORT)]).route == "sot"


def test_a_long_answer_pays_and_says_what_it_saves(parallel: Speeds) -> None:
    decision = GainRouter(FixedRouter("sot"), speeds=parallel).route([Message("user", LONG)])
    expected = saving(Question(LONG), parallel)
    assert expected is not None
    assert expected.pays
    assert decision.route == "sot"
    assert f"saves {expected.plain - expected.sot:.1f} of {expected.plain:.1f} s" in decision.reason


def test_points_one_after_another_never_pay() -> None:
    speeds = Speeds()
    speeds.observe_points([(300, 2.0, 3.0), (300, 5.0, 3.0)], ahead=2.0)
    decision = GainRouter(FixedRouter("sot"), speeds=speeds).route([Message("user", LONG)])
    assert decision.route == "direct"
    assert "no gain to expect" in decision.reason


async def test_a_plain_route_is_left_alone(parallel: Speeds) -> None:
    decision = await GainRouter(FixedRouter("direct"), speeds=parallel).aroute([Message("user", LONG)])
    assert decision.reason == "always direct"


def test_a_full_model_shares_what_is_left(parallel: Speeds) -> None:
    idle, full = (saving(Question(LONG), parallel, load=load) for load in (0.0, 1.0))
    assert idle is not None
    assert full is not None
    assert full.sot > idle.sot
