"""Chat models for who needs no framework: the local engine, and the SDKs of OpenAI and Anthropic."""

from __future__ import annotations

from skeleton_of_thought.clients.client import Client
from skeleton_of_thought.clients.opening import open_client, without_password

__all__ = ["Client", "open_client", "without_password"]
