from __future__ import annotations

import pytest

from skeleton_of_thought.errors import ConfigurationError
from skeleton_of_thought.fake_server import FakeServer


def test_a_used_port_is_named_with_the_way_out():
    with FakeServer() as server:
        port = int(server.url.rpartition(":")[2])
        with pytest.raises(ConfigurationError, match=f"{port}.*another port"):
            FakeServer(port=port)
