"""`SkeletonOfThoughtMiddleware`: an agent whose steps are its own model's, and whose final answer goes by skeleton."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain.agents.middleware import AgentMiddleware

from langchain_sot.chat import ChatSkeletonOfThought

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from langchain.agents.middleware import ModelRequest, ModelResponse


class SkeletonOfThoughtMiddleware(AgentMiddleware[Any, Any, Any]):
    """Writes an agent's final answer by skeleton, for `create_agent`.

    An agent's step is final only where it can call no tool: an agent without tools, or one whose middleware took them
    away for the last step. There `ChatSkeletonOfThought` answers in the place of the agent's model, with the options
    given here; every other step is the agent's model's own, untouched.

    Args:
        **options: Those of `ChatSkeletonOfThought`, without `model`, which is the agent's.

    Example:
        ```python
        from langchain.agents import create_agent
        from langchain_sot import ChatTransformers
        from langchain_sot.middleware import SkeletonOfThoughtMiddleware

        agent = create_agent(ChatTransformers(), tools=[], middleware=[SkeletonOfThoughtMiddleware()])
        ```
    """

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self._options = options

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any]:
        """One step of the agent."""
        return handler(self._with_front(request))

    async def awrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]],
    ) -> ModelResponse[Any]:
        """Like `wrap_model_call`, with asyncio."""
        return await handler(self._with_front(request))

    def _with_front(self, request: ModelRequest[Any]) -> ModelRequest[Any]:
        """The request, to the model in front if its answer is final."""
        if request.tools or request.response_format or isinstance(request.model, ChatSkeletonOfThought):
            return request
        return request.override(model=ChatSkeletonOfThought(model=request.model, **self._options))
