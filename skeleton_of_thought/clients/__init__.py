"""Chat models without LangChain or LlamaIndex: the local engine, and the SDKs of OpenAI and Anthropic.

`client` says what one is, `opening` finds it for a model's name, `local`, `openai` and `anthropic` are the three there
are (the latter two have `keys` and `connections` in common), `routing` asks one for a route.
"""

from __future__ import annotations

from skeleton_of_thought.clients.client import Client, identity, warm_up
from skeleton_of_thought.clients.keys import without_password
from skeleton_of_thought.clients.opening import open_client

__all__ = ["Client", "identity", "open_client", "warm_up", "without_password"]
