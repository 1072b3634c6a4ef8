import pytest

from skeleton_of_thought.errors import ConfigurationError
from skeleton_of_thought.messages import Message
from skeleton_of_thought.routing import FixedRouter, LexicalRouter, Router, get_router

QUESTION = [Message("user", "Anything?")]


def test_always_and_never() -> None:
    assert get_router("always").route(QUESTION).route == "sot"
    assert get_router("never").route(QUESTION).route == "direct"
    assert FixedRouter("sot").route(QUESTION).confidence == 1.0
    with pytest.raises(ConfigurationError, match="maybe"):
        FixedRouter("maybe")


async def test_async_fixed() -> None:
    assert (await FixedRouter("sot").aroute([])).route == "sot"


def test_auto_is_the_one_without_torch() -> None:
    assert isinstance(get_router("auto"), LexicalRouter)
    assert isinstance(get_router("lexical"), LexicalRouter)


def test_a_router_is_handed_through() -> None:
    mine = FixedRouter("sot")
    assert get_router(mine) is mine
    assert isinstance(mine, Router)


def test_what_is_no_router_is_refused_with_the_names() -> None:
    with pytest.raises(
        ConfigurationError, match=r"'lexicall' is unknown.*always, auto, embedding, gain, lexical, never"
    ):
        get_router("lexicall")
    with pytest.raises(ConfigurationError, match="needs the methods"):
        get_router(42)
