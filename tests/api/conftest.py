from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from langchain_anthropic import ChatAnthropic
from langchain_openai import ChatOpenAI

from skeleton_of_thought.fake_server import FakeServer, Pace, PlausibleAnswers, Quota

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_core.language_models import BaseChatModel


@pytest.fixture(scope="session")
def shared_server() -> Iterator[FakeServer]:
    with FakeServer() as server:
        yield server


@pytest.fixture
def server(shared_server: FakeServer) -> FakeServer:
    provider = shared_server.provider
    assert provider.ledger.wait_until_idle()
    provider.answer, provider.pace, provider.quota = PlausibleAnswers(points=4), Pace(), Quota()
    provider.faults.clear()
    provider.ledger.clear()
    provider.cache.clear()
    provider.meter.clear()
    return shared_server


@pytest.fixture(params=["openai", "anthropic"])
def model(request: pytest.FixtureRequest, server: FakeServer) -> BaseChatModel:
    return chat_model(server, request.param)


def chat_model(server: FakeServer, api: str = "openai", **options: object) -> BaseChatModel:
    """A real client without retries of its own, so that every request is one the chain sent."""
    if api == "openai":
        return ChatOpenAI(
            **{"model": "gpt-4o-mini", "api_key": "fake", "max_retries": 0, "stream_usage": True, **options},
            base_url=f"{server.url}/v1",
            use_responses_api=False,
        )
    return ChatAnthropic(
        **{"model": "claude-haiku-4-5", "api_key": "fake", "max_retries": 0, **options}, base_url=server.url
    )
