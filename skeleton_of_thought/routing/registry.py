"""Routers by name, for options and the command line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from skeleton_of_thought.errors import ConfigurationError
from skeleton_of_thought.routing.classifier import ClassifierRouter
from skeleton_of_thought.routing.combining import FixedRouter
from skeleton_of_thought.routing.decision import Router
from skeleton_of_thought.routing.embedding import EmbeddingRouter
from skeleton_of_thought.routing.gain import GainRouter
from skeleton_of_thought.routing.labels import LabelRouter, read_questions
from skeleton_of_thought.routing.lexical import LexicalRouter

if TYPE_CHECKING:
    from collections.abc import Callable

    from skeleton_of_thought.speeds import Speeds


_NAMED: Final[dict[str, Callable[[float | None, float | None], Router]]] = {
    "always": lambda *_: FixedRouter("sot"),
    "auto": lambda threshold, share: LexicalRouter(threshold=threshold, share=share),
    "embedding": lambda threshold, share: EmbeddingRouter(threshold=threshold, share=share),
    "lexical": lambda threshold, share: LexicalRouter(threshold=threshold, share=share),
    "never": lambda *_: FixedRouter("direct"),
}


def _prompting(model: str, *_: float | None) -> Router:
    from skeleton_of_thought.clients.routing import prompting_router

    return prompting_router(model)


_WITH_PATH: Final[dict[str, Callable[[str, float | None, float | None], Router]]] = {
    "classifier": lambda folder, threshold, _: ClassifierRouter(folder, threshold=threshold),
    "labels": lambda file, *_: LabelRouter(read_questions(Path(file))),
    "lexical": lambda file, threshold, share: LexicalRouter(
        weights=Path(file), threshold=threshold, share=share
    ),
    "prompting": _prompting,
}
ROUTER_NAMES: Final = (
    *sorted([*_NAMED, "gain"]),
    "classifier:FOLDER",
    "gain:ROUTER",
    "labels:FILE",
    "lexical:FILE",
    "prompting:MODEL",
)
"""What `get_router` understands."""


def weighs_gain(router: object) -> bool:
    """Whether it is the gain router, or a name of it."""
    return isinstance(router, GainRouter) or (isinstance(router, str) and router.partition(":")[0] == "gain")


def get_router(
    router: str | Router,
    *,
    threshold: float | None = None,
    share: float | None = None,
    speeds: Speeds | None = None,
    load: Callable[[], float] = lambda: 0.0,
) -> Router:
    """A router by name, or the router itself.

    Args:
        router: `"lexical"` (no dependency, the choice of `"auto"`), `"embedding"` (better, needs torch),
            `"always"`, `"never"`, `"classifier:FOLDER"`, `"labels:FILE"`, `"lexical:FILE"` with your weights,
            `"prompting:MODEL"` with a model as `sot ask --model` takes it, or any object with `route` and `aroute`.
            `"gain"` is `"gain:lexical"`; `"gain:ROUTER"` asks another of these, and answers plainly where its "sot"
            would not be faster.
        threshold: Probability from which a named router says "sot"; default: its own.
        share: Of suitable questions in your traffic, for `"lexical"` and `"embedding"`; default: the one their
            weights are made for.
        speeds: What is known of the model that will answer, for `"gain"`; the faces give it theirs, and without it
            nothing is known.
        load: Share of that model's capacity in use now, for `"gain"`.

    Raises:
        ConfigurationError: No router has that name, or the object is none.
        MissingExtraError: The router needs a package that is not installed.

    Example:
        >>> get_router("never").route([]).route
        'direct'
    """
    if isinstance(router, str):
        name, colon, path = router.partition(":")
        if name == "gain" and bool(path) == bool(colon):
            from skeleton_of_thought.speeds import Speeds as Unknown

            inner = get_router(path or "lexical", threshold=threshold, share=share)
            return GainRouter(inner, speeds=speeds or Unknown(), load=load)
        if not colon and name in _NAMED:
            return _NAMED[name](threshold, share)
        if path and name in _WITH_PATH:
            return _WITH_PATH[name](path, threshold, share)
        raise ConfigurationError(f"router={router!r} is unknown. Use one of {', '.join(ROUTER_NAMES)}.")
    if not isinstance(router, Router):
        raise ConfigurationError(
            f"router={router!r} is no router: it needs the methods route(messages) and aroute(messages). "
            f"Or give one of the names {', '.join(ROUTER_NAMES)}.",
        )
    return router
