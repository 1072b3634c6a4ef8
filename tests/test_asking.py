"""The face without a framework, with the real SDKs against a server on localhost."""

from __future__ import annotations

import inspect
import math

import pytest

from skeleton_of_thought import (
    ConfigurationError,
    Decision,
    Message,
    Options,
    PointError,
    aask,
    ask,
    astream,
    stream,
)
from skeleton_of_thought.asking import Asker, AskOptions
from skeleton_of_thought.clients import open_client
from skeleton_of_thought.events import AnswerText, RouteChosen
from skeleton_of_thought.fake_server import FakeReply, Pace

QUESTION = "How can I improve my time management skills?"
PLAIN = "What is the capital of France?"


@pytest.fixture
def server(server, sdks_ask):
    """The shared server, where the SDKs' environment variables lead."""
    return sdks_ask(server)


@pytest.fixture(params=["openai:gpt-4o-mini", "anthropic:claude-haiku-4-5"])
def model(request):
    return request.param


def stages(server):
    return [entry.stage for entry in server.ledger.entries]


@pytest.mark.parametrize("router", [None, "self", "always", "never", "lexical"])
async def test_all_four_give_the_same_answer(server, model, router):
    told = ask(QUESTION, model=model, router=router)
    assert told.route == ("direct" if router == "never" else "sot")
    pieces = stream(QUESTION, model=model, router=router)
    assert "".join(pieces) == told.text == pieces.answer.text
    awaited = astream(QUESTION, model=model, router=router)
    assert "".join([piece async for piece in awaited]) == told.text == awaited.answer.text
    again = await aask(QUESTION, model=model, router=router)
    counts = [(each.usage.input_tokens, each.usage.output_tokens) for each in (again, told)]
    assert again.text == told.text
    assert counts[0] == counts[1], "all but what the provider's cache had by then"
    assert len(server.ledger.entries) % 4 == 0


def test_a_hosted_model_decides_itself_in_one_request(server, model):
    split = ask(QUESTION, model=model)
    assert (split.route, bool(split.opening)) == ("sot", True)
    assert stages(server).count("opening") == 1
    assert "skeleton" not in stages(server)
    server.ledger.clear()
    server.provider.answer = lambda _: FakeReply("It is Paris.")
    plain = ask(PLAIN, model=model)
    assert plain.text == "It is Paris."
    assert (plain.route, len(server.ledger.entries)) == ("direct", 1)


def test_who_else_decides_gets_a_skeleton(server):
    for router in ("always", "lexical"):
        server.ledger.clear()
        assert ask(QUESTION, model="openai:m", router=router).route == "sot"
        assert stages(server)[0] == "skeleton"


def test_usage_is_what_the_server_counted(server, model):
    answer = ask(QUESTION, model=model)
    assert answer.usage.total_tokens == server.ledger.usage().total_tokens


def test_a_conversation_an_opened_client_and_another_model_for_the_points(server):
    client = open_client("openai:large")
    talk = [Message("user", "Hello"), Message("assistant", "Hello!"), Message("user", QUESTION)]
    answer = ask(talk, model=client, point_model="anthropic:claude-haiku-4-5", router="always")
    models = {entry.stage: entry.model for entry in server.ledger.entries}
    assert models == {"skeleton": "large", "point": "claude-haiku-4-5"}
    assert all(point.status == "ok" for point in answer.points)


def test_money_is_in_the_answer_where_prices_are_named(server):
    assert "cost" not in ask(QUESTION, model="openai:gpt-4o-mini").to_dict()["bill"]
    priced = ask(QUESTION, model="openai:gpt-4o-mini", prices="default")
    assert priced.to_dict()["bill"]["cost"]["total"] > 0


def test_a_failed_point_by_the_policy(server):
    server.faults.add("server_error", stage="point", times=1)
    with pytest.raises(PointError) as failed:
        ask(QUESTION, model="openai:m", router="always", retries=0, on_point_error="raise")
    assert sum(point.status == "ok" for point in failed.value.answer.points) == 3


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_router_that_fails_does_not_cost_the_answer(server, caplog, asynchronous):
    class Down:
        def route(self, messages):
            raise OSError("nobody there")

        async def aroute(self, messages):
            raise OSError("nobody there")

    asked = {"model": "openai:m", "router": Down()}
    answer = await aask(QUESTION, **asked) if asynchronous else ask(QUESTION, **asked)
    assert answer.route == "sot"
    assert answer.reason.startswith("the router failed (OSError: nobody there)")
    assert "The router failed" in caplog.text


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_race_asks_router_skeleton_and_answer_together(server, asynchronous):
    class Slow:
        def route(self, messages):
            return Decision("sot", 1.0, "slowly")

        async def aroute(self, messages):
            return self.route(messages)

    asked = {"model": "openai:m", "router": Slow(), "race": True}
    answer = await aask(QUESTION, **asked) if asynchronous else ask(QUESTION, **asked)
    assert (answer.route, answer.reason) == ("sot", "slowly")


def test_no_room_no_points(server):
    class Full:
        name, max_stops, load = "full", None, 1.0

        def __init__(self):
            inner = open_client("openai:m")
            self.prompts, self.stream, self.astream = inner.prompts, inner.stream, inner.astream

    assert ask(QUESTION, model=Full(), options=Options(load_aware=True)).reason.startswith(
        "no room for more requests"
    )
    assert ask(QUESTION, model=Full(), options=Options(load_aware=False)).route == "sot"


def test_events_tell_the_opening_before_the_route(server):
    events = list(stream(QUESTION, model="openai:m").events())
    kinds = [type(event) for event in events if not isinstance(event, tuple)]
    assert kinds.index(AnswerText) < kinds.index(RouteChosen)


def test_a_stream_that_is_left_is_hung_up(server):
    server.provider.pace = Pace(first_token=0.01, per_token=0.05)
    pieces = stream(QUESTION, model="openai:m")
    next(pieces)
    with pytest.raises(ConfigurationError, match="not complete"):
        _ = pieces.answer
    pieces.close()
    assert server.ledger.wait_until_idle()


def test_a_local_model_is_routed_by_words():
    asker = Asker("local")
    assert asker.decide([Message("user", PLAIN)]).route == "direct"
    assert asker.decide([Message("user", QUESTION)]).route == "sot"


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"timeout": math.inf}, "timeout"),
        ({"retries": -1}, "retries"),
        ({"router": "selfish"}, "selfish"),
        ({"prompts": "shakespeare"}, "shakespeare"),
        ({"router": "self", "prompts": "instruction"}, "opening protocol"),
        ({"router": "self", "options": Options(points_per_call=2)}, "opening protocol"),
        ({"answer_format": "rhyme"}, "rhyme"),
        ({"prices": "nowhere.json"}, "nowhere.json"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_sent(server, options, named):
    for function in (ask, stream, astream):
        with pytest.raises(ConfigurationError, match=named):
            function(QUESTION, model="openai:m", **options)
    assert server.ledger.entries == ()


def test_a_misspelt_option_is_refused(server):
    with pytest.raises(TypeError, match="max_point"):
        ask(QUESTION, model="openai:m", max_point=3)  # type: ignore[call-arg]


def test_the_functions_take_what_asker_takes():
    own = set(inspect.signature(Asker).parameters) - {"model"}
    assert own == set(AskOptions.__annotations__)
