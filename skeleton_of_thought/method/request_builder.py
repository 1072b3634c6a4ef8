"""The requests of a run, as the model is known to take them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, get_args

from skeleton_of_thought.errors import ConfigurationError
from skeleton_of_thought.provider_errors import Quirks
from skeleton_of_thought.request import Request, Stage, Steering

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from skeleton_of_thought.messages import Message
    from skeleton_of_thought.options import RunSettings
    from skeleton_of_thought.prompts import Prompts
    from skeleton_of_thought.skeleton import Skeleton


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


class Asking:
    """Words the requests of one conversation.

    Args:
        messages: The conversation.
        prompts: What the model is asked.
        options: Lengths and stops.
        quirks: What the model of each stage does not take; it is left out.
    """

    def __init__(
        self,
        messages: Sequence[Message],
        prompts: Prompts,
        options: RunSettings,
        quirks: Mapping[Stage, Quirks],
    ) -> None:
        self._messages = tuple(messages)
        self._prompts = prompts
        self._options = options
        self._quirks = {stage: quirks.get(stage, Quirks()) for stage in get_args(Stage)}

    @property
    def max_points(self) -> int:
        """Points of a skeleton beyond this number are dropped."""
        return self._options.max_points or self._prompts.max_points

    def direct(self) -> Request:
        """The conversation as it is."""
        return Request("direct", "direct", self._messages)

    def route(self) -> Request:
        """For the router's decision."""
        return Request("route", "route", self._messages)

    def skeleton(self) -> Request:
        """For the skeleton."""
        prompts = self._prompts_for("skeleton")
        return Request(
            "skeleton",
            "skeleton",
            prompts.skeleton_messages(self._messages),
            stop=self._stops("skeleton", (self.max_points + 1,)),
            max_tokens=self._limit("skeleton", prompts.skeleton_max_tokens),
            shared=prompts.shared_length(self._messages),
            steering=prompts.skeleton_steering,
        )

    def all_points(self, skeleton: Skeleton) -> Iterator[Request]:
        """For every point of a skeleton, so many in a request as the user wants."""
        indexes = range(1, len(skeleton) + 1)
        for first in range(0, len(skeleton), self._options.points_per_call):
            yield self.points(skeleton, indexes[first : first + self._options.points_per_call])

    def points(self, skeleton: Skeleton, indexes: Sequence[int]) -> Request:
        """For some points of a skeleton, by their numbers."""
        prompts = self._prompts_for("point")
        users, several = self._options.point_max_tokens, len(indexes) > 1
        longest = users or prompts.point_max_tokens
        others = [number for number in range(2, len(skeleton) + 2) if number not in indexes[1:]]
        if several:  # where the group would run on comes first: there may be room for a few only
            others.sort(key=lambda number: number != indexes[-1] + 1)
        return Request(
            f"point:{','.join(map(str, indexes))}",
            "point",
            prompts.point_messages(self._messages, skeleton, *(skeleton[index - 1] for index in indexes)),
            stop=self._stops("point", others),
            max_tokens=self._limit("point", longest and longest * len(indexes)),
            points=tuple(indexes),
            shared=prompts.shared_length(self._messages),
            common=prompts.common_length(self._messages, skeleton, several=several),
            steering=Steering() if users or several else prompts.point_steering,
        )

    def again(self, request: Request, skeleton: Skeleton, indexes: Sequence[int]) -> Request:
        """A request once more, for those of its points that it did not bring."""
        if tuple(indexes) == request.points:
            return replace(request, attempt=request.attempt + 1)
        return replace(self.points(skeleton, indexes), attempt=request.attempt + 1)

    def renewed(self, request: Request, error: BaseException, skeleton: Skeleton) -> Request | None:
        """The request without what its error says the model does not take; None if it says nothing like it."""
        if not self._quirks[request.stage].learn(error, request):
            return None
        asked = self.points(skeleton, request.points) if request.points else self.skeleton()
        return replace(asked, attempt=request.attempt)

    def _prompts_for(self, stage: Stage) -> Prompts:
        if self._quirks[stage].refuses("partial answer"):
            return self._prompts.without_partial_answers()
        return self._prompts

    def _stops(self, stage: Stage, numbers: Iterable[int]) -> tuple[str, ...]:
        """Stop where one of these points would begin."""
        stops = () if self._quirks[stage].refuses("stop") else tuple(f"\n{number}." for number in numbers)
        return stops[: self._options.max_stops]

    def _limit(self, stage: Stage, max_tokens: int | None) -> int | None:
        return None if self._quirks[stage].refuses("max_tokens") else max_tokens
