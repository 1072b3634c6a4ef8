"""Requests a provider refuses: the status, and the words its clients look for."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from skeleton_of_thought.errors import SkeletonOfThoughtError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from skeleton_of_thought.fake_server.request import ChatRequest

_REASONING = re.compile(r"^(?:o\d|gpt-5)(?!.*chat)")
_CLAUDE = re.compile(r"^claude-[a-z]+-(\d+)(?:-(\d{1,2}))?(?!\d)")
_FIRST_WITHOUT_PREFILL = (4, 6)


@dataclass(frozen=True, slots=True)
class ErrorResponse:
    """An error answer.

    Attributes:
        status: HTTP status.
        message: What the provider says.
        code: OpenAI's `error.code`.
        param: OpenAI's `error.param`: the field of the request that is wrong.
        headers: Extra response headers, such as `retry-after`.
    """

    status: int
    message: str
    code: str | None = None
    param: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


class RejectedError(SkeletonOfThoughtError):
    """A request the server answers with a `ErrorResponse` instead of a text."""

    def __init__(self, problem: ErrorResponse) -> None:
        super().__init__(problem.message)
        self.problem = problem


def invalid(message: str, *, param: str | None = None, code: str | None = None) -> RejectedError:
    """The error for a request that is malformed or asks for what the model does not do."""
    return RejectedError(ErrorResponse(400, message, code=code, param=param))


def check_model_takes(request: ChatRequest) -> None:
    """Refuse what the named model does not take, in the provider's own words.

    Claude models from 4.6 on take no partial assistant answer; OpenAI's reasoning models (`o1`, `o3`, `gpt-5`
    and their kin) take neither `stop`, nor a `temperature` other than 1, nor `max_tokens` by its old name.

    Raises:
        RejectedError: With status 400.
    """
    if request.api == "anthropic":
        if request.prefill and not takes_prefill(request.model):
            raise invalid(PREFILL_REFUSED)
    elif is_reasoning(request.model):
        _check_reasoning(request)


PREFILL_REFUSED = (
    "This model does not support assistant message prefill. The conversation must end with a user message."
)


def takes_prefill(model: str) -> bool:
    """Whether a Claude model continues a partial assistant answer; True for names that are not Claude's."""
    version = _CLAUDE.match(model)
    return version is None or (int(version[1]), int(version[2] or 0)) < _FIRST_WITHOUT_PREFILL


def is_reasoning(model: str) -> bool:
    """Whether a model name is one of OpenAI's reasoning models."""
    return _REASONING.match(model) is not None


def _check_reasoning(request: ChatRequest) -> None:
    if request.stop:
        raise invalid(
            "Unsupported parameter: 'stop' is not supported with this model.",
            param="stop",
            code="unsupported_parameter",
        )
    temperature = request.body.get("temperature")
    if temperature is not None and temperature != 1:
        raise invalid(
            f"Unsupported value: 'temperature' does not support {temperature} with this model. "
            "Only the default (1) value is supported.",
            param="temperature",
            code="unsupported_value",
        )
    if request.body.get("max_tokens") is not None:
        raise invalid(
            "Unsupported parameter: 'max_tokens' is not supported with this model. "
            "Use 'max_completion_tokens' instead.",
            param="max_tokens",
            code="unsupported_parameter",
        )
