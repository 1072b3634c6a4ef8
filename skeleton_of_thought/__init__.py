"""Skeleton-of-Thought: outline first, then write every point at the same time.

This package is the method itself, without a framework, I/O or torch. `langchain_sot` and `llamaindex_sot` put
it to work; the command `sot` answers a question from the shell.
"""

from skeleton_of_thought.answer import Answer, PointResult, Seconds
from skeleton_of_thought.asking import aask, ask, astream, stream
from skeleton_of_thought.errors import (
    ConfigurationError,
    MissingExtraError,
    PointError,
    SkeletonOfThoughtError,
)
from skeleton_of_thought.everyday import EverydayOptions
from skeleton_of_thought.messages import Message
from skeleton_of_thought.method import SkeletonOfThought
from skeleton_of_thought.options import Options, RunSettings
from skeleton_of_thought.prompts import PROMPTS, OpeningPrompts, Prompts, get_prompts, load_prompts
from skeleton_of_thought.request import Delta, Reply, Request
from skeleton_of_thought.routing.decision import Decision, Router
from skeleton_of_thought.skeleton import Point, Skeleton, parse_skeleton
from skeleton_of_thought.usage import Usage
from skeleton_of_thought.views import AnswerView, view

__all__ = [
    "PROMPTS",
    "Answer",
    "AnswerView",
    "ConfigurationError",
    "Decision",
    "Delta",
    "EverydayOptions",
    "Message",
    "MissingExtraError",
    "OpeningPrompts",
    "Options",
    "Point",
    "PointError",
    "PointResult",
    "Prompts",
    "Reply",
    "Request",
    "Router",
    "RunSettings",
    "Seconds",
    "Skeleton",
    "SkeletonOfThought",
    "SkeletonOfThoughtError",
    "Usage",
    "aask",
    "ask",
    "astream",
    "get_prompts",
    "load_prompts",
    "parse_skeleton",
    "stream",
    "view",
]
