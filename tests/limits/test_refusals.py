from __future__ import annotations

import email.utils
import time
from types import SimpleNamespace

import anthropic
import httpx2
import openai
import pytest

from skeleton_of_thought.limits import is_refusal, retry_after_of


def error(message="", **attributes):
    made = RuntimeError(message)
    for name, value in attributes.items():
        setattr(made, name, value)
    return made


def response(status=429, **headers):
    return SimpleNamespace(status_code=status, headers=headers)


@pytest.mark.parametrize(
    ("raised", "seconds"),
    [
        (error(response=response(**{"Retry-After": "7"})), 7.0),
        (error(response=response(**{"retry-after": "0.25"})), 0.25),
        (error(response=response(**{"retry-after-ms": "1500", "retry-after": "2"})), 1.5),
        (error(headers={"RETRY-AFTER": 3}), 3.0),
        (error(retry_after=4), 4.0),
        (error("Please try again in 1.5s.", status_code=429), 1.5),
        (error("Please try again in 6m0.5s. Visit", status_code=429), 360.5),
        (error("Please try again in 20ms.", status_code=429), 0.02),
        (error("Please try again in 20ms.", status_code=400), None),
        (error(response=response(**{"retry-after": "soon"})), None),
        (error(response=response(**{"retry-after": "-3"})), None),
        (error(response=response(**{"retry-after": "nan"})), None),
        (error(response=response()), None),
        (error(), None),
        (ValueError("try again in 3s"), None),
    ],
)
def test_retry_after(raised, seconds):
    assert retry_after_of(raised) == (None if seconds is None else pytest.approx(seconds))


def test_retry_after_as_a_date():
    date = email.utils.formatdate(time.time() + 30, usegmt=True)
    assert 27 < retry_after_of(error(response=response(**{"retry-after": date}))) <= 30
    past = email.utils.formatdate(time.time() - 30, usegmt=True)
    assert retry_after_of(error(response=response(**{"retry-after": past}))) == 0


def test_the_cause_counts_too():
    wrapped = RuntimeError("the model failed")
    wrapped.__cause__ = error(status_code=429, response=response(**{"retry-after": "2"}))
    assert is_refusal(wrapped)
    assert retry_after_of(wrapped) == 2
    wrapped.__cause__.__cause__ = wrapped  # a circle
    assert is_refusal(wrapped)


@pytest.mark.parametrize(("status", "refused"), [(429, True), (529, True), (500, False), (400, False)])
def test_refusals(status, refused):
    assert is_refusal(error(status_code=status)) is refused
    assert is_refusal(error(response=response(status))) is refused
    assert not is_refusal(error())


def test_the_sdks_errors():
    request = httpx2.Request("POST", "http://localhost")
    answer = httpx2.Response(429, headers={"Retry-After": "9"}, request=request)
    for made in (
        openai.RateLimitError("slow", response=answer, body=None),
        anthropic.RateLimitError("slow", response=answer, body=None),
        httpx2.HTTPStatusError("slow", request=request, response=answer),
    ):
        assert is_refusal(made)
        assert retry_after_of(made) == 9
