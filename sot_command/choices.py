"""What a user of the command chooses between."""

from __future__ import annotations

from enum import StrEnum

from skeleton_of_thought.routing.decision import Decision


class RouteChoice(StrEnum):
    """Who decides: the model or the router, or the user."""

    auto = "auto"
    sot = "sot"
    direct = "direct"


class LogLevel(StrEnum):
    """What `sot serve` writes down."""

    debug = "debug"
    info = "info"
    warning = "warning"
    error = "error"


ROUTERS = {RouteChoice.auto: None, RouteChoice.sot: "always", RouteChoice.direct: "never"}
"""The `router` of a choice."""


def chosen(route: RouteChoice) -> Decision | None:
    """The decision of a user who made one."""
    if route is RouteChoice.auto:
        return None
    return Decision("sot" if route is RouteChoice.sot else "direct", 1.0, "chosen by --route")
