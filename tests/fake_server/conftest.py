from __future__ import annotations

from typing import TYPE_CHECKING

import anthropic
import openai
import pytest

from skeleton_of_thought.fake_server import FakeServer, Pace, PlausibleAnswers, Quota

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def shared_server() -> Iterator[FakeServer]:
    with FakeServer() as server:
        yield server


@pytest.fixture
def server(shared_server: FakeServer) -> FakeServer:
    provider = shared_server.provider
    assert provider.ledger.wait_until_idle()
    provider.answer, provider.pace, provider.quota = PlausibleAnswers(), Pace(), Quota()
    provider.faults.clear()
    provider.ledger.clear()
    provider.cache.clear()
    provider.meter.clear()
    return shared_server


@pytest.fixture
def openai_client(server: FakeServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="fake", max_retries=0) as client:
        yield client


@pytest.fixture
def anthropic_client(server: FakeServer) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=server.url, api_key="fake", max_retries=0) as client:
        yield client
