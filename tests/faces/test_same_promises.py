"""What a run promises, it promises in every face and in every way of asking."""

from __future__ import annotations

import asyncio
import inspect
import json
import re
import threading
import time
from dataclasses import fields
from typing import Any

import pytest

from skeleton_of_thought import ConfigurationError, EverydayOptions, Options
from skeleton_of_thought.errors import DeadlineError, LongWaitError, PointError
from skeleton_of_thought.everyday import EverydayParameters
from skeleton_of_thought.limits import Limiter
from skeleton_of_thought.options import RunSettings
from skeleton_of_thought.prices import Price, Prices
from skeleton_of_thought.routing import Decision, fallback
from skeleton_of_thought.speeds import Speeds

from .faces import FACES, WAYS, Answered
from .models import INPUT_TOKENS, NAME
from .script import QUESTION, TITLES, Reply, Script


@pytest.fixture
def make_script():
    """Makes scripts whose late replies end with the test."""
    made: list[Script] = []

    def make(replies: Any = None) -> Script:
        made.append(Script(dict(replies or {})))
        return made[-1]

    yield make
    for each in made:
        each.over.set()


WHOLE = "\n\n".join(f"{n}. {title}: Text {n}, word by word." for n, title in enumerate(TITLES, start=1))


# `make quick` asks one face of each framework, and the one without.
QUICK = {"SkeletonOfThoughtChain", "Sourced", "Asker"}
PARAMETERS = [pytest.param(face, marks=[] if face.name in QUICK else pytest.mark.slow) for face in FACES]


@pytest.fixture(params=PARAMETERS, ids=lambda face: face.name)
def face(request):
    return request.param


@pytest.fixture(params=WAYS)
def way(request):
    return request.param


def statuses(answered: Answered) -> list[str]:
    return [point["status"] for point in answered.sot["points"]]


def errors(answered: Answered) -> str:
    return " ".join(point["error"] or "" for point in answered.sot["points"])


async def test_the_answer_and_its_bill(make_script, face, way):
    answered = await face.ask(make_script(), way)
    assert answered.text == WHOLE
    assert statuses(answered) == ["ok"] * 3
    assert answered.sot["usage"]["input_tokens"] == 4 * INPUT_TOKENS
    assert json.loads(json.dumps(answered.sot)) == answered.sot


@pytest.mark.parametrize("options", [{"prompts": "opening", "router": "self"}, {"router": "never"}])
async def test_a_reply_that_breaks_off_while_it_is_read_is_gone_on_with(make_script, face, way, options):
    script = make_script({"direct": [Reply("One. Two and half", breaks=3)], "rest": "Two and a half."})
    if face.name == "Sourced" and options["router"] == "never" and way in {"stream", "astream"}:
        with pytest.raises(ConnectionError):  # LlamaIndex's own synthesizer writes it
            await face.ask(script, way, **options)
        return
    answered = await face.ask(script, way, **options)
    gone_on_with = "One. Two and […]\n\nTwo and a half."
    if way in {"stream", "astream"}:
        assert answered.text == gone_on_with
    assert answered.text in {gone_on_with, "A plain answer."}, "what nobody has read is asked for again"
    assert answered.sot["bill"]["calls"] == 2


async def test_a_filtered_point_has_failed(make_script, face, way):
    script = make_script({"point:2": Reply("Half a", finish="content_filter")})
    answered = await face.ask(script, way)
    assert statuses(answered) == ["ok", "failed", "ok"]
    assert "content filter" in errors(answered)
    assert script.asked.count("point:2") == 1


async def test_a_failed_point_is_asked_for_again_and_then_marked(make_script, face, way):
    script = make_script({"point:2": [RuntimeError("down"), None], "point:3": RuntimeError("gone")})
    answered = await face.ask(script, way)
    assert statuses(answered) == ["ok", "ok", "failed"]
    assert (script.asked.count("point:2"), script.asked.count("point:3")) == (2, 2)
    assert "could not be written" in answered.text


async def test_policies_for_failed_points(make_script, face, way):
    def script() -> Script:
        return make_script({"point:2": RuntimeError("gone")})

    skipped = await face.ask(script(), way, on_point_error="skip", retries=0)
    assert statuses(skipped) == ["ok", "skipped", "ok"]
    assert "Water" not in skipped.text
    with pytest.raises(PointError) as raised:
        await face.ask(script(), way, on_point_error="raise", retries=0)
    assert [point.status for point in raised.value.answer.points].count("ok") == 2


