"""Behind Ray Serve: two replicas of `sot serve` keep one provider's limit together."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from skeleton_of_thought.fake_server import Pace

REQUESTS_PER_MINUTE = 12
ROOT = Path(__file__).parents[2]
PATIENCE = 10
"""Seconds a client waits: less than the minute after which more requests are let through."""


@pytest.fixture
def replicas(server, tmp_path):
    """The address of two replicas in front of the fake server."""
    store = f"sqlite-test://{tmp_path}/counters.db"
    command = [
        sys.executable,
        "-m",
        "tests.servers.ray_replicas",
        server.url,
        store,
        str(REQUESTS_PER_MINUTE),
    ]
    environment = os.environ | {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        address = process.stdout.readline().strip()
        assert address, "Ray Serve did not start"
        yield address
        process.communicate(timeout=60)


async def asked_at_once(address, count):
    """Plain questions; the replica that answered, or None for one that was not answered in time."""
    async with httpx.AsyncClient(timeout=PATIENCE, limits=httpx.Limits(max_connections=count)) as client:

        async def one(number):
            body = {
                "messages": [{"role": "user", "content": f"Hello, number {number}."}],
                "sot": {"route": "direct"},
            }
            try:
                response = await client.post(f"{address}/v1/chat/completions", json=body)
            except httpx.TimeoutException:
                return None
            return response.raise_for_status().headers["x-replica"]

        return await asyncio.gather(*map(one, range(count)))


@pytest.mark.slow
@pytest.mark.server
async def test_two_replicas_share_one_limit(server, replicas):
    server.provider.pace = Pace(first_token=0.2)
    answered = [replica for replica in await asked_at_once(replicas, 40) if replica]
    assert len(answered) == REQUESTS_PER_MINUTE
    assert len(set(answered)) == 2
    assert len(server.provider.ledger.entries) == REQUESTS_PER_MINUTE
