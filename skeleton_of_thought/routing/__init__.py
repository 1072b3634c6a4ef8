"""Is this question worth a skeleton? Routers without a framework; the default needs no model at all.

In reading order (training/ makes what these load):

decision     what a router says, and what a router is
question     which part of a message is the question
features     what can be seen in it without a model; linear weighs that
lexical      the default router, made of these two
embedding    a sentence-embedding model next to the features; sentences computes it, encoding makes its token ids
classifier   a fine-tuned sequence classifier
prompting    a chat model is asked
labels       answers looked up in a file; tables reads the files
gain         what writing in points would save
combining    routers made of routers
second_look  the route again, when the outline is there
registry     all of them by name
fallback     what decides where a router fails
"""

from skeleton_of_thought.routing.classifier import ClassifierRouter
from skeleton_of_thought.routing.combining import FirstConfident, FixedRouter, LoadAwareRouter
from skeleton_of_thought.routing.decision import Decision, Question, Route, Router
from skeleton_of_thought.routing.embedding import EmbeddingRouter
from skeleton_of_thought.routing.fallback import FallbackRouter
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
    "FallbackRouter",
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
