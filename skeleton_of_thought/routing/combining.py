"""Routers made of routers: the first confident one wins; none is asked while the engine is full."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, get_args

from skeleton_of_thought.errors import ConfigurationError
from skeleton_of_thought.routing.decision import Decision, Route
from skeleton_of_thought.routing.linear import checked_threshold
from skeleton_of_thought.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from skeleton_of_thought.messages import Message
    from skeleton_of_thought.routing.decision import Router


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


class FirstConfident:
    """Asks one router after the other, cheap ones first, until one is confident.

    If none is, the last one's decision counts. Time and tokens of all that were asked are added up.

    Example:
        >>> from skeleton_of_thought.routing import FixedRouter, LexicalRouter
        >>> from skeleton_of_thought.messages import Message
        >>> router = FirstConfident([LexicalRouter(), FixedRouter("direct")], threshold=0.8)
        >>> router.route([Message("user", "What are the main benefits of learning a second language?")]).route
        'sot'
    """

    def __init__(self, routers: Sequence[Router], *, threshold: float = 0.8) -> None:
        """Keep the routers in order.

        Args:
            routers: Cheap ones first.
            threshold: Confidence from which nobody else is asked.

        Raises:
            ConfigurationError: There are no routers, or the threshold is no probability.
        """
        if not routers:
            raise ConfigurationError("FirstConfident has no routers to ask. Give at least one.")
        self.routers = tuple(routers)
        self.threshold = checked_threshold(threshold)

    def route(self, messages: Sequence[Message]) -> Decision:
        """Ask until one is confident."""
        asked: list[Decision] = []
        for router in self.routers:
            asked.append(router.route(messages))
            if self._settled(asked):
                break
        return _bill(asked)

    async def aroute(self, messages: Sequence[Message]) -> Decision:
        """The same without blocking the event loop."""
        asked: list[Decision] = []
        for router in self.routers:
            asked.append(await router.aroute(messages))
            if self._settled(asked):
                break
        return _bill(asked)

    def _settled(self, asked: Sequence[Decision]) -> bool:
        return asked[-1].confidence >= self.threshold


class LoadAwareRouter:
    """Says "direct" while the engine has no room, and asks the inner router otherwise.

    Skeleton-of-Thought turns idle capacity into speed: with every place of the batch taken, its extra
    requests only make everybody wait.

    Example:
        >>> from skeleton_of_thought.routing import FixedRouter
        >>> LoadAwareRouter(FixedRouter("sot"), load=lambda: 1.25).route([]).reason
        'no room for more requests: load 1.25, limit 1.00'
    """

    def __init__(self, inner: Router, *, load: Callable[[], float], limit: float = 1.0) -> None:
        """Keep the router and the gauge.

        Args:
            inner: Asked while there is room.
            load: Share of the capacity in use now, waiting requests included: 0 is idle, 1 is full.
            limit: Load from which the route is "direct".

        Raises:
            ConfigurationError: The limit is not above 0.
        """
        if not limit > 0:
            raise ConfigurationError(f"limit={limit!r} would never allow a skeleton. Give a load above 0.")
        self.inner = inner
        self.load = load
        self.limit = limit

    def route(self, messages: Sequence[Message]) -> Decision:
        """Direct if full, else what the inner router says."""
        return self._full() or self.inner.route(messages)

    async def aroute(self, messages: Sequence[Message]) -> Decision:
        """The same without blocking the event loop."""
        return self._full() or await self.inner.aroute(messages)

    def _full(self) -> Decision | None:
        return no_room(self.load(), self.limit)


def no_room(load: float, limit: float = 1.0) -> Decision | None:
    """The decision while the capacity is used up; None while there is room."""
    if load < limit:
        return None
    return Decision("direct", 1.0, f"no room for more requests: load {load:.2f}, limit {limit:.2f}")


def _bill(asked: Sequence[Decision]) -> Decision:
    """The last decision, with the time and the tokens of all."""
    return replace(
        asked[-1],
        seconds=sum(decision.seconds for decision in asked),
        usage=sum((decision.usage for decision in asked), Usage()),
    )
