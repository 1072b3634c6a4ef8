"""From the body of a chat completion to what is asked of whom."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, get_args

from skeleton_of_thought.messages import Message, Role
from skeleton_of_thought.routing import Decision
from skeleton_of_thought.routing.decision import Route
from sot_command.server.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

_ROLES: Mapping[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "other",
    "function": "other",
}
_OWN = {"model", "messages", "stream", "stream_options", "sot", "sot_route"}
"""Fields that are answered here; every other is passed on."""

_PLAIN = {
    "tools": "tools are bound",
    "functions": "tools are bound",
    "stop": "the caller set stop sequences",
    "logprobs": "log probabilities are asked for",
    "prediction": "the caller predicts the answer",
    "audio": "the answer is spoken",
}
"""Fields with which only one request can give the answer, and the reason that is shown."""

_LIMITS = ("max_tokens", "max_completion_tokens")
_SHORTEST_POINT = 40
"""Tokens below which a point is not worth a request."""

_USUAL_POINTS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionRequest:
    """What a caller asks for.

    Attributes:
        model: The model it names.
        messages: The conversation; each message keeps the caller's own object.
        stream: Whether the answer is sent piece by piece.
        reports_usage: Whether a stream ends with the usage.
        shows_sot: Whether the response carries the `sot` object.
        route: The route it forces, None to leave it to the router.
        fields: What is passed on with a plain answer.
        sampling: What is passed on with the requests of a skeleton answer: the same without what would cut or
            shape a whole answer.
        limits: The caller's length limit by itself, for a request that may turn out to be the plain answer.
        point_max_tokens: Longest point under the caller's limit for the answer; None without a limit.
        plain: Why only a plain answer will do; None if a skeleton may.
    """

    model: str
    messages: tuple[Message, ...]
    stream: bool = False
    reports_usage: bool = False
    shows_sot: bool = False
    route: Route | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    sampling: Mapping[str, Any] = field(default_factory=dict)
    limits: Mapping[str, Any] = field(default_factory=dict)
    point_max_tokens: int | None = None
    plain: str | None = None

    @property
    def decision(self) -> Decision | None:
        """The decision for which no router has to be asked."""
        if self.plain is not None:
            return Decision("direct", 1.0, self.plain)
        return Decision(self.route, 1.0, "chosen by the request") if self.route else None


def read(body: Any, *, forced: str | None = None, max_points: int | None = None) -> CompletionRequest:
    """Read and check a body.

    Args:
        body: The JSON in it.
        forced: The route a header forces; the body's own counts more.
        max_points: Most points of an answer, to share a length limit among them.

    Raises:
        Problem: A field is missing or wrong.
    """
    if not isinstance(body, dict):
        raise Problem(400, "The body of a chat completion is a JSON object.")
    model = body.get("model", "default")
    if not isinstance(model, str) or not model:
        raise Problem(400, f"model is {model!r}; it must be a name from GET /v1/models.", "model")
    told = body.get("sot")
    told = told if isinstance(told, dict) else {"show": bool(told)}
    route: Any = told.get("route", body.get("sot_route", forced)) or "auto"
    if route not in ("auto", *get_args(Route)):
        raise Problem(400, f'The route is {route!r}; use "auto", "sot" or "direct".', "sot")
    fields = {name: value for name, value in body.items() if name not in _OWN and value is not None}
    limit = _limit(fields)
    share = None if limit is None else limit // (max_points or _USUAL_POINTS)
    return CompletionRequest(
        model=model,
        messages=_messages(body.get("messages")),
        stream=bool(body.get("stream")),
        reports_usage=bool(_object(body, "stream_options").get("include_usage")),
        shows_sot=bool(told.get("show", True)),
        route=None if route == "auto" else route,
        fields=fields,
        sampling={
            name: value for name, value in fields.items() if name not in {*_LIMITS, "response_format", "n"}
        },
        limits={name: fields[name] for name in _LIMITS if name in fields},
        point_max_tokens=share,
        plain=_why_plain(fields, share),
    )


def _object(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = body.get(name)
    if value is not None and not isinstance(value, dict):
        raise Problem(400, f"{name} is {value!r}; it must be an object.", name)
    return value or {}


def _messages(value: Any) -> tuple[Message, ...]:
    if not isinstance(value, list) or not value:
        raise Problem(400, "messages must be a list with at least one message.", "messages")
    messages: list[Message] = []
    for place, message in enumerate(value):
        where = f"messages[{place}]"
        role = message.get("role") if isinstance(message, dict) else None
        if not isinstance(role, str) or role not in _ROLES:
            allowed = ", ".join(map(repr, _ROLES))
            raise Problem(400, f"{where}.role is {role!r}; use one of {allowed}.", f"{where}.role")
        content = message.get("content")
        if not isinstance(content, (str, list)) and content is not None:
            raise Problem(
                400, f"{where}.content must be text or a list of content parts.", f"{where}.content"
            )
        messages.append(Message(_ROLES[role], "" if content is None else content, original=message))
    return tuple(messages)


def _limit(fields: Mapping[str, Any]) -> int | None:
    for name in reversed(_LIMITS):
        value = fields.get(name)
        if value is None:
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise Problem(400, f"{name} is {value!r}; it must be a whole number of at least 1.", name)
        return value
    return None


def _why_plain(fields: Mapping[str, Any], share: int | None) -> str | None:
    for name, reason in _PLAIN.items():
        if fields.get(name):
            return reason
    if fields.get("n", 1) != 1:
        return "several choices are asked for"
    form = fields.get("response_format")
    if isinstance(form, dict) and form.get("type", "text") != "text":
        return "a response format is asked for"
    if share is not None and share < _SHORTEST_POINT:
        return "the length limit leaves no room for points"
    return None
