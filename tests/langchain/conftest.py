from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .fakes import WAYS

if TYPE_CHECKING:
    from skeleton_of_thought.fake_server import FakeServer


@pytest.fixture(params=WAYS)
def way(request):
    """How the chain is asked: every test with it is four tests."""
    return request.param


@pytest.fixture
def server(server: FakeServer) -> FakeServer:
    """The shared server with skeletons of five points."""
    from skeleton_of_thought.fake_server import PlausibleAnswers

    server.provider.answer = PlausibleAnswers(points=5)
    return server
