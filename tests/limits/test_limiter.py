from __future__ import annotations

import asyncio
import copy
import gc
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from skeleton_of_thought.errors import ConfigurationError
from skeleton_of_thought.limits import Limiter
from skeleton_of_thought.usage import Usage


class Inside:
    """Counts who is inside, from any thread."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.now = self.most = self.total = 0

    def __enter__(self) -> None:
        with self.lock:
            self.now += 1
            self.total += 1
            self.most = max(self.most, self.now)

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self.now -= 1


def idle(limiter: Limiter) -> bool:
    return (limiter.running, limiter.waiting) == (0, 0)


def test_threads_and_two_event_loops_share_one_budget():
    limiter, inside = Limiter(max_concurrency=5), Inside()

    def in_thread(key: int) -> None:
        for _ in range(20):
            with limiter.slot(key=key), inside:
                time.sleep(0.001)

    async def in_loop() -> None:
        async def one(key: int) -> None:
            async with limiter.aslot(key=key):
                with inside:
                    await asyncio.sleep(0.001)

        await asyncio.gather(*(one(place % 7) for place in range(100)))

    with ThreadPoolExecutor(10) as pool:
        futures = [pool.submit(in_thread, place) for place in range(8)]
        futures += [pool.submit(asyncio.run, in_loop()) for _ in range(2)]
        for future in futures:
            future.result(30)
    assert inside.total == 8 * 20 + 200
    assert inside.most == 5
    assert idle(limiter)


async def test_a_storm_of_cancellations_leaks_nothing():
    limiter, inside, draw = Limiter(max_concurrency=4), Inside(), random.Random(3)

    async def one(key: int) -> None:
        async with limiter.aslot(key=key):
            with inside:
                await asyncio.sleep(draw.uniform(0, 0.003))

    for _ in range(5):
        tasks = [asyncio.create_task(one(place % 5)) for place in range(200)]
        for _ in range(10):
            await asyncio.sleep(0.001)
            for task in draw.sample(tasks, 30):
                task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert any(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)
        assert idle(limiter)
    assert inside.most == 4


async def test_a_granted_waiter_cancelled_before_it_runs_passes_the_slot_on():
    limiter = Limiter(max_concurrency=1)
    reached = []

    async def one(name: str) -> None:
        async with limiter.aslot():
            reached.append(name)

    async with limiter.aslot():
        first, second = asyncio.create_task(one("first")), asyncio.create_task(one("second"))
        await asyncio.sleep(0)
    assert limiter.running == 1  # granted to the first, which has not run yet
    first.cancel()
    await asyncio.gather(first, second, return_exceptions=True)
    assert reached == ["second"]
    assert idle(limiter)


def test_waiters_of_a_closed_loop_do_not_block_others():
    limiter = Limiter(max_concurrency=1)
    loop = asyncio.new_event_loop()

    async def wait() -> None:
        async with limiter.aslot():
            pass

    with limiter.slot():
        task = loop.create_task(wait())
        loop.run_until_complete(asyncio.sleep(0))
        assert limiter.waiting == 1
        loop.close()
    with limiter.slot():
        assert limiter.running == 1
    setattr(task, "_log_destroy_pending", False)  # noqa: B010 - asyncio's own, without a type
    del task
    gc.collect()
    assert idle(limiter)


@pytest.mark.slow
def test_windows_hold_in_real_time_without_polling():
    limiter = Limiter(requests_per_minute=10, window=0.3)
    moments, lock = [], threading.Lock()

    def one(_: int) -> None:
        with limiter.slot():
            moment = time.monotonic()
            with lock:
                moments.append(moment)

    with ThreadPoolExecutor(30) as pool:
        cpu = time.process_time()
        began = time.monotonic()
        list(pool.map(one, range(40)))
        seconds, cpu = time.monotonic() - began, time.process_time() - cpu
    assert 0.9 <= seconds < 2
    assert cpu < 0.3 * seconds
    moments.sort()
    assert all(later - earlier > 0.295 for earlier, later in zip(moments, moments[10:], strict=False))
    assert not [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]


async def test_no_timer_is_left_when_waiters_give_up():
    limiter = Limiter(requests_per_minute=1, window=30)
    async with limiter.aslot():
        pass
    waiting = [asyncio.create_task(limiter.aslot().__aenter__()) for _ in range(5)]
    await asyncio.sleep(0.01)
    assert limiter.waiting == 5
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.join(1)
            assert not thread.is_alive()
    assert limiter.waiting == 0


def test_usage_is_settled_and_cached_tokens_may_be_free():
    usage = Usage(input_tokens=70, output_tokens=10, cache_read_tokens=60)
    for count_cached, load in ((True, 0.8), (False, 0.2)):
        limiter = Limiter(tokens_per_minute=100, count_cached=count_cached)
        with limiter.slot(tokens=100) as slot:
            assert limiter.load == 1.0
            slot.settle(usage)
            assert limiter.load == load == slot.used / 100


def test_load():
    limiter = Limiter(max_concurrency=4)
    assert limiter.load == 0
    with limiter.slot(), limiter.slot():
        assert limiter.load == 0.5
    assert Limiter().load == 0


class RefusedError(Exception):
    status_code = 429

    def __init__(self, **headers: str) -> None:
        super().__init__("slow down")
        self.headers = headers


async def test_a_429_that_leaves_the_block_pauses_everybody():
    limiter = Limiter(max_concurrency=4, tokens_per_minute=1000)
    with pytest.raises(RefusedError):
        async with limiter.aslot(tokens=900):
            raise RefusedError(**{"retry-after": "0.2"})
    assert limiter.load == 1.0
    began = time.monotonic()
    async with limiter.aslot(tokens=900) as slot:  # the refused tokens do not count
        assert 0.19 <= time.monotonic() - began < 0.6
        slot.rate_limited(0.1)
    began = time.monotonic()
    with limiter.slot():
        assert 0.09 <= time.monotonic() - began < 0.5


def test_a_quiet_refusal_is_no_success():
    limiter = Limiter(max_concurrency=2)
    with limiter.slot():
        with limiter.slot() as slot:
            slot.rate_limited(0.0)
        assert limiter.load == 1.0  # one runs, and one is all that may


def test_other_errors_free_the_slot_and_keep_the_estimate():
    limiter = Limiter(tokens_per_minute=100, max_concurrency=1)
    with pytest.raises(KeyError), limiter.slot(tokens=50):
        raise KeyError("x")
    assert idle(limiter)
    assert limiter.load == 0.5


def test_a_forgotten_generator_gives_its_slot_back():
    limiter = Limiter(max_concurrency=1)

    def stream():
        with limiter.slot():
            yield 1
            yield 2

    cycle: list[object] = [stream()]
    cycle.append(cycle)
    next(cycle[0])
    assert limiter.running == 1
    del cycle
    gc.collect()
    assert idle(limiter)


def test_a_step_in_the_middle_of_a_step_waits_for_its_end():
    limiter, states = Limiter(max_concurrency=1), []

    class Interrupting:
        """A key; hashing it, in the middle of queueing, does what the garbage collector might do there."""

        def __hash__(self) -> int:
            if not states:
                states.append("interrupted")
                holder.close()
                states.append(limiter.running)
            return 1

    def hold():
        with limiter.slot():
            yield

    holder = hold()
    next(holder)
    with limiter.slot(key=Interrupting()):
        assert limiter.running == 1
    assert states == ["interrupted", 1]
    assert idle(limiter)


def test_a_copy_is_the_same_limiter():
    limiter = Limiter(max_concurrency=2, name="mine")
    assert copy.deepcopy({"limiter": limiter})["limiter"] is limiter
    assert copy.copy(limiter) is limiter
    assert "mine" in repr(limiter)


def test_one_limiter_per_name():
    first = Limiter.shared("test one limiter", max_concurrency=3)
    assert Limiter.shared("test one limiter") is first
    assert Limiter.shared("test one limiter", max_concurrency=3) is first
    assert Limiter.shared("test another limiter") is not first
    with pytest.raises(ConfigurationError, match="max_concurrency"):
        Limiter.shared("test one limiter", max_concurrency=4)


@pytest.mark.parametrize(
    "options",
    [
        {"max_concurrency": 0},
        {"requests_per_minute": -1},
        {"tokens_per_minute": 0},
        {"window": 0},
        {"store": "memory://"},
    ],
)
def test_wrong_options_are_refused(options):
    with pytest.raises(ConfigurationError):
        Limiter(**options)


@pytest.mark.slow
async def test_ten_thousand_waiters_are_served_quickly():
    limiter, inside = Limiter(max_concurrency=50), Inside()

    async def one(key: int) -> None:
        async with limiter.aslot(key=key):
            with inside:
                await asyncio.sleep(0)

    began = time.process_time()
    await asyncio.gather(*(one(place % 100) for place in range(10_000)))
    assert inside.total == 10_000
    assert inside.most <= 50
    assert (
        time.process_time() - began < 10
    )  # 0.1 ms each is usual; a queue searched from end to end takes minutes
