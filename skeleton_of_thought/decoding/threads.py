"""Keeping the processor's cores for the thread that decodes."""

from __future__ import annotations

import atexit
import ctypes
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

_Result = TypeVar("_Result")

_STOP_SECONDS = 20  # that a thread gets to notice it is not wanted any more
_running: set[threading.Thread] = set()


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

    thread = threading.Thread(target=run, name="skeleton-of-thought-passing", daemon=True)
    _running.add(thread)
    thread.start()
    try:
        return future.result()
    except BaseException:
        if not future.done():  # Ctrl-C, here
            _stop(thread)
        raise
    finally:
        if future.done():
            _running.discard(thread)


def _stop(thread: threading.Thread) -> None:
    """Interrupt a thread where it is in Python, and wait for it.

    An interpreter that ends while a thread is inside torch takes the process down with it: "terminate called
    without an active exception".
    """
    if thread.ident is not None and thread.is_alive():
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(thread.ident), ctypes.py_object(KeyboardInterrupt)
        )
        thread.join(_STOP_SECONDS)


@atexit.register
def _stop_all() -> None:
    for thread in list(_running):
        _stop(thread)
