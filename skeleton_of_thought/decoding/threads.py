"""Keeping the processor's cores for the thread that decodes."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

_Result = TypeVar("_Result")


def in_passing(work: Callable[[], _Result]) -> _Result:
    """Do something in a thread that ends afterwards.

    OpenMP keeps a team of helpers for every thread that ever computed, until that thread ends. While the
    teams together have more threads than the machine has cores, GNU's runtime lets helpers sleep between two
    kernels where they would spin; on two cores a decoding step then takes half as long again. So what
    computes before the engine's thread does, loading and checking a model, leaves no team behind.
    """
    future: Future[_Result] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - it is raised where it was asked for
            future.set_exception(error)

    threading.Thread(target=run, name="skeleton-of-thought-passing", daemon=True).start()
    return future.result()
