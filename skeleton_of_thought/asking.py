"""A question answered without a framework: `ask`, `aask`, `stream`, `astream`.

`Asker` resolves the options once and answers any number of questions; the four functions make one for theirs.
"""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from skeleton_of_thought import drivers
from skeleton_of_thought.answer import Answer
from skeleton_of_thought.clients import identity, open_client
from skeleton_of_thought.drivers.turns import Turns
from skeleton_of_thought.errors import ConfigurationError
from skeleton_of_thought.events import AnswerText
from skeleton_of_thought.everyday import EverydayOptions, EverydayParameters, takes
from skeleton_of_thought.messages import Message
from skeleton_of_thought.method import SkeletonOfThought
from skeleton_of_thought.options import no_fields
from skeleton_of_thought.prompts import PROMPTS, AnyPrompts, OpeningPrompts, get_prompts
from skeleton_of_thought.provider_errors import quirks_of
from skeleton_of_thought.request import Delta, Request, Stage
from skeleton_of_thought.routing.decision import Decision
from skeleton_of_thought.speeds import speeds_of

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        AsyncIterator,
        Callable,
        Generator,
        Iterator,
        Sequence,
    )
    from pathlib import Path
    from typing import Self, Unpack

    from skeleton_of_thought.clients import Client
    from skeleton_of_thought.events import Event
    from skeleton_of_thought.options import Options

    Seen = Event | tuple[Request, Delta]

_MODEL_DECIDES = Decision("sot", 1.0, "no router")
"""What a run begins with in the opening protocol."""


class AskOptions(EverydayParameters["str | Client"], total=False):
    """The options of `ask`, `aask`, `stream` and `astream`, as `Asker` explains them."""

    base_url: str | None
    dtype: str
    max_concurrency: int | None


