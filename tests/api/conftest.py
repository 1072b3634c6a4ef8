from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from langchain_anthropic import ChatAnthropic
from langchain_openai import ChatOpenAI

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from skeleton_of_thought.fake_server import FakeServer


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