@pytest.mark.slow
async def test_timeout_returns_what_is_there(make_script, face, way):
    answered = await face.ask(make_script({"point:2": Reply("Late.", late=True)}), way, timeout=2.0)
    assert statuses(answered) == ["ok", "failed", "ok"]
    assert "timeout=2" in errors(answered)
    with pytest.raises(DeadlineError):
        await face.ask(make_script({"skeleton": Reply("Late.", late=True)}), way, timeout=0.2)


@pytest.mark.slow
async def test_point_timeout_fails_the_late_point(make_script, face, way):
    answered = await face.ask(make_script({"point:2": Reply("Late.", late=True)}), way, point_timeout=0.5)
    assert statuses(answered) == ["ok", "failed", "ok"]
    assert "point_timeout=0.5" in errors(answered)


async def test_hedge_after_asks_a_second_time(make_script, face, way):
    script = make_script({"point:2": [Reply("Late.", late=True), Reply("In time.")]})
    answered = await face.ask(script, way, hedge_after=0.2)
    assert answered.sot["points"][1]["text"] == "In time."
    assert answered.sot["bill"]["points"][1]["hedges"] == 1


async def test_a_limiter_is_passed_by_every_request(make_script, face, way):
    class Counting(Limiter):
        def __init__(self) -> None:
            super().__init__(max_concurrency=1)
            self.passed = 0

        def slot(self, **options: Any) -> Any:
            self.passed += 1
            return super().slot(**options)

        def aslot(self, **options: Any) -> Any:
            self.passed += 1
            return super().aslot(**options)

    limiter = Counting()
    answered = await face.ask(make_script(), way, limiter=limiter)
    assert answered.text == WHOLE
    assert limiter.passed == 4


class TooManyRequestsError(Exception):
    """A provider's 429 that does not say when to come again."""

    status_code = 429


async def test_longest_wait_bounds_the_wait_for_a_provider_that_refuses(make_script, face, way, monkeypatch):
    monkeypatch.setattr("skeleton_of_thought.limits.congestion._FIRST_PAUSE", 10.0)
    script = make_script({"skeleton": [TooManyRequestsError()]})
    with pytest.raises((LongWaitError, TooManyRequestsError)):
        await face.ask(script, way, options=Options(longest_wait=1.0))
    assert script.asked == ["skeleton"]


async def test_prices_make_the_bill_name_money(make_script, face, way):
    prices = Prices({NAME: Price(input=1.0, output=1.0)})
    answered = await face.ask(make_script(), way, prices=prices)
    tokens = answered.sot["usage"]["total_tokens"]
    assert answered.sot["bill"]["cost"]["total"] == pytest.approx(tokens / 1e6)
    assert "cost" not in (await face.ask(make_script(), way)).sot["bill"]


async def test_load_aware_answers_directly_while_there_is_no_room(make_script, face, way):
    class Full(Limiter):
        load = 1.0

    options = {"limiter": Full(), "options": Options(load_aware=True)}
    answered = await face.ask(make_script(), way, **options)
    assert (answered.text, answered.sot["route"]) == ("A plain answer.", "direct")
    assert (await face.ask(make_script(), way, limiter=Full())).sot["route"] == "sot"


IN_TURN = [(300, 2.0, 3.0), (300, 2.0, 6.0), (300, 2.0, 9.0)]
AT_ONCE = [(300, 2.0, 3.0), (310, 2.0, 3.1), (320, 2.0, 3.2)]


@pytest.fixture
def taught(monkeypatch):
    """Answers as they teach a model's speed; what they would teach is replaced by what a list says of points."""
    taught: list[str] = []

    def teach(points: Any) -> list[str]:
        def observe(self: Speeds, answer: Any, seconds: Any = None) -> None:
            taught.append(answer.route)
            if answer.route == "sot":
                self.observe_points(points, ahead=2.0)

        monkeypatch.setattr(Speeds, "observe", observe)
        return taught

    return teach