class Asker:
    """Answers questions with one model and one set of options, several at the same time.

    Args:
        model: Answers: what `open_client` takes, or a client.
        base_url: Address of an API, where `model` is a name.
        dtype: What the weights are kept in, where `model` is a local one's name: `"auto"`, `"int4"`, `"int8"`,
            `"float32"`, `"bfloat16"`, `"float16"`.
        max_concurrency: Most requests of an answer at once.
        everyday: The options every face has, `EverydayOptions`; a `skeleton_model` and a `point_model` are given as
            `model` is.

    Raises:
        ConfigurationError: An option is wrong.
        MissingExtraError: A package the model needs is not installed.
    """

    @takes(EverydayOptions)
    def __init__(
        self,
        model: str | Client = "local",
        *,
        base_url: str | None = None,
        dtype: str = "auto",
        max_concurrency: int | None = None,
        **everyday: Unpack[EverydayParameters[str | Client]],
    ) -> None:
        given: EverydayOptions[str | Client] = EverydayOptions(**everyday)
        options = given.options
        self.client = _open(model, base_url, dtype, options)
        skeletons, points = (
            self.client if other is None else _open(other, None, "auto", options)
            for other in (given.skeleton_model, given.point_model)
        )
        self._clients: dict[Stage, Client] = {
            "opening": skeletons,
            "skeleton": skeletons,
            "point": points,
            "direct": self.client,
        }
        for client in (skeletons, points) if options.continue_fields else ():
            if not getattr(client, "takes_fields", False):
                raise no_fields(options.continue_fields, client.name)
        self._prompts = _prompts(given, skeletons, points)
        self._decides_itself = given.decides_itself(self._prompts)
        self._limiter = given.limiter
        self._speeds = speeds_of(identity(points))
        self._router = given.chosen_router(self._speeds, self._load)
        self._load_aware = given.load_aware
        self._race = given.race and not given.opens(self._prompts)
        self._prices = given.stage_prices(
            {stage: client.name.rpartition(":")[2] for stage, client in self._clients.items()}
        )
        self._max_concurrency = max_concurrency
        stops = [client.max_stops for client in (skeletons, points) if client.max_stops is not None]
        self._settings = given.settings(max_stops=min(stops, default=None))

    def ask(
        self,
        question: str | Sequence[Message],
        *,
        decision: Decision | None = None,
        watch: Callable[[Event], None] = lambda _: None,
    ) -> Answer:
        """Answer a question.

        Args:
            question: The question, or a conversation that ends with it.
            decision: What was decided already; None asks whoever decides.
            watch: Told what happens, while it happens.
        """
        pieces = self.stream(question, decision=decision)
        for seen in pieces.events():
            if not isinstance(seen, tuple):
                watch(seen)
        return pieces.answer

    async def aask(self, question: str | Sequence[Message], *, decision: Decision | None = None) -> Answer:
        """Answer a question with asyncio."""
        pieces = self.astream(question, decision=decision)
        async for _ in pieces.events():
            pass
        return pieces.answer

    def stream(self, question: str | Sequence[Message], *, decision: Decision | None = None) -> AnswerPieces:
        """The pieces of an answer, as `skeleton_of_thought.stream` gives them."""
        return AnswerPieces(self._running(_messages(question), decision))

    def astream(
        self, question: str | Sequence[Message], *, decision: Decision | None = None
    ) -> AsyncAnswerPieces:
        """The pieces of an answer, as `skeleton_of_thought.astream` gives them."""
        return AsyncAnswerPieces(self._arunning(_messages(question), decision))

    def decide(self, messages: Sequence[Message]) -> Decision | None:
        """The route of a conversation; None where the model itself decides."""
        known = self._known()
        return known if known is not None or self._decides_itself else self._router.route(messages)

    async def adecide(self, messages: Sequence[Message]) -> Decision | None:
        """Like `decide`, with asyncio."""
        known = self._known()
        return known if known is not None or self._decides_itself else await self._router.aroute(messages)

    def _running(self, messages: Sequence[Message], decision: Decision | None) -> Generator[Seen | Answer]:
        """Everything that happens, and the answer as the last of it."""

        def send(request: Request) -> Iterator[Delta]:
            if request.stage == "route":
                return iter((Delta(raw=self._router.route(messages)),))
            return self._clients[request.stage].stream(request)

        if decision is None:
            decision = self._known() if self._race else self.decide(messages)
        run = self._run(messages, decision)
        yield from drivers.stream(run, send, max_concurrency=self._max_concurrency, turns=self._turns())
        yield self._learned(run)

    async def _arunning(
        self, messages: Sequence[Message], decision: Decision | None
    ) -> AsyncGenerator[Seen | Answer]:
        """Like `_running`, with asyncio."""

        async def send(request: Request) -> AsyncGenerator[Delta]:
            if request.stage == "route":
                yield Delta(raw=await self._router.aroute(messages))
                return
            async with aclosing(self._clients[request.stage].astream(request)) as deltas:
                async for delta in deltas:
                    yield delta

        if decision is None:
            decision = self._known() if self._race else await self.adecide(messages)
        run = self._run(messages, decision)
        driven = drivers.astream(run, send, max_concurrency=self._max_concurrency, turns=self._turns())
        async with aclosing(driven) as happenings:
            async for seen in happenings:
                yield seen
        yield self._learned(run)

    def _run(self, messages: Sequence[Message], decision: Decision | None) -> SkeletonOfThought:
        known: Decision | None = decision
        if known is None and not self._race:
            known = _MODEL_DECIDES
        quirks = {stage: quirks_of(identity(client)) for stage, client in self._clients.items()}
        return SkeletonOfThought(messages, self._prompts, self._settings, decision=known, quirks=quirks)

    def _learned(self, run: SkeletonOfThought) -> Answer:
        """The answer; what it says of the model's speed is kept for those to come."""
        answer = run.answer
        self._speeds.observe(answer)
        return replace(answer, prices=self._prices)

    def _turns(self) -> Turns:
        return Turns(self._limiter, longest_wait=self._settings.longest_wait)

    def _known(self) -> Decision | None:
        """The decision for which nobody has to be asked: while no gain is to be expected, answers are direct."""
        return self._speeds.decide(self._load()) if self._load_aware else None

    def _load(self) -> float:
        """Share of what the points may use that is in use: of the model's room, of the limiter's places."""
        limited = 0.0 if self._limiter is None else self._limiter.load
        return max(self._clients["point"].load, limited)


@takes(Asker)
def ask(
    question: str | Sequence[Message], *, model: str | Client = "local", **options: Unpack[AskOptions]
) -> Answer:
    """Answer a question.

    Args:
        question: The question, or a conversation that ends with it.
        model: `"local"`, `"hf:FOLDER_OR_HUB_ID"`, `"openai:NAME"`, `"anthropic:NAME"`, or a client.
        options: As for `Asker`.

    Raises:
        ConfigurationError: An option is wrong, or there is no question.
        MissingExtraError: A package the model needs is not installed.
        PointError: Points failed and `on_point_error="raise"`; it carries the answer.
        DeadlineError: Nothing was there when `timeout` was over.
        Exception: The model's own, if there is no answer at all.

    Example:
        ```python
        from skeleton_of_thought import ask

        answer = ask("How can I improve my time management skills?")  # or model="openai:gpt-5-mini"
        print(answer.text)
        ```
    """
    return Asker(model, **options).ask(question)


