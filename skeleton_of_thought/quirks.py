"""What a model turned out not to take, learned once and remembered for every later run."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from skeleton_of_thought.failures import Feature, refused_feature

if TYPE_CHECKING:
    from skeleton_of_thought.request import Request

_LOG = logging.getLogger(__name__)


class Quirks:
    """What one model does not take; every run that asks the model shares the object.

    Which models continue a partial answer, take stop sequences or a length limit changes with every release,
    and no API tells. So a run sends what helps, and what the provider refuses (HTTP 400) is left out from
    then on: the refused request is sent again without it, and costs neither the answer nor a retry.

    Args:
        model: What the model is called in the log.
    """

    def __init__(self, model: str = "the model") -> None:
        self._model = model
        self._refused: set[Feature] = set()

    def refuses(self, feature: Feature) -> bool:
        """Whether the model is known not to take something."""
        return feature in self._refused

    def learn(self, error: BaseException, request: Request) -> bool:
        """Read a failure; True if the request can be sent again without what the model does not take."""
        feature = refused_feature(error, request)
        if feature is None:
            return False
        if feature not in self._refused:
            _LOG.info("%s does not take %s; leaving it out from now on.", self._model, feature)
        self._refused.add(feature)
        return True


_KNOWN: dict[str, Quirks] = {}


def quirks_of(model: str) -> Quirks:
    """What is known of a model in this process, by any name that identifies it."""
    return _KNOWN.setdefault(model, Quirks(model))
