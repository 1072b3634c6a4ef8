"""The decisions, on a clock that only the test moves."""

from __future__ import annotations

import heapq
import itertools
import random
import statistics
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skeleton_of_thought.limits.admission import Admission, Ticket

MINUTE = 60.0


@dataclass(frozen=True)
class Job:
    arrives: float
    key: int
    tokens: int
    used: int
    seconds: float
    leaves: float | None  # gives up waiting after so many seconds
    refused: bool


jobs = st.lists(
    st.builds(
        Job,
        arrives=st.floats(0, 100),
        key=st.integers(0, 4),
        tokens=st.integers(0, 100),
        used=st.integers(0, 100),
        seconds=st.floats(0, 30),
        leaves=st.none() | st.floats(0, 50),
        refused=st.booleans(),
    ),
    min_size=1,
    max_size=40,
)
limit = st.none() | st.integers(1, 10)


class Simulation:
    """Runs jobs through an admission; time jumps from event to event."""

    def __init__(self, admission: Admission) -> None:
        self.admission = admission
        self.granted: list[tuple[float, int]] = []  # when, job
        self.charged: list[tuple[float, int]] = []  # when, tokens as known in the end
        self.most_running = 0
        self.left: set[int] = set()
        self.grants_while_waiting: dict[int, list[int]] = {}  # waiting job -> keys granted meanwhile
        self.turns: dict[int, int] = {}  # turns of its key that a job has to wait for, its own included
        self._numbers = itertools.count()

    def run(self, all_jobs: list[Job], *, refusals: bool) -> None:
        events: list[tuple[float, int, str, int]] = []
        tickets: dict[int, Ticket] = {}

        def plan(when: float, kind: str, job: int) -> None:
            heapq.heappush(events, (when, next(self._numbers), kind, job))

        for place, job in enumerate(all_jobs):
            plan(job.arrives, "arrive", place)
        while events:
            now, _, kind, place = heapq.heappop(events)
            job = all_jobs[place]
            if kind == "arrive":
                tickets[place] = Ticket(job.tokens, job.key, lambda: None)
                own = [
                    known for known in tickets.values() if known.key == job.key and known.state == "waiting"
                ]
                self.turns[place] = len(own) + 1
                self.admission.ask(tickets[place], 0.0)
                self.grants_while_waiting[place] = []
                if job.leaves is not None:
                    plan(now + job.leaves, "leave", place)
            elif kind == "leave" and tickets[place].state == "waiting":
                self.left.add(place)
                self.admission.end(tickets[place], succeeded=False)
            elif kind == "end":
                if refusals and job.refused:
                    self.admission.refused(tickets[place], retry_after=None, now=now)
                self.admission.settle(tickets[place], job.used, now)
                self.admission.end(tickets[place], succeeded=not job.refused)
            while (ticket := self.admission.grant(now)) is not None:
                granted = next(number for number, known in tickets.items() if known is ticket)
                self.granted.append((now, granted))
                self.most_running = max(self.most_running, self.admission.running)
                for number, known in tickets.items():
                    if known.state == "waiting" and known.key != ticket.key:
                        self.grants_while_waiting[number].append(ticket.key)
                plan(now + all_jobs[granted].seconds, "end", granted)
            wait = self.admission.wait(now)
            if wait is not None:
                plan(now + wait + 1e-9, "tick", place)
            assert len(events) < 10_000


def admission(**limits) -> Admission:
    options = {
        "max_concurrency": None,
        "requests": None,
        "tokens": None,
        "seconds": MINUTE,
        "jitter": lambda: 0.5,
    }
    return Admission(**{**options, **limits})


@settings(max_examples=150, deadline=None)
@pytest.mark.slow
@given(jobs, limit, limit, st.none() | st.integers(100, 300), st.booleans())
def test_limits_hold_and_everybody_is_served(all_jobs, concurrency, requests, tokens, refusals):
    gate = admission(max_concurrency=concurrency, requests=requests, tokens=tokens)
    simulation = Simulation(gate)
    simulation.run(all_jobs, refusals=refusals)
    served = {place for _, place in simulation.granted}
    assert served | simulation.left == set(range(len(all_jobs)))
    assert not served & simulation.left
    assert (gate.running, gate.waiting, gate.waiting_tokens) == (0, 0, 0)
    if concurrency is not None:
        assert simulation.most_running <= concurrency
    for place, (when, _) in enumerate(simulation.granted):
        window = [job for moment, job in simulation.granted[: place + 1] if moment > when - MINUTE]
        assert requests is None or len(window) <= requests
        if tokens is not None:  # what the limiter knew at that moment, never less than the smaller number
            assert sum(min(all_jobs[job].tokens, all_jobs[job].used) for job in window[:-1]) + all_jobs[
                window[-1]
            ].tokens <= max(tokens, all_jobs[window[-1]].tokens)


@settings(max_examples=100, deadline=None)
@given(jobs, st.integers(1, 3))
def test_keys_take_turns(all_jobs, concurrency):
    simulation = Simulation(admission(max_concurrency=concurrency))
    simulation.run(all_jobs, refusals=False)
    for place, keys in simulation.grants_while_waiting.items():
        for key in set(keys):
            assert keys.count(key) <= simulation.turns[place]


def test_one_busy_question_does_not_starve_the_others():
    gate = admission(max_concurrency=1)
    first = Ticket(0, "first", lambda: None)
    gate.ask(first, 0.0)
    assert gate.grant(0.0) is first
    crowd = [Ticket(0, "busy", lambda: None) for _ in range(100)]
    for ticket in crowd:
        gate.ask(ticket, 0.0)
    late = Ticket(0, "late", lambda: None)
    gate.ask(late, 0.0)
    order = []
    running = first
    while running is not None:
        gate.end(running, succeeded=True)
        running = gate.grant(0.0)
        order.append(running)
    assert order.index(late) == 1
    assert [ticket for ticket in order if ticket in crowd] == crowd


