"""The requests of a run, as the model is known to take them."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, get_args

from skeleton_of_thought.errors import ConfigurationError
from skeleton_of_thought.messages import Message
from skeleton_of_thought.method.partial_answers import goes_on
from skeleton_of_thought.prompts import RESUME, Prompts
from skeleton_of_thought.provider_errors import Quirks
from skeleton_of_thought.request import Request, Stage, Steering
from skeleton_of_thought.skeleton import Skeleton

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from skeleton_of_thought.method.plan import Outline
    from skeleton_of_thought.method.point import PointRun
    from skeleton_of_thought.options import RunSettings
    from skeleton_of_thought.prompts import AnyPrompts, OpeningPrompts


def check_question(messages: Sequence[Message]) -> None:
    """Refuse a conversation there is nothing to answer in.

    Raises:
        ConfigurationError: There is no message, or the question is empty.
    """
    if not messages:
        raise ConfigurationError("There is no message to answer; pass a question or a list of messages.")
    last = messages[-1]
    if last.role == "user" and last.is_blank:
        raise ConfigurationError(f"The question is empty ({last.content!r}); pass some text.")


class RequestBuilder:
    """Words the requests of one conversation.

    Args:
        messages: The conversation.
        prompts: What the model is asked.
        settings: Lengths and stops.
        quirks: What the model of each stage does not take; it is left out.
    """

    def __init__(
        self,
        messages: Sequence[Message],
        prompts: AnyPrompts,
        settings: RunSettings,
        quirks: Mapping[Stage, Quirks],
    ) -> None:
        self._messages = tuple(messages)
        self._settings = settings
        self._quirks = {stage: quirks.get(stage, Quirks()) for stage in get_args(Stage)}
        self._opened: OpeningPrompts | None = None
        self._opening = ""
        self.titles: tuple[str, ...] = ()
        if isinstance(prompts, Prompts):
            self._prompts = prompts
        else:
            self._prompts = prompts.classic
            if settings.points_per_call == 1 and not self._quirks["opening"].refuses("opening protocol"):
                self._opened = prompts

    @property
    def opens(self) -> bool:
        """Whether one request decides, opens and plans; else a skeleton is asked for."""
        return self._opened is not None

    @property
    def max_points(self) -> int:
        """Points of an outline beyond this number are dropped."""
        return self._settings.max_points or (self._opened or self._prompts).max_points

    def direct(self) -> Request:
        """The request for a plain answer: the conversation as it is."""
        return Request("direct", "direct", self._messages)

    def route(self) -> Request:
        """The request for the router's decision."""
        return Request("route", "route", self._messages)

    def opening(self) -> Request:
        """The request for the plain answer, or an opening and a plan."""
        assert self._opened is not None
        messages = self._opened.opening_messages(self._messages)
        return Request("opening", "opening", messages, shared=self._opened.shared_length(self._messages))

    def rest_of(self, request: Request, shown: str) -> Request | None:
        """The request for the rest of a reply that broke off after so much of it was read, with one more attempt.

        None where the reply itself went on with an answer the conversation ends with.
        """
        if self._messages[-1].role == "assistant":
            return None
        messages = (*self._messages, Message("assistant", shown), Message("user", RESUME))
        return Request(request.id, request.stage, messages, attempt=request.attempt + 1, resumes=True)

    def opened_with(self, opening: str) -> None:
        """The opening is written; the parts are asked for behind it."""
        self._opening = opening

    def titled(self, titles: Sequence[str]) -> None:
        """The titles of all parts are known, before their notes are; every part's request shows them."""
        self.titles = tuple(titles[: self.max_points])

    def breaks_off(self, request: Request, finish_reason: str | None) -> bool:
        """Whether an answer that ended so is half of one, by what is known of the model."""
        return self._quirks[request.stage].breaks_off(finish_reason)

    @property
    def begins_in_thought(self) -> bool:
        """Whether the model that writes points begins inside a thought: its prompt has opened it."""
        return self._quirks["point"].begins_in_thought

    @property
    def goes_on_with_list(self) -> bool:
        """Whether the prompt for a point ends with the start of its answer, a list's `2. Title:`."""
        return bool(self._prompts_for("point").point_start)

    def note_thought(self, point: PointRun) -> None:
        """Remember whether a point's text began inside a thought."""
        self._quirks["point"].begins_in_thought = point.unopened

    def note_reply(self, request: Request, reply: str, *, whole: bool) -> None:
        """Remember whether the model goes on with partial answers, by its reply to a request that has one."""
        if request.partial_answer:
            verdict = goes_on(request.partial_answer, reply, whole=whole)
            self._quirks[request.stage].replied(goes_on=verdict)

    def opening_not_managed(self) -> None:
        """The model did not keep to the opening protocol: the next question is asked in the classic way."""
        self._quirks["opening"].refuse("opening protocol")

    def skeleton(self) -> Request:
        """The request for the skeleton."""
        prompts = self._prompts_for("skeleton")
        return Request(
            "skeleton",
            "skeleton",
            prompts.skeleton_messages(self._messages),
            fields=self._fields(prompts.skeleton_start),
            stop=self._stops("skeleton", (f"\n{self.max_points + 1}.",)),
            max_tokens=self._limit("skeleton", prompts.skeleton_max_tokens),
            shared=prompts.shared_length(self._messages),
            steering=prompts.skeleton_steering,
        )

    def points(
        self,
        outline: Outline,
        indexes: Sequence[int],
        *,
        known: int,
        texts: Mapping[int, str] = MappingProxyType({}),
    ) -> Request:
        """The requests for some points of an outline, by their numbers.

        Args:
            outline: The points, as far as they are planned.
            indexes: Those to write.
            known: How many points of the outline the request shows.
            texts: The texts of the points they follow, by number.
        """
        parents = tuple((outline.points[number - 1].title, text) for number, text in sorted(texts.items()))
        if self._opened is not None:
            return self._part(self._opened, outline, indexes[0], known, parents)
        skeleton = Skeleton(outline.points[:known])
        prompts = self._prompts_for("point")
        users, several = self._settings.point_max_tokens, len(indexes) > 1
        longest = users or prompts.point_max_tokens
        others = [point for point in skeleton if point.index not in indexes and point.index > 1]
        if several:  # where the group would run on comes first: there may be room for a few only
            others.sort(key=lambda point: point.index != indexes[-1] + 1)
        return Request(
            f"point:{','.join(map(str, indexes))}",
            "point",
            prompts.point_messages(
                self._messages,
                skeleton,
                *(outline.points[index - 1] for index in indexes),
                parents=parents,
            ),
            fields=self._fields(prompts.point_start),
            stop=self._stops("point", (f"\n{point.index}. {point.title}" for point in others)),
            max_tokens=self._limit("point", longest and longest * len(indexes)),
            points=tuple(indexes),
            shared=prompts.shared_length(self._messages),
            common=prompts.common_length(self._messages, skeleton, several=several),
            steering=Steering() if users or several else prompts.point_steering,
        )

    def again(
        self,
        request: Request,
        outline: Outline,
        indexes: Sequence[int],
        *,
        known: int,
        texts: Mapping[int, str] = MappingProxyType({}),
    ) -> Request:
        """A request once more, for those of its points that it did not bring."""
        outdated = request.partial_answer and self._quirks["point"].refuses("partial answer")
        if tuple(indexes) == request.points and not outdated:
            return replace(request, attempt=request.attempt + 1)
        return replace(self.points(outline, indexes, known=known, texts=texts), attempt=request.attempt + 1)

    def renewed(
        self,
        request: Request,
        error: BaseException,
        outline: Outline,
        *,
        known: int,
        texts: Mapping[int, str] = MappingProxyType({}),
    ) -> Request | None:
        """The request without what its error says the model does not take; None if it says nothing like it."""
        if not self._quirks[request.stage].learn(error, request):
            return None
        if request.points:
            return replace(
                self.points(outline, request.points, known=known, texts=texts), attempt=request.attempt
            )
        if request.resumes:
            return replace(request)
        asked = {"opening": self.opening, "skeleton": self.skeleton}.get(request.stage, self.direct)
        return replace(asked(), attempt=request.attempt)

    def _part(
        self,
        prompts: OpeningPrompts,
        outline: Outline,
        index: int,
        known: int,
        parents: Sequence[tuple[str, str]],
    ) -> Request:
        """For one part of a plan: no stops, since a list in it is its text."""
        messages = prompts.part_messages(
            self._messages,
            self._opening,
            outline.points[:known],
            outline.points[index - 1],
            titles=self.titles,
            parents=parents,
        )
        return Request(
            f"point:{index}",
            "point",
            messages,
            max_tokens=self._limit("point", self._settings.point_max_tokens),
            points=(index,),
            shared=prompts.shared_length(self._messages),
        )

    def _prompts_for(self, stage: Stage) -> Prompts:
        if self._quirks[stage].refuses("partial answer"):
            return self._prompts.without_partial_answers()
        return self._prompts

    def _fields(self, start: str) -> tuple[tuple[str, Any], ...]:
        """What makes the server go on with the start of an answer, where there is one."""
        return tuple((self._settings.continue_fields or {}).items()) if start else ()

    def _stops(self, stage: Stage, stops: Iterable[str]) -> tuple[str, ...]:
        """Stop where one of these begins."""
        return () if self._quirks[stage].refuses("stop") else tuple(stops)[: self._settings.max_stops]

    def _limit(self, stage: Stage, max_tokens: int | None) -> int | None:
        return None if self._quirks[stage].refuses("max_tokens") else max_tokens
