from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from skeleton_of_thought.fake_server import FakeServer, Pace, PlausibleAnswers, Quota

from .fakes import WAYS

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(params=WAYS)
def way(request):
    """How the chain is asked: every test with it is four tests."""
    return request.param


@pytest.fixture(scope="session")
def shared_server() -> Iterator[FakeServer]:
    with FakeServer() as server:
        yield server


@pytest.fixture
def server(shared_server: FakeServer) -> FakeServer:
    """OpenAI and Anthropic on localhost, as new."""
    provider = shared_server.provider
    assert provider.ledger.wait_until_idle()
    provider.answer, provider.pace, provider.quota = PlausibleAnswers(points=5), Pace(), Quota()
    provider.faults.clear()
    provider.ledger.clear()
    provider.cache.clear()
    provider.meter.clear()
    return shared_server
