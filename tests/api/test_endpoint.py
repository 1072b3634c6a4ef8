"""The README's endpoint behind a real web server: a client that goes away stops the requests that are on their way."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from pathlib import Path

import httpx
import openai
import pytest
import uvicorn

from langchain_sot import ChatSkeletonOfThought
from skeleton_of_thought.fake_server import Pace, PlausibleAnswers

from .conftest import chat_model

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
QUESTION = "What are the advantages of keeping bees in a city garden?"


def run_alone(web):
    """The web server's own event loop, whichever the test has."""
    with asyncio.Runner() as runner:
        runner.run(web.serve())


@pytest.fixture
def endpoint(server):
    """The README's program, with the fake server's model in the place of OpenAI's."""
    program = next(
        block for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "@app.get" in block
    )
    names = {}
    exec(compile(program, "README.md", "exec"), names)
    # A client of its own: LangChain shares one per address, whose connections belong to another test's event loop.
    names["model"] = ChatSkeletonOfThought(
        model=chat_model(server, http_async_client=openai.DefaultAsyncHttpxClient())
    )
    web = uvicorn.Server(uvicorn.Config(names["app"], port=0, log_level="error"))
    thread = threading.Thread(target=run_alone, args=(web,))
    thread.start()
    while not web.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{web.servers[0].sockets[0].getsockname()[1]}/ask"
    web.should_exit = True
    thread.join()


def test_a_client_that_goes_away_stops_the_requests(server, endpoint):
    server.provider.answer = PlausibleAnswers(points=4, words=2000)
    server.provider.pace = Pace(first_token=0.05, per_token=0.02)
    with httpx.stream("GET", endpoint, params={"question": QUESTION}, timeout=60) as reply:
        for line in reply.iter_lines():
            if line.startswith("data: ") and len(server.ledger.entries) > 1:
                break
    until = time.monotonic() + 60
    while any(entry.outcome == "running" for entry in server.ledger.entries) and time.monotonic() < until:
        time.sleep(0.02)
    outcomes = [entry.outcome for entry in server.ledger.entries]
    assert "disconnected" in outcomes
    assert "running" not in outcomes


def test_who_stays_gets_the_whole_answer(server, endpoint):
    server.provider.answer = PlausibleAnswers(points=4, words=200)
    text = httpx.get(endpoint, params={"question": QUESTION}, timeout=60).text
    assert text.count("**") == 8
    assert all(event.startswith("data: ") for event in text.split("\n\n") if event)
