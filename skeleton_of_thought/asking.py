"""A question answered without a framework: `ask`, `aask`, `stream`, `astream`.

`Asker` resolves the options once and answers any number of questions; the four functions make one for theirs.
"""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, TypedDict

from skeleton_of_thought import drivers
from skeleton_of_thought.answer import Answer
from skeleton_of_thought.clients import open_client
from skeleton_of_thought.drivers.turns import Turns
from skeleton_of_thought.errors import ConfigurationError
from skeleton_of_thought.events import AnswerText
from skeleton_of_thought.messages import Message
from skeleton_of_thought.method import SkeletonOfThought
from skeleton_of_thought.options import Options
from skeleton_of_thought.prices import Prices
from skeleton_of_thought.prompts import PROMPTS, AnyPrompts, OpeningPrompts, get_prompts
from skeleton_of_thought.provider_errors import quirks_of
from skeleton_of_thought.request import Delta, Request, Stage
from skeleton_of_thought.routing.combining import no_room
from skeleton_of_thought.routing.decision import Decision
from skeleton_of_thought.routing.fallback import FALLBACK, FallbackRouter
from skeleton_of_thought.routing.registry import get_router

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        AsyncIterator,
        Callable,
        Generator,
        Iterator,
        Mapping,
        Sequence,
    )
    from pathlib import Path
    from typing import Self, Unpack

    from skeleton_of_thought.answer import AnswerFormat
    from skeleton_of_thought.clients import Client
    from skeleton_of_thought.events import Event
    from skeleton_of_thought.limits import Limiter
    from skeleton_of_thought.options import OnPointError
    from skeleton_of_thought.prices import Price
    from skeleton_of_thought.routing.decision import Router

    Seen = Event | tuple[Request, Delta]

_MODEL_DECIDES = Decision("sot", 1.0, "no router")
"""What a run begins with in the opening protocol."""


class AskOptions(TypedDict, total=False):
    """The options of `ask`, `aask`, `stream` and `astream`, as `Asker` explains them."""

    base_url: str | None
    router: str | Router | None
    prompts: AnyPrompts | Path | str | None
    skeleton_model: str | Client | None
    point_model: str | Client | None
    max_points: int | None
    point_max_tokens: int | None
    answer_format: AnswerFormat | None
    on_point_error: OnPointError
    retries: int
    timeout: float | None
    point_timeout: float | None
    hedge_after: float | None
    race: bool
    limiter: Limiter | None
    prices: Prices | Path | str | None
    max_concurrency: int | None
    options: Options


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


async def aask(
    question: str | Sequence[Message], *, model: str | Client = "local", **options: Unpack[AskOptions]
) -> Answer:
    """Like `ask`, with asyncio."""
    return await Asker(model, **options).aask(question)


def stream(
    question: str | Sequence[Message], *, model: str | Client = "local", **options: Unpack[AskOptions]
) -> AnswerPieces:
    """Like `ask`; returns an iterator over the pieces of the text, in reading order, while they are written.

    Its `answer` is the `Answer`, once the last piece is there. Nothing is sent before the first piece is asked for;
    closing the iterator hangs up.
    """
    return Asker(model, **options).stream(question)


def astream(
    question: str | Sequence[Message], *, model: str | Client = "local", **options: Unpack[AskOptions]
) -> AsyncAnswerPieces:
    """Like `stream`, with asyncio."""
    return Asker(model, **options).astream(question)