async def test_load_aware_answers_directly_once_points_came_in_turn(make_script, face, way, taught):
    routes, options = taught(IN_TURN), Options(load_aware=True)
    first, then = [await face.ask(make_script(), way, options=options) for _ in range(2)]
    assert (first.sot["route"], then.sot["route"]) == ("sot", "direct")
    assert "no gain to expect" in then.sot["reason"]
    assert (await face.ask(make_script(), way)).sot["route"] == "sot"
    assert routes == ["sot", "direct", "sot"]


async def test_points_at_once_go_on_being_written(make_script, face, way, taught):
    taught(AT_ONCE)
    answers = [await face.ask(make_script(), way, options=Options(load_aware=True)) for _ in range(3)]
    assert [answered.sot["route"] for answered in answers] == ["sot"] * 3


@pytest.mark.parametrize(
    "case",
    [(IN_TURN, "direct", "no gain to expect"), (AT_ONCE, "sot", "a skeleton saves")],
    ids=["in turn", "at once"],
)
async def test_the_gain_router_weighs_length_and_speed(make_script, face, way, taught, case):
    points, route, why = case
    taught(points)
    script = make_script()
    first, then = [await face.ask(script, way, router="gain") for _ in range(2)]
    assert first.sot["route"] == "sot"
    assert "no speed of this model is known yet" in first.sot["reason"]
    assert then.sot["route"] == route
    assert why in then.sot["reason"]
    assert re.search(r"about \d+ words", then.sot["reason"])


async def test_a_load_aware_gain_router_tries_again(make_script, face, way, taught):
    """Each of the two would wait for the other, if both counted plain answers."""
    taught(IN_TURN)
    options = {"router": "gain", "options": Options(load_aware=True)}
    routes = [(await face.ask(make_script(), way, **options)).sot["route"] for _ in range(28)]
    assert [place for place, found in enumerate(routes) if found == "sot"] == [0, 26]


@pytest.mark.parametrize("route", ["sot", "direct"])
async def test_a_race_does_not_wait_for_its_router(make_script, face, way, route):
    class Slow:
        def route(self, messages: Any) -> Decision:
            while len(script.asked) < 2:  # the others have been asked before it has decided
                time.sleep(0.001)
            return Decision(route, 1.0, "I say so")

        async def aroute(self, messages: Any) -> Decision:
            while len(script.asked) < 2:  # noqa: ASYNC110 - the script is asked from threads as well
                await asyncio.sleep(0.001)
            return Decision(route, 1.0, "I say so")

    # A plain answer that is complete at once would win before the skeleton's thread has begun.
    plain = Reply("A plain answer.", late=route == "sot", after="skeleton")
    script = make_script({"direct": plain})
    answered = await face.ask(script, way, router=Slow(), race=True)
    assert {"skeleton", "direct"} <= set(script.asked)
    assert answered.text == (WHOLE if route == "sot" else "A plain answer.")
    assert answered.sot["route"] == route


async def test_a_router_that_is_down_does_not_cost_the_answer(make_script, face, way):
    class Down:
        def route(self, messages: Any) -> Decision:
            raise RuntimeError("router is down")

        async def aroute(self, messages: Any) -> Decision:
            raise RuntimeError("router is down")

    answered = await face.ask(make_script(), way, router=Down())
    assert answered.text in {WHOLE, "A plain answer."}
    assert "the router failed" in answered.sot["reason"]


async def test_a_router_that_is_stuck_takes_half_of_the_time_at_most(make_script, face, way, monkeypatch):
    released = threading.Event()

    class Stuck:
        def route(self, messages: Any) -> Decision:
            released.wait(2)
            return Decision("direct", 1.0, "at last")

        async def aroute(self, messages: Any) -> Decision:
            async with asyncio.timeout(2):
                await asyncio.Event().wait()
            raise AssertionError

    monkeypatch.setattr(fallback, "_SHARE", 0.001, raising=False)  # nobody has to wait for it here
    answered = await face.ask(make_script(), way, router=Stuck(), timeout=50)
    released.set()
    assert answered.text in {WHOLE, "A plain answer."}
    assert "took longer than 0.05 s" in answered.sot["reason"]


