import pytest

from skeleton_of_thought.errors import ConfigurationError
from skeleton_of_thought.messages import Message
from skeleton_of_thought.routing import (
    FixedRouter,
    GainRouter,
    PlainLength,
    Question,
    get_router,
    saving,
)
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


@pytest.fixture
def in_turn() -> Speeds:
    """One stream of 100 characters a second."""
    speeds = Speeds()
    speeds.observe_points([(300, 2.0, 3.0), (300, 5.0, 3.0)], ahead=2.0)
    return speeds


def test_points_one_after_another_do_not_pay(in_turn: Speeds) -> None:
    decision = GainRouter(FixedRouter("sot"), speeds=in_turn).route([Message("user", LONG)])
    assert decision.route == "direct"
    assert "no gain to expect" in decision.reason


def test_a_full_model_gets_no_skeleton(parallel: Speeds) -> None:
    router = GainRouter(FixedRouter("sot"), speeds=parallel, load=lambda: 1.0)
    assert {router.route([Message("user", LONG)]).route for _ in range(60)} == {"direct"}


def test_what_does_not_pay_is_tried_now_and_then(in_turn: Speeds) -> None:
    router = GainRouter(FixedRouter("sot"), speeds=in_turn)
    decisions = [router.route([Message("user", LONG)]) for _ in range(30)]
    (tried,) = [decision for decision in decisions if decision.route == "sot"]
    assert "tried to see whether" in tried.reason


def test_the_gain_router_has_names() -> None:
    speeds = Speeds()
    named = get_router("gain:never", speeds=speeds)
    assert isinstance(named, GainRouter)
    assert (named.speeds, named.route([Message("user", LONG)]).route) == (speeds, "direct")
    assert isinstance(get_router("gain"), GainRouter)
    with pytest.raises(ConfigurationError, match="gain:ROUTER"):
        get_router("gain:")
    with pytest.raises(ConfigurationError, match="guess"):
        get_router("gain:guess")


async def test_a_plain_route_is_left_alone(parallel: Speeds) -> None:
    decision = await GainRouter(FixedRouter("direct"), speeds=parallel).aroute([Message("user", LONG)])
    assert decision.reason == "always direct"


def test_a_full_model_shares_what_is_left(parallel: Speeds) -> None:
    idle, full = (saving(Question(LONG), parallel, load=load) for load in (0.0, 1.0))
    assert idle is not None
    assert full is not None
    assert full.sot > idle.sot
