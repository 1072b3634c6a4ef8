"""What can go wrong, as one tree of exceptions.

SkeletonOfThoughtError
├── ConfigurationError (also ValueError)   an option, a file or an input the user can fix
├── MissingExtraError (also ImportError)   an optional dependency is not installed
├── PointError                             points failed and the policy is "raise"
├── DeadlineError (also TimeoutError)      a point, or the whole answer, took longer than allowed
├── LongWaitError                          a provider refuses requests for longer than anybody waits
├── EmptyAnswerError                       the model answered a request with nothing
├── FilteredError                          the provider's content filter stopped a point
├── BrokenOffError                         a stream ended without an error and without a reason
└── DecodingError                          the local inference engine could not do a request
    ├── ContextOverflowError               prompt and answer do not fit the model's context
    ├── QueueFullError                     more requests wait than the engine accepts
    └── EngineClosedError                  the engine was closed, forked or pickled
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import ModuleType


class SkeletonOfThoughtError(Exception):
    """Root of every exception this project raises."""


class ConfigurationError(SkeletonOfThoughtError, ValueError):
    """An option, a file or an input is wrong; the message names the value and the fix."""


class MissingExtraError(SkeletonOfThoughtError, ImportError):
    """An optional dependency is needed and not installed; the message names the `pip install`."""


class PointError(SkeletonOfThoughtError):
    """Points failed under `on_point_error="raise"`.

    Attributes:
        answer: The `Answer` with everything the other points wrote, so that nothing is lost.
    """

    def __init__(self, message: str, *, answer: Any = None) -> None:
        super().__init__(message)
        self.answer = answer


class EmptyAnswerError(SkeletonOfThoughtError):
    """The model wrote nothing: a point fails by the policy, a direct answer is left empty after the last retry."""

    def __init__(self) -> None:
        super().__init__("the model wrote nothing")


class FilteredError(SkeletonOfThoughtError):
    """The provider broke a point off for its content policy; handled by the failure policy, never retried."""

    is_retryable = False

    def __init__(self) -> None:
        super().__init__("the provider's content filter stopped it")


class BrokenOffError(SkeletonOfThoughtError):
    """A stream ended without an error and without saying why, from a model that says why: half an answer.

    Handled by the failure policy, and worth a retry.
    """

    is_retryable = True

    def __init__(self) -> None:
        super().__init__("its stream ended without a finish reason, so it is probably half an answer")


class DeadlineError(SkeletonOfThoughtError, TimeoutError):
    """A point, or the whole answer, took longer than the user allows.

    As a point's error it is handled by the failure policy; it is raised only where nothing was written yet.
    """

    is_retryable = False


class LongWaitError(SkeletonOfThoughtError):
    """A provider refuses requests for longer than an answer waits in all; its own error is the cause."""

    is_retryable = False


class DecodingError(SkeletonOfThoughtError):
    """The local inference engine could not do a request."""


class ContextOverflowError(DecodingError, ValueError):
    """Prompt and answer do not fit the model's context; the message carries both numbers."""


class QueueFullError(DecodingError):
    """More requests wait than the engine accepts."""


class EngineClosedError(DecodingError):
    """The engine was closed, or is used in a process other than the one that made it."""


def require(module: str, *, extra: str, needed_for: str) -> ModuleType:
    """Import an optional dependency at the moment it is needed.

    Args:
        module: Import name, such as `"torch"`.
        extra: The extra of this distribution that installs it.
        needed_for: What the caller was doing, for the message.

    Raises:
        MissingExtraError: The module is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        if error.name is not None and error.name.partition(".")[0] != module.partition(".")[0]:
            raise
        raise missing(module, extra=extra, needed_for=needed_for) from error


def missing(module: str, *, extra: str, needed_for: str) -> MissingExtraError:
    """The error for a missing optional dependency, to raise where `require` does not fit."""
    return MissingExtraError(
        f"{needed_for} needs {module.partition('.')[0]}, which is not installed. "
        f'Run: pip install "skeleton-of-thought[{extra}]"',
        name=module,
    )
