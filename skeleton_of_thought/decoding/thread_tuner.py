"""How many threads a step computes with: as many as the machine really gives, found out by what steps take."""

from __future__ import annotations

import os
from collections import deque
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SLOW = 3.0  # so many times its usual time is the sign that a thread waits for one that does not run
_SLOW_STEPS = 2  # in a row, since one may be a hiccup; ...
_VERY_SLOW = 8.0  # ... unless it takes so many times its usual time
_TRIAL = 3  # steps with fewer threads, and then with all, before they are compared by the fastest of each
_FIRST_WAIT, _LONGEST_WAIT = 16, 512  # steps with fewer threads before more are tried again
_DRIFT = 1.002  # the usual time of a step grows so much a step: texts grow longer
_GROUPS, _OWN_GROUPS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


class ThreadTuner:
    """Chooses a number of threads for every step, by the steps before it.

    The threads of a kernel wait for the last of them, and a step has some hundred kernels. While a neighbour has
    one of two cores, the thread there is stopped again and again and the other waits, spinning: a step takes
    nineteen times as long, where one thread alone would take twice. So two steps in a row that take three times
    their usual time, or one that takes eight times, are followed by some with half the threads, and then some with
    all of them to compare. If fewer were faster they are used, and all are tried again after 16 steps, then 32 and
    so on; before such a try, the system is asked whether anybody else wants to run.

    The first steps are a trial too, since the neighbour may have been there first.

    Args:
        most: Threads to use at most.
        crowded: Whether somebody else wants a core now; asked before more threads are tried.

    Attributes:
        threads: For the next step.
    """

    def __init__(self, most: int, crowded: Callable[[], bool] | None = None) -> None:
        self.threads = most
        self._most = most
        self._crowded = crowded or _others_want_to_run
        self._usual: dict[tuple[int, int], float] = {}
        self._begun = False  # whether the first trial was made
        self._slow = 0  # steps in a row that were
        self._trial = 0  # steps of a trial that are left
        self._proof = 0  # steps that show what all threads take now, left of them
        self._fewest = most  # threads they are compared with
        self._recent: dict[tuple[int, int], deque[float]] = {}  # the last steps, by threads and rows
        self._wait = self._left = 0  # steps with fewer threads: of this time, and left of them

    def took(self, rows: int, seconds: float) -> None:
        """Learn from a step.

        Args:
            rows: Texts that got a token in it; 0 if it did anything else, which is not compared.
            seconds: What it took.
        """
        if self._most == 1 or rows == 0:
            return
        key = self.threads, rows
        usual = self._usual.get(key)
        slow = usual is not None and seconds > _SLOW * usual
        very_slow = usual is not None and seconds > _VERY_SLOW * usual
        self._slow = _SLOW_STEPS if very_slow else self._slow + 1 if slow else 0
        if not slow:
            self._usual[key] = seconds if usual is None else min(seconds, usual * _DRIFT)
        self._recent.setdefault(key, deque(maxlen=_TRIAL)).append(seconds)
        if self._proof:
            self._proof -= 1
            fewer = self._recent.get((self._fewest, rows))
            if not self._proof or (fewer and seconds > _SLOW * min(fewer)):
                self._judge()
        elif self._trial:
            self._trial -= 1
            if not self._trial:
                self._prove()
        elif self._left:
            self._left -= 1
            if not self._left:
                self._try_again()
        elif self._slow >= _SLOW_STEPS or (not self._begun and usual is not None):
            self._begun = True
            self._fewer()

    def _fewer(self) -> None:
        """Half the threads, for a trial."""
        if self.threads > 1:
            self.threads //= 2
            self._trial = _TRIAL

    def _prove(self) -> None:
        """Some steps with all threads, to compare."""
        self._proof = _TRIAL
        self._fewest = self.threads
        self.threads = self._most
        for key in [key for key in self._recent if key[0] == self._most]:
            del self._recent[key]

    def _judge(self) -> None:
        """Stay with all threads if they were faster than fewer; else keep to fewer for a while."""
        self._proof = 0
        pairs = [
            (min(seconds), min(fewer))
            for (threads, rows), seconds in self._recent.items()
            if threads == self._most and (fewer := self._recent.get((self._fewest, rows)))
        ]
        if all(every <= fewer for every, fewer in pairs):
            self._wait = 0
            return
        self.threads = self._fewest
        self._wait = min(max(2 * self._wait, _FIRST_WAIT), _LONGEST_WAIT)
        self._left = self._wait

    def _try_again(self) -> None:
        if self._wait < _LONGEST_WAIT and self._crowded():
            self._wait = min(2 * self._wait, _LONGEST_WAIT)
            self._left = self._wait
            return
        self._prove()


def usable_cpus() -> int:
    """Cores this process may keep busy: of those it is bound to, as many as its control group pays for."""
    try:
        bound = len(os.sched_getaffinity(0))
    except AttributeError:  # only Linux has it
        bound = os.cpu_count() or 1
    quota = _quota()
    return bound if quota is None else max(1, min(bound, int(quota)))


def threads_to_use() -> int:
    """Threads for a step on the CPU: torch's number, if the process may use so many cores."""
    return max(1, min(torch.get_num_threads(), usable_cpus()))


@contextmanager
def threads_for_a_while() -> Iterator[None]:
    """Compute with one thread, if somebody else wants a core now; for work that is over before a tuner could learn."""
    usual = torch.get_num_threads()
    fewer = usual > 1 and _others_want_to_run()
    if fewer:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        if fewer:
            torch.set_num_threads(usual)


def _quota() -> float | None:
    """Cores a control group allows, None without a limit; the narrowest group that holds the process counts."""
    narrowest: float | None = None
    for folder in _group_folders():
        for read in (_quota_v2, _quota_v1):
            try:
                found = read(folder)
            except (OSError, ValueError):
                continue
            if found is not None:
                narrowest = found if narrowest is None else min(narrowest, found)
    return narrowest


def _group_folders() -> list[Path]:
    """The folders of the process's control groups and of those around them."""
    try:
        lines = _OWN_GROUPS.read_text().splitlines()
    except OSError:
        return []
    folders = [_GROUPS, _GROUPS / "cpu"]
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        folder = (_GROUPS / "cpu" if controllers else _GROUPS) / path.lstrip("/")
        folders += [each for each in (folder, *folder.parents) if _GROUPS in each.parents]
    return folders


def _quota_v2(folder: Path) -> float | None:
    quota, period = (folder / "cpu.max").read_text().split()
    return None if quota == "max" else int(quota) / int(period)


def _quota_v1(folder: Path) -> float | None:
    quota = int((folder / "cpu.cfs_quota_us").read_text())
    return None if quota < 0 else quota / int((folder / "cpu.cfs_period_us").read_text())


def _others_want_to_run() -> bool:
    """Whether more threads want to run now than cores are left beside this one, where the system tells."""
    try:
        running = int(Path("/proc/loadavg").read_text().split()[3].split("/")[0])
    except (OSError, ValueError, IndexError):
        return False
    return running > 1 and running >= (os.cpu_count() or 1)
