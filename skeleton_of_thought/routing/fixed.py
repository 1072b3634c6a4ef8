"""A router that always says the same: to switch Skeleton-of-Thought on or off, and to compare with."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from skeleton_of_thought.errors import ConfigurationError
from skeleton_of_thought.routing.decision import Decision, Route

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skeleton_of_thought.messages import Message


class FixedRouter:
    """Always the same route.

    Example:
        >>> FixedRouter("direct").route([]).reason
        'always direct'
    """

    def __init__(self, route: Route) -> None:
        """Remember the route.

        Raises:
            ConfigurationError: It is neither "sot" nor "direct".
        """
        if route not in get_args(Route):
            raise ConfigurationError(f'route={route!r} is unknown. Use "sot" or "direct".')
        self._decision = Decision(route, 1.0, f"always {route}")

    def route(self, messages: Sequence[Message]) -> Decision:  # noqa: ARG002 - the interface of a router
        """The route, whatever was asked."""
        return self._decision

    async def aroute(self, messages: Sequence[Message]) -> Decision:
        """The same."""
        return self.route(messages)
