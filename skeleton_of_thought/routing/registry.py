"""Routers by name, for options and the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from skeleton_of_thought.errors import ConfigurationError
from skeleton_of_thought.routing.decision import Router
from skeleton_of_thought.routing.fixed import FixedRouter
from skeleton_of_thought.routing.lexical import LexicalRouter

if TYPE_CHECKING:
    from collections.abc import Callable

RouterName = Literal["always", "auto", "lexical", "never"]


_MAKERS: Final[dict[str, Callable[[], Router]]] = {
    "always": lambda: FixedRouter("sot"),
    "auto": LexicalRouter,
    "lexical": LexicalRouter,
    "never": lambda: FixedRouter("direct"),
}


def get_router(router: RouterName | Router | str) -> Router:
    """A router by name, or the router itself.

    Args:
        router: `"lexical"` (no dependency, the choice of `"auto"`), `"always"`, `"never"`,
            or any object with `route` and `aroute`.

    Raises:
        ConfigurationError: No router has that name, or the object is none.
    """
    if isinstance(router, str):
        if router not in _MAKERS:
            raise ConfigurationError(
                f"router={router!r} is unknown. Use one of {', '.join(sorted(_MAKERS))}."
            )
        return _MAKERS[router]()
    if not isinstance(router, Router):
        raise ConfigurationError(
            f"router={router!r} is no router: it needs the methods route(messages) and aroute(messages). "
            f"Or give one of the names {', '.join(sorted(_MAKERS))}.",
        )
    return router
