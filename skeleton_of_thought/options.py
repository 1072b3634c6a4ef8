"""What a user can decide about an answer, and the settings a run is given."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, get_args

from skeleton_of_thought.answer import AnswerFormat, check_format
from skeleton_of_thought.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from skeleton_of_thought.request import Request, Stage

OnPointError = Literal["raise", "skip", "mark"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What few people need, in one object for every face: LangChain, LlamaIndex, plain Python, the command.

    Attributes:
        early_points: How many points may be asked for while the outline is still being written, each as soon as its
            line is complete. They know the lines up to their own, and two at least, however the outline arrives. None
            lets all start early in the opening protocol, whose plan says what is whose, and none in the classic one.
        points_per_call: How many points one request writes, one after the other: fewer prompts to pay for, and a
            longer wait.
        structured_skeleton: Ask for the skeleton as JSON that follows a schema, where the model does that well.
        prompt_cache: Mark the prefix all requests of a question share for the provider's prompt cache (Anthropic's
            `cache_control`, OpenAI's `prompt_cache_key`), where it is long enough to be kept.
        load_aware: Answer directly while no gain is to be expected: the local engine's batch or the limiter is full, or
            the model's last points came one after another; `router="gain"` weighs that per question. Worth it with a
            server that answers one request at a time; elsewhere points pay even under load, so it is off.
        longest_wait: Seconds an answer waits in all for a provider that refuses requests (429, 529), beyond the
            limits a limiter sets itself; then the provider's own error counts. What is waited for is logged.
        continue_fields: Fields of the request's body with which an OpenAI-compatible server goes on with a partial
            answer, such as vLLM's `{"continue_final_message": True, "add_generation_prompt": False}`; `sot doctor`
            finds them. They go with requests that end with one (`prompts="partial"`), and with no other: a server
            would go on with the user's words.

    Raises:
        ConfigurationError: A value is out of range.
    """

    early_points: int | None = None
    points_per_call: int = 1
    structured_skeleton: bool = False
    prompt_cache: bool = False
    load_aware: bool = False
    longest_wait: float = 60.0
    continue_fields: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.early_points is not None:
            _at_least("early_points", self.early_points, 0)
        _at_least("points_per_call", self.points_per_call, 1)
        _fields("continue_fields", self.continue_fields)
        for name in ("structured_skeleton", "prompt_cache", "load_aware"):
            _flag(name, getattr(self, name))
        _seconds("longest_wait", self.longest_wait, zero=True)

    def settings(self, **everyday: Any) -> RunSettings:
        """The settings of a run with these options; `everyday` are those that are parameters of a face."""
        shared = {field.name for field in fields(RunSettings)}
        own = {field.name: getattr(self, field.name) for field in fields(self) if field.name in shared}
        return RunSettings(**own, **everyday)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """What one run decides by; checked when made, before any token is paid for.

    The faces make it of their parameters and of `Options`: what those and `EverydayOptions` explain means the same
    here. Beyond that a face sets what it knows of its models.

    Attributes:
        leads: Is given the requests for all points and decides whether the first is sent ahead of the others, which
            are sent once its answer begins. The provider then has what they share in its prompt cache; the answer
            takes one time to first token longer. None sends all at once.
        max_stops: How many stop sequences one request may carry (4 at OpenAI); None for no limit.
        resumed: Stages whose reply is gone on with if it breaks off while it is read: those of `"opening"` and
            `"direct"` of which somebody reads along, and which the run's own requests write.

    Raises:
        ConfigurationError: A value is out of range.
    """

    max_points: int | None = None
    retries: int = 1
    on_point_error: OnPointError = "mark"
    answer_format: AnswerFormat | None = None
    point_max_tokens: int | None = None
    point_timeout: float | None = None
    hedge_after: float | None = None
    timeout: float | None = None
    early_points: int | None = None
    points_per_call: int = 1
    longest_wait: float = 60.0
    continue_fields: Mapping[str, Any] | None = None
    leads: Callable[[Sequence[Request]], bool] | None = None
    max_stops: int | None = 4
    resumed: tuple[Stage, ...] = ("opening", "direct")

    def __post_init__(self) -> None:
        if self.max_points is not None:
            _at_least("max_points", self.max_points, 2)
        _at_least("retries", self.retries, 0)
        if self.early_points is not None:
            _at_least("early_points", self.early_points, 0)
        _at_least("points_per_call", self.points_per_call, 1)
        if self.point_max_tokens is not None:
            _at_least("point_max_tokens", self.point_max_tokens, 1)
        if self.max_stops is not None:
            _at_least("max_stops", self.max_stops, 0)
        for name in ("point_timeout", "hedge_after", "timeout"):
            if getattr(self, name) is not None:
                _seconds(name, getattr(self, name))
        _seconds("longest_wait", self.longest_wait, zero=True)
        if self.on_point_error not in get_args(OnPointError):
            allowed = ", ".join(map(repr, get_args(OnPointError)))
            raise ConfigurationError(f"on_point_error is {self.on_point_error!r}; use one of {allowed}.")
        if self.answer_format is not None:
            check_format(self.answer_format)


def no_fields(fields: Mapping[str, Any] | None, model: str) -> ConfigurationError:
    """The error for `continue_fields` with a model whose requests have no body to put them into."""
    return ConfigurationError(
        f"continue_fields is {fields!r}, which goes into the body of an OpenAI-compatible request, and {model} sends "
        "none with fields of its own. Leave it out, or use openai:NAME, ChatOpenAI or OpenAILike."
    )


def _flag(name: str, value: object) -> None:
    if not isinstance(value, bool):
        raise ConfigurationError(f"{name} is {value!r}; it must be True or False.")


def _fields(name: str, value: object) -> None:
    named = isinstance(value, Mapping) and all(isinstance(key, str) for key in value)
    if value is not None and not named:
        raise ConfigurationError(
            f"{name} is {value!r}; it must be a dictionary of fields of a request, such as "
            '{"continue_final_message": True}, or None.'
        )


def _at_least(name: str, value: object, smallest: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < smallest:
        raise ConfigurationError(f"{name} is {value!r}; it must be a whole number of at least {smallest}.")


def _seconds(name: str, value: object, *, zero: bool = False) -> None:
    """Refuse what is no length of time: below 0, not a number, or without an end (None says that)."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or value < 0 or (value == 0 and not zero):  # type: ignore[arg-type, operator]
        smallest = "of at least 0" if zero else "above 0, or None for no limit"
        raise ConfigurationError(f"{name} is {value!r}; it must be a finite number of seconds {smallest}.")
