"""Work that is done many times: in threads here, or spread over Ray's workers."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

Task = dict[str, Any]
Row = dict[str, Any]


class Work(Protocol):
    """What is to be done; small, and can be pickled, so that it can travel to another machine."""

    def open(self) -> Callable[[Task], Row]:
        """Load what it needs; returns the function that turns one task into one row of results.

        The function may be called from several threads at once. It reports a fault of a question in its row,
        under `faults`, and raises nothing for it.
        """
        ...


def in_threads(work: Work, tasks: Iterable[Task], *, concurrency: int = 1) -> Iterator[Row]:
    """Do the tasks here, several at once; yields each row when it is ready.

    No more than `concurrency` tasks and rows are in memory. Threads are daemons: whoever stops reading is not
    kept waiting for them.
    """
    do = work.open()
    if concurrency == 1:
        yield from map(do, tasks)
        return
    rows: queue.SimpleQueue[Row | BaseException] = queue.SimpleQueue()

    def start(task: Task) -> None:
        threading.Thread(
            target=_do, args=(do, task, rows), daemon=True, name=f"sot task {task['id']}"
        ).start()

    yield from _keep_busy(tasks, start, lambda: _next(rows), concurrency)


def _keep_busy(
    tasks: Iterable[Task], start: Callable[[Task], None], wait: Callable[[], Row], concurrency: int
) -> Iterator[Row]:
    running = 0
    for task in tasks:
        if running == concurrency:
            yield wait()
            running -= 1
        start(task)
        running += 1
    for _ in range(running):
        yield wait()


def _do(do: Callable[[Task], Row], task: Task, rows: queue.SimpleQueue[Row | BaseException]) -> None:
    try:
        rows.put(do(task))
    except BaseException as error:  # noqa: BLE001 - raised again where the rows are read
        rows.put(error)


def _next(rows: queue.SimpleQueue[Row | BaseException]) -> Row:
    row = rows.get()
    if isinstance(row, BaseException):
        raise row
    return row
