from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from pathlib import Path

import pytest

from skeleton_of_thought.limits import Limiter
from skeleton_of_thought.usage import Usage

from . import sqlite_storage

WORKER = """
import sys, time
sys.path.insert(0, sys.argv[1])
import sqlite_storage
from skeleton_of_thought.limits import Limiter
limiter = Limiter(requests_per_minute=6, window=1.2, store=sys.argv[2], name="shared")
print("ready", flush=True)
sys.stdin.readline()
for _ in range(8):
    with limiter.slot():
        print(time.monotonic(), flush=True)
"""


@pytest.fixture
def url(tmp_path):
    return f"{sqlite_storage.SqliteStorage.STORAGE_SCHEME[0]}://{tmp_path}/counters.db"


@pytest.mark.slow
def test_processes_share_the_window(url):
    folder = str(Path(sqlite_storage.__file__).parent)
    command = [sys.executable, "-c", WORKER, folder, url]
    workers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    for worker in workers:
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        worker.stdin.write("\n")
        worker.stdin.flush()
    outputs = [worker.communicate(timeout=60)[0] for worker in workers]
    moments = sorted(float(line) for output in outputs for line in output.split())
    assert len(moments) == 16
    assert all(len(output.split()) == 8 for output in outputs)
    # A moment is noted a little after it was counted, hence the tolerance of one part of twelve.
    assert all(later - earlier > 1.1 for earlier, later in zip(moments, moments[6:], strict=False))


@pytest.mark.slow
async def test_tokens_are_shared_and_corrected(url):
    options = {"tokens_per_minute": 100, "window": 0.6, "store": url, "name": "tokens"}
    mine, theirs = Limiter(**options), Limiter(**options)
    with mine.slot(tokens=80) as slot:
        slot.settle(Usage(20, 10))
    began = time.monotonic()
    async with theirs.aslot(tokens=60):
        assert time.monotonic() - began < 0.3  # 30 and 60 fit
    async with theirs.aslot(tokens=60):
        assert time.monotonic() - began > 0.5
    for limiter in (mine, theirs):
        assert (limiter.running, limiter.waiting) == (0, 0)


async def test_a_cancelled_waiter_gives_back_what_it_took(url):
    options = {"tokens_per_minute": 100, "requests_per_minute": 50, "window": 60, "store": url}
    limiter = Limiter(**options)

    async def ask(tokens):
        async with limiter.aslot(tokens=tokens) as slot:
            slot.settle(Usage())

    for pause in (0.0, 0.0005, 0.001, 0.002, 0.004):
        task = asyncio.create_task(ask(100))
        await asyncio.sleep(pause)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert (limiter.running, limiter.waiting) == (0, 0)
    await asyncio.sleep(0.2)  # what was on its way has been given back
    async with asyncio.timeout(5):
        async with Limiter(**options).aslot(tokens=100):
            pass