@takes(Asker)
async def aask(
    question: str | Sequence[Message], *, model: str | Client = "local", **options: Unpack[AskOptions]
) -> Answer:
    """Like `ask`, with asyncio."""
    return await Asker(model, **options).aask(question)


@takes(Asker)
def stream(
    question: str | Sequence[Message], *, model: str | Client = "local", **options: Unpack[AskOptions]
) -> AnswerPieces:
    """Like `ask`; returns an iterator over the pieces of the text, in reading order, while they are written.

    Its `answer` is the `Answer`, once the last piece is there. Nothing is sent before the first piece is asked for;
    closing the iterator hangs up.
    """
    return Asker(model, **options).stream(question)


@takes(Asker)
def astream(
    question: str | Sequence[Message], *, model: str | Client = "local", **options: Unpack[AskOptions]
) -> AsyncAnswerPieces:
    """Like `stream`, with asyncio."""
    return Asker(model, **options).astream(question)


def splitting_router(
    client: Client, prompts: AnyPrompts | Path | str | None = None
) -> Literal["self", "always"]:
    """The `router` under which every question that can have a skeleton gets one, to compare with plain answers.

    `"self"` for a model that plans its answers itself, else `"always"`.
    """
    chosen = client.prompts if prompts is None else get_prompts(prompts)
    return "self" if isinstance(chosen, OpeningPrompts) else "always"


class _AnswerAtTheEnd:
    """What both iterators over the pieces of an answer have."""

    _answer: Answer | None = None

    @property
    def answer(self) -> Answer:
        """The whole answer, once the last piece is there.

        Raises:
            ConfigurationError: It is not.
        """
        if self._answer is None:
            raise ConfigurationError("The answer is not complete; read the iterator to its end first.")
        return self._answer


class AnswerPieces(_AnswerAtTheEnd):
    """The pieces of an answer's text, in reading order; `events` has everything that happens instead."""

    def __init__(self, running: Generator[Seen | Answer]) -> None:
        self._running = running

    def events(self) -> Iterator[Seen]:
        """The run's events (`skeleton_of_thought.events`); pieces of a plain answer come with their request."""
        for seen in self._running:
            if isinstance(seen, Answer):
                self._answer = seen
            else:
                yield seen

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        return next(seen.text for seen in self.events() if isinstance(seen, AnswerText))

    def close(self) -> None:
        """Stop the answer: requests that are open are cancelled, and nothing more is sent."""
        self._running.close()


class AsyncAnswerPieces(_AnswerAtTheEnd):
    """Like `AnswerPieces`, with asyncio."""

    def __init__(self, running: AsyncGenerator[Seen | Answer]) -> None:
        self._running = running

    async def events(self) -> AsyncIterator[Seen]:
        """The run's events (`skeleton_of_thought.events`); pieces of a plain answer come with their request."""
        async for seen in self._running:
            if isinstance(seen, Answer):
                self._answer = seen
            else:
                yield seen

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        async for seen in self.events():
            if isinstance(seen, AnswerText):
                return seen.text
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Stop the answer: requests that are open are cancelled, and nothing more is sent."""
        await self._running.aclose()


def _messages(question: str | Sequence[Message]) -> list[Message]:
    return [Message("user", question)] if isinstance(question, str) else list(question)


def _prompts(given: EverydayOptions[str | Client], skeletons: Client, points: Client) -> AnyPrompts:
    """The prompts: the caller's, or those that suit the models; a skeleton's where somebody else decides."""
    prompts, router = given.prompts, given.router
    if prompts is None and given.options.structured_skeleton:
        return PROMPTS["instruction-json"]
    if prompts is None and router == "self":
        return PROMPTS["opening"]
    chosen = skeletons.prompts if prompts is None else get_prompts(prompts)
    if isinstance(chosen, OpeningPrompts):
        forced = router == "always" or (prompts is None and router not in (None, "self"))
        return chosen.classic if forced else chosen
    if prompts is None and isinstance(points.prompts, OpeningPrompts):
        return PROMPTS["instruction"]  # worked examples and partial answers are for a model of our own
    return chosen


def _open(model: str | Client, base_url: str | None, dtype: str, options: Options) -> Client:
    if isinstance(model, str):
        return open_client(model, base_url=base_url, dtype=dtype, prompt_cache=options.prompt_cache)
    for name, value, default in (("base_url", base_url, None), ("dtype", dtype, "auto")):
        if value != default:
            raise ConfigurationError(
                f"{name} is {value!r}, and {model.name!r} is open already; leave it out."
            )
    return model
