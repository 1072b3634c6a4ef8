"""Is this question worth a skeleton? Routers without a framework; the default needs no model at all."""

from skeleton_of_thought.routing.classifier import ClassifierRouter
from skeleton_of_thought.routing.combining import FirstConfident, FixedRouter, LoadAwareRouter
from skeleton_of_thought.routing.decision import Decision, Question, Route, Router
from skeleton_of_thought.routing.embedding import EmbeddingRouter
from skeleton_of_thought.routing.gain import GainRouter, PlainLength, Saving, saving
from skeleton_of_thought.routing.labels import LabelledQuestion, LabelRouter, read_questions
from skeleton_of_thought.routing.lexical import Explanation, LexicalRouter
from skeleton_of_thought.routing.linear import Contribution
from skeleton_of_thought.routing.prompting import ModelReply, PromptingRouter
from skeleton_of_thought.routing.registry import ROUTER_NAMES, get_router
from skeleton_of_thought.routing.second_look import second_look
from skeleton_of_thought.routing.training.calibration import Calibration, Threshold, calibrate
from skeleton_of_thought.routing.training.metrics import Evaluation, Scores, evaluate, wilson

__all__ = [
    "ROUTER_NAMES",
    "Calibration",
    "ClassifierRouter",
    "Contribution",
    "Decision",
    "EmbeddingRouter",
    "Evaluation",
    "Explanation",
    "FirstConfident",
    "FixedRouter",
    "GainRouter",
    "LabelRouter",
    "LabelledQuestion",
    "LexicalRouter",
    "LoadAwareRouter",
    "ModelReply",
    "PlainLength",
    "PromptingRouter",
    "Question",
    "Route",
    "Router",
    "Saving",
    "Scores",
    "Threshold",
    "calibrate",
    "evaluate",
    "get_router",
    "read_questions",
    "saving",
    "second_look",
    "wilson",
]
