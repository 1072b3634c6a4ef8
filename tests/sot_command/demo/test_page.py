"""`sot demo` in a real browser."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
import time
from itertools import pairwise
from operator import gt

import pytest

from skeleton_of_thought.clients import local, open_client
from skeleton_of_thought.decoding import get_engine
from skeleton_of_thought.fake_server import FakeServer, Pace, PlausibleAnswers

QUESTION = "How can I improve my time management skills?"
MODEL = "gpt-4o-mini"
COMMAND = [sys.executable, "-c", "from sot_command import main; main()", "demo", "--port", "0"]
PATIENCE = 150_000  # milliseconds: a busy machine


PACE = Pace(first_token=0.1, per_token=0.01)


@pytest.fixture(scope="module")
def provider():
    with FakeServer(answer=PlausibleAnswers(points=4, words=200), pace=PACE) as started:
        yield started


class Demo:
    """The command as a user starts it."""

    def __init__(self, *options):
        self.process = subprocess.Popen([*COMMAND, *options], stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        self.url = re.fullmatch(r"Open (http://127\.0\.0\.1:\d+) \(Ctrl\+C stops\)\n", line)[1]

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=20)


@pytest.fixture(scope="module")
def demo(provider):
    started = Demo("--model", f"openai:{MODEL}", "--base-url", f"{provider.url}/v1")
    yield started
    if started.process.poll() is None:
        started.stop()
    started.process.stdout.close()


@pytest.fixture(autouse=True)
def no_faults(provider):
    provider.faults.clear()
    provider.pace = PACE


def ask(page, question=None):
    if question is not None:
        page.locator("#question textarea").fill(question)
    page.locator("#race").click()


def seconds(page, lane):
    return float(page.locator(f"#{lane} .clock").inner_text().removesuffix(" s"))


def metadata(page, lane):
    page.locator(f"#{lane} summary").click()
    return json.loads(page.locator(f"#{lane} pre").inner_text())


def wait_for_both(page):
    for lane in ("direct", "sot"):
        page.locator(f"#{lane}.over").wait_for(timeout=PATIENCE)


def test_both_columns_finish_and_the_clocks_agree_with_the_metadata(page, demo):
    page.goto(demo.url)
    started = time.perf_counter()
    ask(page, "What are the benefits of walking to work every day?")
    page.locator("#sot li").nth(3).wait_for(timeout=PATIENCE)
    early = seconds(page, "direct")
    wait_for_both(page)
    took = time.perf_counter() - started
    assert page.locator("#sot li.ok").count() == 4
    assert page.locator("#direct .text").inner_text().strip()
    for lane, route in (("direct", "direct"), ("sot", "sot")):
        told = metadata(page, lane)
        assert told["route"] == route
        assert seconds(page, lane) == pytest.approx(told["seconds"]["total"], abs=0.051)
        assert told["seconds"]["total"] <= took
    assert 0 < early < seconds(page, "direct"), "the clock was running"
    assert re.search(r"took 1/\d+\.\d\d of the time", page.locator("#verdict").inner_text())
    assert (page.outside, page.complaints) == ([], [])


WATCH_POINTS = """() => {
    window.seen = [];
    const look = () => {
        const points = [...document.querySelectorAll("#sot li")].map(point => point.textContent.length);
        window.seen.push(points);
    };
    new MutationObserver(look).observe(document.body, {subtree: true, childList: true, characterData: true});
}"""
"""The page notes by itself how long each point is whenever it changes: a look from outside comes late when it is busy."""


def test_points_fill_in_side_by_side(page, demo, provider):
    provider.pace = Pace(first_token=0.1, per_token=0.04)
    page.goto(demo.url)
    page.evaluate(WATCH_POINTS)
    ask(page)
    page.locator("#sot li.ok").nth(3).wait_for(timeout=PATIENCE)
    wait_for_both(page)
    seen = page.evaluate("window.seen")
    together = [sum(map(gt, after, before)) for before, after in pairwise(seen)]
    assert max(together) >= 2, "several points grew between two changes of the page"


def test_a_wrong_model_name_is_a_message_and_the_page_stays_usable(page, provider, demo):
    provider.faults.add("unknown_model", model=MODEL)
    page.goto(demo.url)
    ask(page)
    alert = page.locator("#sot [role=alert]")
    alert.wait_for(timeout=PATIENCE)
    assert "Check the name behind --model, and --base-url." in alert.inner_text()
    wait_for_both(page)
    provider.faults.clear()
    ask(page)
    page.locator("#sot li.ok").nth(3).wait_for(timeout=PATIENCE)
    wait_for_both(page)
    assert page.locator("[role=alert]").count() == 0


def test_an_empty_question_is_a_message(page, demo):
    page.goto(demo.url)
    ask(page, "   ")
    page.get_by_text("The question is empty; type one.").first.wait_for(timeout=PATIENCE)


def test_two_visitors_at_once(page, browser, demo, provider):
    provider.ledger.clear()
    other = browser.new_page()
    for visitor in (page, other):
        visitor.goto(demo.url)
    ask(page, "How do plants adapt to deserts?")
    ask(other, "What are the causes of soil erosion?")
    for visitor in (page, other):
        wait_for_both(visitor)
    other.close()
    plain = [entry for entry in provider.ledger.entries if entry.stage == "direct"]
    assert len(plain) == 2
    assert max(entry.arrived for entry in plain) < min(entry.ended for entry in plain), "neither waited"


def test_the_command_stops_with_ctrl_c(provider):
    started = Demo("--model", f"openai:{MODEL}", "--base-url", f"{provider.url}/v1")
    assert started.stop() in {0, 130}
    started.process.stdout.close()


def test_a_model_of_no_known_kind_is_an_error_before_the_page_is_served():
    ended = subprocess.run(
        [*COMMAND, "--model", "gpt"], check=False, capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 1
    assert "There is no model 'gpt'. Use local" in " ".join(ended.stderr.split())


# With the packaged model, in this process: all visitors share one engine.


@pytest.fixture
def local_page(monkeypatch):
    import uvicorn

    from sot_command.demo import application, listen

    monkeypatch.setattr(local, "LONGEST_ANSWER", 150)
    listening = listen("127.0.0.1", 0)
    config = uvicorn.Config(application(open_client("local"), max_points=3), log_level="warning")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    thread.join(20)


def test_visitors_share_the_packaged_model(page, browser, local_page):
    other = browser.new_page()
    for visitor in (page, other):
        visitor.goto(local_page)
    ask(page, "How can I sleep better?")
    ask(other, "What are the benefits of regular exercise?")
    engine, most = get_engine("local"), 0
    deadline = time.monotonic() + PATIENCE / 1000
    while time.monotonic() < deadline and not all(
        visitor.locator(".lane.over").count() == 2 for visitor in (page, other)
    ):
        most = max(most, engine.running)
        time.sleep(0.1)
    assert most > 4, "more texts in one batch than one visitor can ask for: one plain, three points"
    for visitor in (page, other):
        assert visitor.locator("#sot li.ok").count() >= 2
        told = metadata(visitor, "sot")
        assert seconds(visitor, "sot") == pytest.approx(told["seconds"]["total"], abs=0.051)
    other.close()


def test_on_a_phone_columns_stack_and_clocks_stay_in_their_cards(page, demo):
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(demo.url)
    page.locator(".lane h3").nth(1).wait_for(timeout=PATIENCE)
    assert page.locator(".lane h3").all_inner_texts() == ["Plain answer", "Skeleton-of-Thought"]
    ask(page)
    wait_for_both(page)
    plain, sot = (page.locator(f"#{lane}").bounding_box() for lane in ("direct", "sot"))
    assert plain["x"] == sot["x"]
    assert plain["y"] + plain["height"] <= sot["y"]
    for lane, card in (("direct", plain), ("sot", sot)):
        clock = page.locator(f"#{lane} .clock").bounding_box()
        assert card["x"] <= clock["x"]
        assert clock["x"] + clock["width"] <= card["x"] + card["width"] <= 390
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.locator("#sot .route").inner_text() == "Route: sot (the model planned its answer)"
    assert "The lexical router would answer this" in page.locator("#verdict").inner_text()
