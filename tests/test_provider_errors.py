from __future__ import annotations

import pytest
from langchain_core.exceptions import ModelAPIError, ModelInvalidRequestError, ModelRateLimitError

from skeleton_of_thought import Message, Request
from skeleton_of_thought.errors import ConfigurationError
from skeleton_of_thought.provider_errors import may_pass, refused_feature


class StatusError(Exception):
    def __init__(self, status, message="", *, param=None, code=None):
        super().__init__(message)
        self.status_code, self.param, self.code = status, param, code


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (StatusError(500), True),
        (StatusError(529), True),
        (StatusError(429), True),
        (StatusError(429, code="insufficient_quota"), False),
        (StatusError(408), True),
        (StatusError(400), False),
        (StatusError(401), False),
        (StatusError(404), False),
        (ConnectionResetError(), True),
        (ValueError("Expecting value: line 1"), True),
        (ConfigurationError("no"), False),
        (ModelRateLimitError(), True),
        (ModelAPIError(), True),
        (ModelInvalidRequestError(), False),
    ],
)
def test_which_errors_may_pass(error, expected):
    assert may_pass(error) is expected


def test_the_cause_of_an_error_counts():
    error = RuntimeError("the call failed")
    error.__cause__ = StatusError(401)
    assert not may_pass(error)


REQUEST = Request(
    "point:1",
    "point",
    (Message("user", "Write."), Message("assistant", "1. Sleep:")),
    stop=("\n2.",),
    max_tokens=50,
    points=(1,),
)


@pytest.mark.parametrize(
    ("error", "feature"),
    [
        (
            StatusError(400, "Unsupported parameter: 'stop' is not supported with this model.", param="stop"),
            "stop",
        ),
        (StatusError(422, "body.stop: Extra inputs are not permitted"), "stop"),
        (StatusError(400, "This model does not support assistant message prefill."), "partial answer"),
        (
            StatusError(400, "The conversation must end with a user message."),
            "partial answer",
        ),
        (
            StatusError(
                400, "Unsupported parameter: 'max_tokens'", param="max_tokens", code="unsupported_parameter"
            ),
            "max_tokens",
        ),
        (StatusError(400, "This model's maximum context length is 8192 tokens; reduce max_tokens."), None),
        (StatusError(500, "stop is not supported"), None),
        (StatusError(400, "The request was stopped: image not supported"), None),
        (ValueError("stop is not supported"), None),
    ],
)
def test_what_a_refusal_is_about(error, feature):
    assert refused_feature(error, REQUEST) == feature


def test_only_what_a_request_carries_can_be_left_out():
    bare = Request("direct", "direct", REQUEST.messages)
    assert refused_feature(StatusError(400, "'stop' is not supported", param="stop"), bare) is None
    assert refused_feature(StatusError(400, "does not support prefill"), bare) is None
