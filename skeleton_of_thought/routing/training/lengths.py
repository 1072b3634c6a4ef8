"""Train the guess of a plain answer's length: ridge regression of the logarithm of words."""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import TYPE_CHECKING, Final

from skeleton_of_thought.errors import require
from skeleton_of_thought.routing.decision import Question
from skeleton_of_thought.routing.gain import length_features
from skeleton_of_thought.routing.tables import json_lines_of

if TYPE_CHECKING:
    from pathlib import Path

_RAREST: Final = 3
_PENALTY: Final = 8.0


def train_lengths(data: Path, out: Path) -> float:
    """Write the model to `out`; returns the median error in cross-validation, as a factor (1 is none).

    Args:
        data: JSON lines with `request` and `words`.
        out: A JSON file.

    Raises:
        MissingExtraError: scikit-learn is not installed.
    """
    linear = require("sklearn.linear_model", extra="routers", needed_for="Training lengths")
    selection = require("sklearn.model_selection", extra="routers", needed_for="Training lengths")
    extraction = require("sklearn.feature_extraction", extra="routers", needed_for="Training lengths")
    rows = list(json_lines_of(data))
    values = [length_features(Question(row["request"])) for row in rows]
    seen = Counter(name for row in values for name in row)
    vectorizer = extraction.DictVectorizer()
    matrix = vectorizer.fit_transform(
        [{name: value for name, value in row.items() if seen[name] >= _RAREST} for row in values]
    )
    logs = [math.log(row["words"]) for row in rows]
    folds = selection.KFold(10, shuffle=True, random_state=0)
    guessed = selection.cross_val_predict(linear.Ridge(_PENALTY), matrix, logs, cv=folds)
    errors = sorted(abs(float(guess) - truth) for guess, truth in zip(guessed, logs, strict=True))
    model = linear.Ridge(_PENALTY).fit(matrix, logs)
    names = vectorizer.get_feature_names_out()
    content = {
        "about": {"questions": len(rows), "median_factor": round(math.exp(errors[len(errors) // 2]), 2)},
        "bias": round(float(model.intercept_), 4),
        "weights": {
            str(name): round(float(weight), 4) for name, weight in zip(names, model.coef_, strict=True)
        },
    }
    out.write_text(json.dumps(content, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")
    return math.exp(errors[len(errors) // 2])
