from __future__ import annotations

import pytest

from skeleton_of_thought.fake_server import FakeServer, Pace, PlausibleAnswers, Quota

from .llama_cpp import LlamaCpp


@pytest.fixture(scope="session")
def eight_slots():
    with LlamaCpp(slots=8, context=8192) as server:
        yield server


@pytest.fixture(scope="session")
def one_slot():
    with LlamaCpp(slots=1, context=2048) as server:
        yield server


@pytest.fixture(scope="session")
def shared_fake():
    with FakeServer() as server:
        yield server


@pytest.fixture
def fake(shared_fake):
    provider = shared_fake.provider
    assert provider.ledger.wait_until_idle()
    provider.answer, provider.pace, provider.quota = PlausibleAnswers(points=4), Pace(), Quota()
    provider.faults.clear()
    provider.ledger.clear()
    provider.cache.clear()
    provider.meter.clear()
    return shared_fake
