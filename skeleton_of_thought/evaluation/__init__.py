"""Does Skeleton-of-Thought pay for this model and these questions? Speed, quality, and a report of both.

To read it: `questions`, `work` and `running` (any work, question by question, that goes on where it was stopped;
results in `results`), `answering` and `speed` (each question in three ways), `quality` with `judging` and `verdicts`,
`answer_files` and `blind_pairs` (any answers, and people who judge), `measures` and `part_measures` (no judge at all),
`statistics` and `summary`. `profiling` and `estimating` are the paper's estimate, `spreading` is Ray, and `report/`
shows it all.
"""

from __future__ import annotations

from skeleton_of_thought.evaluation.questions import EvaluationQuestion, read_evaluation_questions
from skeleton_of_thought.evaluation.results import ModelFolder, ResultLines
from skeleton_of_thought.evaluation.running import Questions, continue_with
from skeleton_of_thought.evaluation.speed import SpeedWork
from skeleton_of_thought.evaluation.work import Work, in_threads

__all__ = [
    "EvaluationQuestion",
    "ModelFolder",
    "Questions",
    "ResultLines",
    "SpeedWork",
    "Work",
    "continue_with",
    "in_threads",
    "read_evaluation_questions",
]