async def test_models_for_skeleton_and_points(make_script, face, way):
    plain, skeletons, points = make_script(), make_script(), make_script()
    models = {"skeleton_model": face.model(skeletons), "point_model": face.model(points)}
    assert (await face.ask(plain, way, **models)).text == WHOLE
    assert (plain.asked, skeletons.asked) == ([], ["skeleton"])
    assert sorted(points.asked) == ["point:1", "point:2", "point:3"]


async def test_an_answer_of_other_content_is_no_empty_one(make_script, face, way):
    if face.name == "Sourced":
        pytest.skip("its direct answers are LlamaIndex's own synthesizer's, which knows text alone")
    script = make_script({"direct": Reply("", tool=True)})
    answered = await face.ask(script, way, router="never")
    assert answered.text in {"", "Empty Response"}  # LlamaIndex's query engines say so
    assert answered.sot["route"] == "direct"
    assert script.asked == ["direct"]


async def test_no_list_gives_a_plain_answer(make_script, face, way):
    answered = await face.ask(make_script({"skeleton": "I would rather not."}), way)
    assert (answered.text, answered.sot["route"]) == ("A plain answer.", "direct")


async def test_rare_options(make_script, face, way):
    script = make_script()
    options = {"max_points": 2, "answer_format": "headings", "options": Options(early_points=0)}
    answered = await face.ask(script, way, **options)
    assert answered.text.startswith("## Air\n\nText 1")
    assert script.asked[0] == "skeleton"
    assert len(answered.sot["points"]) == 2


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"max_points": 1}, "max_points"),
        ({"retries": -1}, "retries"),
        ({"on_point_error": "ignore"}, "on_point_error"),
        ({"answer_format": "poem"}, "answer_format"),
        ({"point_max_tokens": 0}, "point_max_tokens"),
        ({"timeout": 0}, "timeout"),
        ({"point_timeout": float("nan")}, "point_timeout"),
        ({"hedge_after": -1}, "hedge_after"),
        ({"router": "guess"}, "lexical"),
        ({"prompts": "best"}, "instruction"),
    ],
)
def test_wrong_values_are_refused_before_any_token(make_script, face, options, says):
    with pytest.raises((ConfigurationError, ValueError), match=says):
        face.make(make_script(), "whole", **options)


EVERYDAY = {
    "router": None,
    "prompts": None,
    "skeleton_model": None,
    "point_model": None,
    "max_points": None,
    "point_max_tokens": None,
    "answer_format": None,
    "on_point_error": "mark",
    "retries": 1,
    "timeout": None,
    "point_timeout": None,
    "hedge_after": None,
    "race": False,
    "limiter": None,
    "prices": None,
    "options": Options(),
}


def defaults(kind: Any) -> dict[str, Any]:
    fields = getattr(kind, "model_fields", {})
    if set(EVERYDAY) <= set(fields):
        return {name: field.default for name, field in fields.items()}
    owner = next(base for base in kind.__mro__ if "__init__" in vars(base))
    return {name: parameter.default for name, parameter in inspect.signature(owner).parameters.items()}


def test_everyday_options_have_the_same_names_and_defaults(face):
    found = defaults(face.kind)
    assert {name: found[name] for name in EVERYDAY} == EVERYDAY
    assert not set(found) & {
        "early_points",
        "points_per_call",
        "structured_skeleton",
        "prompt_cache",
        "load_aware",
    }


def test_the_everyday_options_are_written_once_with_these_names_and_defaults():
    assert {each.name: each.default for each in fields(EverydayOptions)} == EVERYDAY
    assert set(EverydayParameters.__annotations__) == set(EVERYDAY)
    explained = set(re.findall(r"^    (\w+): ", inspect.getdoc(EverydayOptions), re.MULTILINE))
    assert explained == set(EVERYDAY)


def test_a_misspelt_option_is_refused_with_its_name(make_script, face):
    with pytest.raises((TypeError, ValueError), match="time_out"):
        face.make(make_script(), "whole", time_out=1)


def test_every_setting_of_a_run_is_an_option_of_the_faces():
    shared = {"leads", "max_stops", "resumed", *(name for name in dir(Options()) if not name.startswith("_"))}
    settings = {name for name in RunSettings.__dataclass_fields__ if name not in shared}
    assert settings <= set(EVERYDAY)
    assert QUESTION
