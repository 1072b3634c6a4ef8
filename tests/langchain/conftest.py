from __future__ import annotations

import pytest

from .fakes import WAYS


@pytest.fixture(params=WAYS)
def way(request):
    """How the chain is asked: every test with it is four tests."""
    return request.param
