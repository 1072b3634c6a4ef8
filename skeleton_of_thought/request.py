"""What a run asks its driver for, and what comes back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from skeleton_of_thought.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skeleton_of_thought.messages import Message

Stage = Literal["opening", "skeleton", "point", "direct", "route"]

_HEDGE = ":hedge"


def is_hedge(request_id: str) -> bool:
    """Whether a request is the second one for a point that was slow to begin."""
    return request_id.endswith(_HEDGE)


def twin_of(request_id: str) -> str:
    """The id of a request's hedge, and of a hedge's request."""
    return request_id.removesuffix(_HEDGE) if is_hedge(request_id) else request_id + _HEDGE


def as_stops(stop: Sequence[str] | str | None) -> tuple[str, ...]:
    """Stop sequences, of which one may have been given by itself."""
    return (stop,) if isinstance(stop, str) else tuple(stop or ())


@dataclass(frozen=True, slots=True, kw_only=True)
class Steering:
    """What a model can be told only where it is decoded: the local engine does it, APIs have no such options.

    Attributes:
        soft_max_tokens: After so many tokens the text ends with the sentence it is in.
        suppress: No token with one of these strings in it is written.
    """

    soft_max_tokens: int | None = None
    suppress: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """What is set, by the names of `GenerationRequest`."""
        options: dict[str, Any] = {"soft_max_tokens": self.soft_max_tokens, "suppress": self.suppress}
        return {name: value for name, value in options.items() if value}


@dataclass(frozen=True, slots=True)
class Request:
    """One request to a chat model.

    Attributes:
        id: `"opening"`, `"skeleton"`, `"point:3"`, `"point:3,4"`, `"direct"` or `"route"`; a retry of all of it
            keeps the id, a hedge has one of its own.
        stage: What the request is for. The answer to a `"route"` request is a router's `Decision`, as `raw`.
        messages: The conversation to send. A last message of the assistant is a partial answer the model
            continues.
        stop: Stop sequences.
        max_tokens: Longest answer; None leaves it to the model.
        points: The numbers of the points the request writes.
        attempt: 1, or more for a retry.
        shared: How many leading messages all requests of the run but a direct one have in common.
        common: How many leading characters of the last user message all point requests have in common.
        steering: What the local engine is told besides.
        fields: Fields of the body, by which an OpenAI-compatible server goes on with the partial answer.
        resumes: Whether it asks for the rest of a reply that broke off while it was read.
    """

    id: str
    stage: Stage
    messages: tuple[Message, ...]
    stop: tuple[str, ...] = ()
    max_tokens: int | None = None
    points: tuple[int, ...] = ()
    attempt: int = 1
    shared: int = 0
    common: int = 0
    steering: Steering = Steering()
    fields: tuple[tuple[str, Any], ...] = ()
    resumes: bool = False

    @property
    def relayed(self) -> bool:
        """Whether what comes back is the user's as it is: else the run tells the text that is to be shown of it."""
        return self.stage == "direct" and not self.resumes

    @property
    def partial_answer(self) -> str:
        """The beginning the model is to go on with; empty without one, and in a direct request, which is the user's."""
        last = self.messages[-1]
        return last.text if self.stage != "direct" and last.role == "assistant" else ""


@dataclass(frozen=True, slots=True)
class Reply:
    """A model's whole answer to a request.

    Attributes:
        text: What it wrote, without the partial answer it was given.
        usage: Tokens, as the model reports them.
        truncated: Whether it was stopped by its length limit.
        raw: The framework's own object.
        filtered: Whether the provider broke it off for its content policy.
        other_content: Whether it has content that is not text: tool calls, thoughts, pictures.
        finish_reason: Why it ended, in the provider's word; None if it did not say, as pieces before the last do.
    """

    text: str
    usage: Usage = Usage()
    truncated: bool = False
    raw: Any = None
    filtered: bool = False
    other_content: bool = False
    finish_reason: str | None = None

    @property
    def empty(self) -> bool:
        """Whether the model wrote nothing, and nothing explains why: it may write something if asked again."""
        return not (self.text or self.truncated or self.filtered or self.other_content)


@dataclass(frozen=True, slots=True)
class Delta(Reply):
    """A piece of a streamed answer, described like a whole one; what is not text may come with any piece."""

    text: str = ""
