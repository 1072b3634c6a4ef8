"""Is this question worth a skeleton? Routers without a framework; the default needs no model at all."""

from skeleton_of_thought.routing.decision import Decision, Route, Router
from skeleton_of_thought.routing.fixed import FixedRouter
from skeleton_of_thought.routing.lexical import Explanation, LexicalRouter
from skeleton_of_thought.routing.linear import Contribution
from skeleton_of_thought.routing.question import Question
from skeleton_of_thought.routing.registry import RouterName, get_router

__all__ = [
    "Contribution",
    "Decision",
    "Explanation",
    "FixedRouter",
    "LexicalRouter",
    "Question",
    "Route",
    "Router",
    "RouterName",
    "get_router",
]
