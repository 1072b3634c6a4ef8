from __future__ import annotations

from typing import TYPE_CHECKING

import anthropic
import openai
import pytest

from skeleton_of_thought.fake_server import PlausibleAnswers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from skeleton_of_thought.fake_server import FakeServer


@pytest.fixture
def server(server: FakeServer) -> FakeServer:
    """The shared server, which answers as it does by default."""
    server.provider.answer = PlausibleAnswers()
    return server


@pytest.fixture
def openai_client(server: FakeServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="fake", max_retries=0) as client:
        yield client


@pytest.fixture
def anthropic_client(server: FakeServer) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=server.url, api_key="fake", max_retries=0) as client:
        yield client