class Asker:
    """Answers questions with one model and one set of options, several at the same time.

    Args:
        model: Answers: what `open_client` takes, or a client.
        base_url: Address of an API, where `model` is a name.
        router: Decides per question whether a skeleton pays. `"self"` lets the model decide in the request that also
            opens and plans the answer, `"always"` gives every question a skeleton, `"never"` none; other names and
            objects as for `get_router`. None chooses by the model: `"self"` for hosted ones, `"lexical"` for local
            ones. A router that fails is replaced by `"lexical"` for that question.
        prompts: A family of `PROMPTS`, a JSON file, `Prompts` or `OpeningPrompts`; None chooses by the model.
        skeleton_model: Writes the skeleton, or decides, opens and plans, instead of `model`.
        point_model: Writes the points instead of `model`.
        max_points: Points beyond this number are dropped; None takes what the prompts ask for.
        point_max_tokens: Longest point.
        answer_format: `"sections"`, `"numbered"`, `"headings"`, `"prose"`, or a function from a `PointResult` to text;
            None takes what suits the prompts.
        on_point_error: `"mark"`, `"skip"` or `"raise"`.
        retries: How often a failed request is sent again.
        timeout: Seconds the answer may take.
        point_timeout: Seconds a point may take, retries included.
        hedge_after: Seconds after which a point that shows nothing yet is asked for a second time.
        race: Start router, skeleton and direct answer together, for a router that takes time.
        limiter: What every request has to pass.
        prices: Makes the bill name money: a `Prices` table, a JSON file of one, or `"default"`.
        max_concurrency: Most requests of an answer at once.
        options: The rare options.

    Raises:
        ConfigurationError: An option is wrong.
        MissingExtraError: A package the model needs is not installed.
    """

    def __init__(
        self,
        model: str | Client = "local",
        *,
        base_url: str | None = None,
        router: str | Router | None = None,
        prompts: AnyPrompts | Path | str | None = None,
        skeleton_model: str | Client | None = None,
        point_model: str | Client | None = None,
        max_points: int | None = None,
        point_max_tokens: int | None = None,
        answer_format: AnswerFormat | None = None,
        on_point_error: OnPointError = "mark",
        retries: int = 1,
        timeout: float | None = None,
        point_timeout: float | None = None,
        hedge_after: float | None = None,
        race: bool = False,
        limiter: Limiter | None = None,
        prices: Prices | Path | str | None = None,
        max_concurrency: int | None = None,
        options: Options = Options(),
    ) -> None:
        self.client = self._open(model, base_url, options)
        skeletons = self.client if skeleton_model is None else self._open(skeleton_model, None, options)
        points = self.client if point_model is None else self._open(point_model, None, options)
        self._clients: dict[Stage, Client] = {
            "opening": skeletons,
            "skeleton": skeletons,
            "point": points,
            "direct": self.client,
        }
        self._prompts = _prompts(prompts, skeletons, points, router, options)
        opens = isinstance(self._prompts, OpeningPrompts) and options.points_per_call == 1
        if router == "self" and not opens:
            raise ConfigurationError(
                "router is 'self', which the opening protocol alone can do: use prompts='opening' and "
                "points_per_call=1, or router='lexical'."
            )
        self._decides_itself = opens and router in (None, "self")
        self._router = _router(router)
        self._load_aware = router != "always" if options.load_aware is None else options.load_aware
        self._race = race and not opens
        self._limiter = limiter
        self._prices = _prices(prices, self._clients)
        self._max_concurrency = max_concurrency
        stops = [client.max_stops for client in (skeletons, points) if client.max_stops is not None]
        self._settings = options.settings(
            max_points=max_points,
            point_max_tokens=point_max_tokens,
            answer_format=answer_format,
            on_point_error=on_point_error,
            retries=retries,
            timeout=timeout,
            point_timeout=point_timeout,
            hedge_after=hedge_after,
            max_stops=min(stops, default=None),
        )

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
        yield replace(run.answer, prices=self._prices)

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
        yield replace(run.answer, prices=self._prices)

    def _run(self, messages: Sequence[Message], decision: Decision | None) -> SkeletonOfThought:
        known: Decision | None = decision
        if known is None and not self._race:
            known = _MODEL_DECIDES
        quirks = {stage: quirks_of(client.name) for stage, client in self._clients.items()}
        return SkeletonOfThought(messages, self._prompts, self._settings, decision=known, quirks=quirks)

    def _turns(self) -> Turns:
        return Turns(*(() if self._limiter is None else (self._limiter,)))

    def _open(self, model: str | Client, base_url: str | None, options: Options) -> Client:
        if isinstance(model, str):
            return open_client(model, base_url=base_url, prompt_cache=options.prompt_cache)
        if base_url is not None:
            raise ConfigurationError(
                f"base_url is {base_url!r}, and {model.name!r} is open already; leave it out."
            )
        return model

    def _known(self) -> Decision | None:
        """The decision for which nobody has to be asked: while there is no room for points, answers are direct."""
        if not self._load_aware:
            return None
        limited = 0.0 if self._limiter is None else self._limiter.load
        return no_room(max(self._clients["point"].load, limited))


def splitting_router(
    client: Client, prompts: AnyPrompts | Path | str | None = None
) -> Literal["self", "always"]:
    """The `router` that splits whatever can be split, for who compares: the model itself where it plans its answers."""
    chosen = client.prompts if prompts is None else get_prompts(prompts)
    return "self" if isinstance(chosen, OpeningPrompts) else "always"


class AnswerPieces:
    """The pieces of an answer's text, in reading order; `events` has everything that happens instead."""

    def __init__(self, running: Generator[Seen | Answer]) -> None:
        self._running = running
        self._answer: Answer | None = None

    @property
    def answer(self) -> Answer:
        """The whole answer, once the last piece is there.

        Raises:
            ConfigurationError: It is not.
        """
        return _complete(self._answer)

    def events(self) -> Iterator[Seen]:
        """Everything that happens, pieces of a plain answer with their requests included."""
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
        """Hang up."""
        self._running.close()


class AsyncAnswerPieces:
    """Like `AnswerPieces`, with asyncio."""

    def __init__(self, running: AsyncGenerator[Seen | Answer]) -> None:
        self._running = running
        self._answer: Answer | None = None

    @property
    def answer(self) -> Answer:
        """The whole answer, once the last piece is there.

        Raises:
            ConfigurationError: It is not.
        """
        return _complete(self._answer)

    async def events(self) -> AsyncIterator[Seen]:
        """Everything that happens, pieces of a plain answer with their requests included."""
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
        """Hang up."""
        await self._running.aclose()


def _complete(answer: Answer | None) -> Answer:
    if answer is None:
        raise ConfigurationError("The answer is not complete; read the iterator to its end first.")
    return answer


def _messages(question: str | Sequence[Message]) -> list[Message]:
    return [Message("user", question)] if isinstance(question, str) else list(question)


def _prompts(
    prompts: AnyPrompts | Path | str | None,
    skeletons: Client,
    points: Client,
    router: str | Router | None,
    options: Options,
) -> AnyPrompts:
    """The prompts: the caller's, or those that suit the models; a skeleton's where somebody else decides."""
    if prompts is None and options.structured_skeleton:
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


def _router(router: str | Router | None) -> Router:
    return FallbackRouter(get_router(FALLBACK if router is None or router == "self" else router))


def _prices(
    prices: Prices | Path | str | None, clients: Mapping[Stage, Client]
) -> dict[Stage, Price | None] | None:
    """What each stage costs; None if nobody asked."""
    if prices is None:
        return None
    table = prices if isinstance(prices, Prices) else Prices.load(None if prices == "default" else prices)
    return {stage: table.of(client.name.rpartition(":")[2]) for stage, client in clients.items()}
