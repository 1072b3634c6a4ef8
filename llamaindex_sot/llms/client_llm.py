"""The command's API clients as LlamaIndex LLMs: no package of LlamaIndex's per provider is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llama_index.core.base.llms.types import LLMMetadata, TextBlock
from llama_index.core.bridge.pydantic import PrivateAttr

from llamaindex_sot.llms.blocking import in_thread
from llamaindex_sot.llms.delta_llm import SMALLEST_WINDOW, DeltaLLM
from llamaindex_sot.messages import readable
from skeleton_of_thought.clients import identity
from skeleton_of_thought.errors import ConfigurationError
from skeleton_of_thought.messages import Message
from skeleton_of_thought.request import Request, as_stops

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from llama_index.core.base.llms.types import ChatMessage

    from skeleton_of_thought.clients import Client
    from skeleton_of_thought.request import Delta


class ClientLLM(DeltaLLM):
    """A chat model behind one of the clients the command uses; its async methods use threads.

    Args:
        client: Answers.
    """

    _client: Any = PrivateAttr()

    def __init__(self, client: Client) -> None:
        super().__init__()
        self._client = client

    @classmethod
    def class_name(cls) -> str:
        """Name in traces and serialized components."""
        return "ClientLLM"

    @property
    def max_stops(self) -> int | None:
        """How many stop sequences a call may carry."""
        stops: int | None = self._client.max_stops
        return stops

    @property
    def identity(self) -> str:
        """What identifies the model and its server in this process."""
        return identity(self._client)

    @property
    def takes_fields(self) -> bool:
        """Whether a call may carry fields of the request's body, as `extra_body`."""
        return bool(getattr(self._client, "takes_fields", False))

    @property
    def metadata(self) -> LLMMetadata:
        """What LlamaIndex plans with."""
        return LLMMetadata(
            context_window=SMALLEST_WINDOW, is_chat_model=True, model_name=str(self._client.name)
        )

    def _deltas(self, messages: Sequence[ChatMessage], **options: Any) -> Iterator[Delta]:
        fields = tuple((options.pop("extra_body", None) or {}).items()) if self.takes_fields else ()
        if unknown := sorted(options.keys() - {"stop", "max_tokens"}):
            raise ConfigurationError(f"{self._client.name} takes stop and max_tokens, not {unknown[0]!r}.")
        asked = tuple(
            Message(role, "".join(block.text for block in blocks))
            for role, blocks in readable(messages, who=str(self._client.name), kinds=(TextBlock,))
        )
        stop = as_stops(options.get("stop"))
        request = Request(
            "direct", "direct", asked, stop=stop, max_tokens=options.get("max_tokens"), fields=fields
        )
        deltas: Iterator[Delta] = self._client.stream(request)
        return deltas

    def _adeltas(self, messages: Sequence[ChatMessage], **options: Any) -> AsyncIterator[Delta]:
        return in_thread(lambda: self._deltas(messages, **options))
