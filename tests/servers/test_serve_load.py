"""Many clients at once, upstream requests that fail, and nothing left over."""

from __future__ import annotations

import asyncio
import gc
import json
import re
import resource

import httpx
import pytest

from skeleton_of_thought.fake_server import FakeServer
from skeleton_of_thought.fake_server.answers import PlausibleAnswers

from .serving import Serving

CLIENTS = 200
ANSWERS = 400


class Marked:
    """Answers whose every part carries the number of the question."""

    def __init__(self):
        self._plausible = PlausibleAnswers(points=3)

    def __call__(self, request):
        number = request.prompt.partition("question #")[2].partition("#")[0]
        reply = self._plausible(request)
        text = reply if isinstance(reply, str) else reply.text
        if request.prompt.count("question #") and text.lstrip().startswith("1."):
            return text  # a skeleton
        return f"<{number}> {text[:60]}"


async def ask(client, url, number):
    body = {
        "messages": [{"role": "user", "content": f"What are the benefits of sleep? question #{number}#"}],
        "sot": {"route": "sot" if number % 3 else "direct"},
        "stream": number % 2 == 1 and number % 3 != 0,
    }
    response = await client.post(f"{url}/chat/completions", json=body)
    return number, response


def text_of(response):
    """The text of an answer, whole or streamed."""
    if response.headers["content-type"] == "application/json":
        return response.json()["choices"][0]["message"]["content"]
    chunks = [json.loads(line[6:]) for line in response.text.splitlines() if line.startswith("data: {")]
    return "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])


@pytest.fixture(scope="module")
def outcomes():
    with FakeServer(answer=Marked()) as fake, Serving(base_url=f"{fake.url}/v1") as serving:
        fake.provider.faults.add("server_error", rate=0.12)
        fake.provider.faults.add("reset", rate=0.05, stage="point", after_tokens=0)
        fake.provider.faults.add("stream_error", rate=0.05, stage="direct", after_tokens=0)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

        async def storm():
            turn = asyncio.Semaphore(CLIENTS)
            limits = httpx.Limits(max_connections=None)
            async with httpx.AsyncClient(timeout=240, limits=limits) as client:

                async def one(number):
                    async with turn:
                        return await ask(client, serving.url, number)

                return await asyncio.gather(*map(one, range(ANSWERS)))

        answers = asyncio.run(storm())
        assert fake.provider.ledger.wait_until_idle(10)
        loop = serving.server.servers[0].get_loop()
        left = asyncio.run_coroutine_threadsafe(_tasks(), loop).result(10)
        metrics = httpx.get(f"{serving.address}/metrics").text
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        faults = sum(entry.fault is not None for entry in fake.provider.ledger.entries)
        share = faults / len(fake.provider.ledger.entries)
    return answers, left, metrics, grown, share


async def _tasks():
    await asyncio.sleep(0.2)
    gc.collect()
    return [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("sot ")]


def test_one_request_in_six_did_fail(outcomes):
    assert outcomes[4] > 0.12


def test_no_answer_is_lost(outcomes):
    assert [response.status_code for _, response in outcomes[0]] == [200] * ANSWERS


def test_no_answer_carries_anothers_text(outcomes):
    for number, response in outcomes[0]:
        assert set(re.findall(r"<(\d+)>", text_of(response))) == {str(number)}


def test_no_task_is_left(outcomes):
    assert outcomes[1] == []
    assert "sot_requests_in_flight 0" in outcomes[2]


def test_memory_is_bounded(outcomes):
    assert outcomes[3] < 300_000  # KiB
