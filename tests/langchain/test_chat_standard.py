"""LangChain's own standard tests, unmodified, on the model in front: over the packaged model, over a server."""

from __future__ import annotations

import pytest
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests

from langchain_sot import ChatSkeletonOfThought

SERVER: dict[str, str] = {}


@pytest.fixture(autouse=True)
def _server(server):
    SERVER["url"] = f"{server.url}/v1"


class Local:
    @property
    def chat_model_class(self) -> type[ChatSkeletonOfThought]:
        return ChatSkeletonOfThought

    @property
    def chat_model_params(self) -> dict:
        return {"model": "local"}

    @property
    def has_tool_calling(self) -> bool:
        return False  # the model inside calls none

    @property
    def has_structured_output(self) -> bool:
        return False

    @property
    def model_override_value(self) -> str:
        return "local"


class TestLocalUnit(Local, ChatModelUnitTests):
    pass


class TestLocalIntegration(Local, ChatModelIntegrationTests):
    pass


class Remote(Local):
    @property
    def has_tool_calling(self) -> bool:
        return True

    @property
    def has_structured_output(self) -> bool:
        return True

    @property
    def chat_model_params(self) -> dict:
        return {
            "model": "openai:gpt-4o-mini",
            "base_url": SERVER.get("url", "http://127.0.0.1:9/v1"),
            "api_key": "fake",
            "stream_usage": True,
        }

    @property
    def model_override_value(self) -> str:
        return "gpt-4o"


class TestRemoteUnit(Remote, ChatModelUnitTests):
    pass


# What ChatOpenAI itself warns of when its answer is a pydantic object, of either version.
@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings", "ignore:Received a Pydantic BaseModel V1")
class TestRemoteIntegration(Remote, ChatModelIntegrationTests):
    pass
