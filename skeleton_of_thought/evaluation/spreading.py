"""The same work on several processes or machines, by Ray; imported only when it is asked for."""

from __future__ import annotations

import os
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from skeleton_of_thought.errors import ConfigurationError, require

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from skeleton_of_thought.evaluation.work import Row, Task, Work


def on_ray(
    work: Work, tasks: Iterable[Task], *, workers: int = 2, address: str | None = None
) -> Iterator[Row]:
    """Do the tasks on Ray's workers; yields each row when it is ready.

    Each worker opens the work for itself, with the keys in its own environment, and has one task at a time, so
    that its clock measures one question. Limits hold per worker.

    Args:
        work: What to do; travels to each worker.
        tasks: Drawn when a worker is free.
        workers: How many.
        address: Of a running cluster, whose machines have this package installed; None uses the cluster of
            `RAY_ADDRESS`, or starts a local one and stops it at the end. That one listens on 127.0.0.1 only, unless
            the variable RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER is set to 1.

    Raises:
        MissingExtraError: Ray is not installed.
        ConfigurationError: The cluster cannot be reached.
    """
    ray = require("ray", extra="ray", needed_for="--workers")
    with _cluster(ray, workers, address):
        remote = ray.remote(num_cpus=1)(_RayWorker)
        idle = [remote.remote(work) for _ in range(workers)]
        busy: dict[Any, Any] = {}
        for task in tasks:
            if not idle:
                yield _one(ray, busy, idle)
            worker = idle.pop()
            busy[worker.do.remote(task)] = worker
        while busy:
            yield _one(ray, busy, idle)


class _RayWorker:
    """Lives in a process of Ray's."""

    def __init__(self, work: Work) -> None:
        self._do = work.open()

    def do(self, task: Task) -> Row:
        return self._do(task)


def _one(ray: Any, busy: dict[Any, Any], idle: list[Any]) -> Row:
    """The next row; its worker is then free."""
    (ready,), _ = ray.wait(list(busy), num_returns=1)
    idle.append(busy.pop(ready))
    try:
        row: Row = ray.get(ready)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from error
    return row


@contextmanager
def _cluster(ray: Any, workers: int, address: str | None) -> Iterator[None]:
    """Connected to a cluster; one that was started for this is stopped."""
    if ray.is_initialized():
        yield
        return
    local = address is None and "RAY_ADDRESS" not in os.environ
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # what Ray's next version does anyway
    try:
        with _on_loopback() if local else nullcontext():
            ray.init(
                address=address,
                num_cpus=workers if local else None,
                include_dashboard=False if local else None,
                log_to_driver=False,
                logging_level="ERROR",
            )
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise ConfigurationError(
            f"No Ray cluster answers at {address or 'this machine'}: {error}. Start one with `ray start --head`, or "
            "leave --ray out for a local one."
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _on_loopback() -> Iterator[None]:
    """Start Ray as it starts by itself on macOS and Windows: reachable from this machine only.

    On Linux it takes the machine's own address even where 127.0.0.1 is passed as this node's, and then listens on
    every interface; anybody who reaches its ports can run code. Its switch for that is a constant, which an
    environment variable sets for who wants it otherwise.
    """
    constants: Any = require("ray._private.ray_constants", extra="ray", needed_for="--workers")
    before = constants.ENABLE_RAY_CLUSTER
    constants.ENABLE_RAY_CLUSTER = before and constants.ENABLE_RAY_CLUSTERS_ENV_VAR in os.environ
    try:
        yield
    finally:
        constants.ENABLE_RAY_CLUSTER = before
