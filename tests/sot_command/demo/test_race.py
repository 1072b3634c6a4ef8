"""The race behind the page, with the real SDK against a server on localhost."""

from __future__ import annotations

import asyncio
import contextlib
from html.parser import HTMLParser

import pytest

from skeleton_of_thought import PROMPTS, Answer, PointResult, Seconds
from skeleton_of_thought.clients import open_client
from skeleton_of_thought.events import PointEnded, PointStarted, PointText, RouteChosen, SkeletonText
from skeleton_of_thought.fake_server import FakeServer, Pace, PlausibleAnswers
from sot_command.choices import RouteChoice
from sot_command.demo import Lane, SideBySide
from sot_command.demo.columns import advice, column, text, verdict, waiting

QUESTION = "How can I improve my time management skills?"


@pytest.fixture
def server():
    with FakeServer(
        answer=PlausibleAnswers(points=4), pace=Pace(first_token=0.05, per_token=0.015)
    ) as started:
        yield started


@pytest.fixture
def client(server):
    return open_client("openai:gpt-4o-mini", base_url=f"{server.url}/v1")


async def watch(race):
    seen = []
    async with contextlib.aclosing(race.run()) as moments:
        async for _ in moments:
            seen.append((column(race.plain), column(race.sot)))
    return seen


async def test_both_are_written_at_the_same_time(client):
    race = SideBySide(QUESTION, client, max_points=10)
    seen = await watch(race)
    assert (race.plain.answer.route, race.sot.answer.route) == ("direct", "sot")
    assert race.plain.text == race.plain.answer.text
    assert race.sot.text == race.sot.answer.text
    assert race.sot.seconds == race.sot.answer.seconds.total
    assert race.sot.titles == {point.index: point.title for point in race.sot.answer.points}
    assert len(seen) > 3
    assert any("Writing the skeleton" in sot for _, sot in seen)
    assert any(sot.count('<li class="">') > 1 for _, sot in seen), "several points unfinished at once"
    assert seen[-1][1].count('<li class="ok">') == 4
    assert "of the time, at" in verdict(race)
    assert "Route: sot (the model planned its answer)" in seen[-1][1]
    assert "The lexical router would answer this with a skeleton (" in advice(race)


async def test_an_error_ends_its_lane_only(client, server):
    server.faults.add("unauthorized", stage="direct")
    race = SideBySide(QUESTION, client, max_points=10)
    seen = await watch(race)
    assert race.plain.error.endswith("Check the key in OPENAI_API_KEY or ANTHROPIC_API_KEY.")
    assert 'role="alert"' in seen[-1][0]
    assert race.sot.error is None
    assert race.sot.answer.points
    assert verdict(race) == '<p class="verdict"></p>'
    stopped = race.plain.seconds
    await asyncio.sleep(0.02)
    assert race.plain.seconds == stopped, "the clock stands"


async def test_an_error_nobody_foresaw_is_named_and_logged(caplog):
    class Broken:
        name, max_stops, prompts, load = "broken", None, PROMPTS["instruction"], 0.0

        def stream(self, request):
            raise RuntimeError("no such luck")

    race = SideBySide(QUESTION, Broken(), max_points=10)
    await watch(race)
    assert race.plain.error == "RuntimeError: no such luck"
    assert "the demo could not answer" in caplog.text


async def test_who_leaves_stops_the_requests(client, server):
    server.provider.pace = Pace(first_token=0.05, per_token=0.2)
    race = SideBySide(QUESTION, client, max_points=10)
    moments = race.run()
    await anext(moments)
    await asyncio.sleep(0.5)
    await moments.aclose()
    await asyncio.to_thread(server.ledger.wait_until_idle)
    for thread in race._threads:
        await asyncio.to_thread(thread.join, 10)
    assert (race.plain.error, race.sot.error) == ("Stopped.", "Stopped.")


# As HTML.


class Tags(HTMLParser):
    def __init__(self, html):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.text += data


EVIL = "<script>alert(1)</script> ${1 + 1} {{value}}"


@pytest.mark.parametrize("where", ["skeleton", "title", "text", "fallback", "error", "answer"])
def test_nothing_written_becomes_markup_or_template(where):
    lane = Lane(RouteChoice.sot)
    lane._watch(SkeletonText(EVIL if where == "skeleton" else "1. A"))
    if where in {"title", "text"}:
        lane._watch(PointStarted(1, EVIL if where == "title" else "A", 1))
        lane._watch(PointText(1, EVIL if where == "text" else "a"))
    if where == "fallback":
        lane._watch(RouteChosen("direct", EVIL))
    if where == "error":
        lane.error = EVIL
    if where == "answer":
        lane.answer = Answer(EVIL, "sot", EVIL, EVIL, (PointResult(1, EVIL, EVIL),), Seconds(total=1))
    html = column(lane)
    shown = Tags(html)
    assert "script" not in shown.tags
    assert "alert(1)" in shown.text
    assert "${" not in html
    assert "{{" not in html


def test_a_point_that_failed_is_marked():
    lane = Lane(RouteChoice.sot)
    lane._watch(PointStarted(1, "A", 1))
    lane._watch(PointEnded(PointResult(1, "A", "", "failed", "x")))
    assert '<li class="failed"><b>1. A</b>' in column(lane)


def test_before_the_first_race():
    assert "0.0 s" in waiting(RouteChoice.sot)
    assert "<h3>Plain answer</h3>" in waiting(RouteChoice.direct)
    assert 'role="alert">a &lt; b<' in waiting(RouteChoice.sot, "a < b")
    assert text("{$}") == "&#123;&#36;&#125;"
