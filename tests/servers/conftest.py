from __future__ import annotations

import pytest

from .llama_cpp import LlamaCpp


@pytest.fixture(scope="session")
def eight_slots():
    with LlamaCpp(slots=8, context=8192) as server:
        yield server


@pytest.fixture(scope="session")
def one_slot():
    with LlamaCpp(slots=1, context=2048) as server:
        yield server


@pytest.fixture
def fake(server):
    """The upstream of a server of ours."""
    return server