def test_estimates_are_corrected():
    gate = admission(tokens=100)
    first, second = Ticket(90, 1, lambda: None), Ticket(60, 1, lambda: None)
    gate.ask(first, 0.0)
    gate.ask(second, 0.0)
    assert gate.grant(0.0) is first
    assert gate.grant(1.0) is None
    assert gate.wait(1.0) == 60 * 1.02 - 1.0
    gate.settle(first, 40, 2.0)
    assert gate.grant(2.0) is second
    assert gate.load(2.0) == 1.0
    gate.settle(second, 10, 3.0)
    assert gate.load(3.0) == 0.5
    assert gate.load(61.5) == 0.1
    gate.settle(first, 100, 61.5)  # out of the window by now
    assert gate.load(61.5) == 0.1


def test_a_request_larger_than_the_limit_waits_for_an_empty_window():
    gate = admission(tokens=100)
    small, huge = Ticket(10, 1, lambda: None), Ticket(500, 2, lambda: None)
    for ticket in (small, huge):
        gate.ask(ticket, 0.0)
    assert gate.grant(0.0) is small
    assert gate.grant(60.0) is None
    assert gate.grant(61.3) is huge


class Storm:
    """So many running requests, of which some are refused."""

    def __init__(self, maximum: int | None, running: int) -> None:
        self.gate = admission(max_concurrency=maximum)
        self.now = 0.0
        self.running = [self.start() for _ in range(running)]

    def start(self) -> Ticket:
        ticket = Ticket(0, 0, lambda: None)
        self.gate.ask(ticket, 0.0)
        return self.gate.grant(self.now)

    def capacity(self) -> int:
        """How many more may start now."""
        started = []
        while (ticket := self.start()) is not None:
            started.append(ticket)
            if len(started) > 1000:
                break
        waiting = next(iter(self.gate._queues.values()), {})
        for ticket in [*started, *waiting]:
            self.gate.end(ticket, succeeded=False)
        return len(started)


def test_a_storm_of_refusals_halves_once_and_pauses():
    storm = Storm(None, 16)
    for place, ticket in enumerate(storm.running):
        storm.gate.refused(ticket, retry_after=None, now=1.0 + place / 100)
        storm.gate.end(ticket, succeeded=False)
    storm.now = 1.2
    assert storm.gate.load(1.2) == 1.0
    assert storm.capacity() == 0  # paused for 0.375 s: three quarters of 0.5 with this jitter
    storm.now = 1.38
    assert storm.capacity() == 8


def test_retry_after_is_honoured_and_pauses_grow():
    storm = Storm(8, 8)
    storm.gate.refused(storm.running[0], retry_after=5.0, now=1.0)
    for ticket in storm.running:
        storm.gate.end(ticket, succeeded=False)
    for moment, capacity in ((5.99, 0), (6.3, 4)):
        storm.now = moment
        assert storm.capacity() == capacity
    pauses = []
    for _ in range(4):
        ticket = storm.start()
        storm.gate.refused(ticket, retry_after=None, now=storm.now + 0.1)
        storm.gate.end(ticket, succeeded=False)
        storm.now += 0.1
        began = storm.now
        probe = Ticket(0, 0, lambda: None)
        storm.gate.ask(probe, 0.0)
        storm.now += storm.gate.wait(storm.now)
        pauses.append(storm.now - began)
        storm.gate.end(probe, succeeded=False)
        storm.now += 0.01
    assert [round(later / earlier) for earlier, later in itertools.pairwise(pauses)] == [2, 2, 2]
    assert storm.capacity() == 1  # never below one


def test_it_grows_back_to_the_maximum():
    storm = Storm(32, 32)
    storm.gate.refused(storm.running[0], retry_after=0.0, now=1.0)
    for ticket in storm.running:
        storm.gate.end(ticket, succeeded=False)
    storm.now = 2.0
    assert storm.capacity() == 16
    successes = 0
    while storm.capacity() < 32:
        ticket = storm.start()
        storm.gate.end(ticket, succeeded=True)
        successes += 1
        assert successes < 400
    assert successes > 100  # not at once
    assert storm.capacity() == 32


def test_one_refusal_among_many_requests_cuts_a_tenth():
    storm = Storm(40, 40)
    for ticket in storm.running:
        storm.gate.end(ticket, succeeded=True)
    for _ in range(100):
        storm.gate.end(storm.start(), succeeded=True)
    running = [storm.start() for _ in range(40)]
    storm.now += 1
    storm.gate.refused(running[0], retry_after=0.0, now=storm.now)
    for ticket in running:
        storm.gate.end(ticket, succeeded=False)
    storm.now += 1
    assert storm.capacity() == 36


@pytest.mark.parametrize(("refused", "least"), [(0.01, 30), (0.05, 8)])
def test_refusals_by_chance_do_not_use_up_the_concurrency(refused, least):
    draw = random.Random(3)
    storm = Storm(40, 40)
    running, sent = list(storm.running), []
    for _ in range(200):  # rounds: all are answered, then all that fit are sent
        storm.now += 3
        for ticket in running:
            if draw.random() < refused:
                storm.gate.refused(ticket, retry_after=None, now=storm.now)
                storm.gate.end(ticket, succeeded=False)
            else:
                storm.gate.end(ticket, succeeded=True)
        storm.now += 1
        running = list(iter(storm.start, None))
        sent.append(len(running))
    assert statistics.mean(sent) > least
