import pytest

from skeleton_of_thought.errors import ConfigurationError
from skeleton_of_thought.messages import Message
from skeleton_of_thought.routing import Decision, FirstConfident, FixedRouter, LoadAwareRouter
from skeleton_of_thought.usage import Usage

QUESTION = [Message("user", "Anything?")]


class Says:
    """A router with a given decision that counts how often it was asked."""

    def __init__(self, route, confidence: float) -> None:
        self.decision = Decision(route, confidence, f"{route} {confidence}", 0.5, Usage(10, 1))
        self.asked = 0

    def route(self, messages):
        self.asked += 1
        return self.decision

    async def aroute(self, messages):
        return self.route(messages)


@pytest.mark.parametrize("is_async", [False, True])
async def test_the_first_confident_one_wins_and_the_next_is_not_asked(is_async: bool) -> None:
    unsure, sure, never = Says("direct", 0.6), Says("sot", 0.9), Says("direct", 1.0)
    router = FirstConfident([unsure, sure, never], threshold=0.9)
    decision = await router.aroute(QUESTION) if is_async else router.route(QUESTION)
    assert (decision.route, decision.reason) == ("sot", "sot 0.9")
    assert (decision.seconds, decision.usage) == (1.0, Usage(20, 2))
    assert (unsure.asked, sure.asked, never.asked) == (1, 1, 0)


@pytest.mark.parametrize("is_async", [False, True])
async def test_if_nobody_is_confident_the_last_one_counts(is_async: bool) -> None:
    router = FirstConfident([Says("sot", 0.7), Says("direct", 0.55)], threshold=0.8)
    decision = await router.aroute(QUESTION) if is_async else router.route(QUESTION)
    assert decision.reason == "direct 0.55"


def test_what_cannot_work_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no routers"):
        FirstConfident([])
    with pytest.raises(ConfigurationError, match="threshold=2"):
        FirstConfident([FixedRouter("sot")], threshold=2)
    with pytest.raises(ConfigurationError, match="limit=0"):
        LoadAwareRouter(FixedRouter("sot"), load=lambda: 0.0, limit=0)


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_full_engine_gets_no_skeletons_until_it_has_room(is_async: bool) -> None:
    loads = iter([0.99, 1.0, 3.0, 0.5])
    inner = Says("sot", 0.9)
    router = LoadAwareRouter(inner, load=lambda: next(loads))
    decisions = [await router.aroute(QUESTION) if is_async else router.route(QUESTION) for _ in range(4)]
    assert [decision.route for decision in decisions] == ["sot", "direct", "direct", "sot"]
    assert decisions[2].reason == "no room for more requests: load 3.00, limit 1.00"
    assert inner.asked == 2
