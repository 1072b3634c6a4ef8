"""Chat models without a framework: the local engine, and the SDKs of OpenAI and Anthropic.

To read it: `client` (what every one of them does), `opening` (from the name a user types to a client), then `openai`,
`anthropic` and `local`; `routing` is a model that is asked for the route.
"""

from __future__ import annotations

from skeleton_of_thought.clients.client import Client
from skeleton_of_thought.clients.opening import open_client, without_password

__all__ = ["Client", "open_client", "without_password"]
