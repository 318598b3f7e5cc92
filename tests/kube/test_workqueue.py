"""The work queue against a plain model of what it promises, and its waiting on the real clock."""

import asyncio
import random
import time

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from prometheus_client import CollectorRegistry

from conch.kube.backoff import Backoff
from conch.kube.metrics import KubeMetrics
from conch.kube.workqueue import Priority, WorkQueue
from kube.conftest import Measured


class Clock:
    """Time that passes only when told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(measured: Measured, clock: Clock) -> WorkQueue[str]:
    return WorkQueue(measured.metrics, clock=clock, backoff=Backoff(1, 60), chance=random.Random(1))


def test_a_key_waits_once_however_often_it_is_added(queue: WorkQueue[str], measured: Measured) -> None:
    for _ in range(3):
        queue.add("a")
    assert queue.depth == 1
    assert queue.take() == "a"
    assert queue.take() is None
    assert measured.value("conch_workqueue_adds_total", priority="change") == 1


def test_a_key_added_while_worked_on_comes_again_once_done(queue: WorkQueue[str]) -> None:
    queue.add("a")
    assert queue.take() == "a"
    queue.add("a")
    assert queue.take() is None, "never two workers on one key"
    queue.done("a")
    assert queue.take() == "a"
    queue.done("a")
    assert queue.take() is None


def test_of_two_wishes_the_earlier_wins(queue: WorkQueue[str], clock: Clock) -> None:
    queue.add_after("a", 30)
    queue.add_after("a", 10)
    queue.add_after("a", 20)
    clock.now = 9.9
    assert queue.take() is None
    clock.now = 10
    assert queue.take() == "a"
    queue.done("a")
    clock.now = 40
    assert queue.take() is None


def test_a_wish_for_later_outlives_an_earlier_addition(queue: WorkQueue[str], clock: Clock) -> None:
    queue.add_after("a", 10)
    queue.add("a")
    assert queue.take() == "a"
    queue.done("a")
    clock.now = 10
    assert queue.take() == "a"


def test_failures_wait_longer_and_success_forgets_them(queue: WorkQueue[str], measured: Measured) -> None:
    for ceiling in (1, 2, 4, 8, 16, 32, 60, 60):
        longest = max(queue.add_rate_limited(f"{i}") for i in range(100))
        assert ceiling * 0.9 < longest <= ceiling
    assert queue.failures("7") == 8
    queue.forget("7")
    assert queue.failures("7") == 0
    assert queue.add_rate_limited("7") <= 1
    assert measured.value("conch_workqueue_retries_total") == 801


def test_a_change_overtakes_a_resync(queue: WorkQueue[str], clock: Clock) -> None:
    queue.add("resync", Priority.RESYNC)
    clock.now = 29
    queue.add("change")
    assert [queue.take(), queue.take()] == ["change", "resync"]


def test_a_resync_that_waited_long_is_served_in_turn(queue: WorkQueue[str], clock: Clock) -> None:
    queue.add("resync", Priority.RESYNC)
    clock.now = 31
    queue.add("change")
    assert [queue.take(), queue.take()] == ["resync", "change"]


def test_a_change_makes_a_waiting_resync_urgent(queue: WorkQueue[str], clock: Clock) -> None:
    queue.add("a", Priority.RESYNC)
    queue.add("b", Priority.RESYNC)
    queue.add("b", Priority.CHANGE)
    assert queue.depth == 2
    assert queue.take() == "b"


def test_the_age_of_the_oldest_is_told(queue: WorkQueue[str], clock: Clock, measured: Measured) -> None:
    assert queue.oldest_seconds == 0
    queue.add("a", Priority.RESYNC)
    clock.now = 5
    queue.add("b")
    assert queue.oldest_seconds == 5
    assert measured.value("conch_workqueue_oldest_seconds") == 5
    assert measured.value("conch_workqueue_depth") == 2


@pytest.fixture
def real_queue(measured: Measured) -> WorkQueue[str]:
    return WorkQueue(measured.metrics)


async def test_a_waiting_worker_gets_what_is_added(real_queue: WorkQueue[str]) -> None:
    workers = [asyncio.create_task(real_queue.get()) for _ in range(3)]
    await asyncio.sleep(0.01)
    real_queue.add("a")
    real_queue.add("b")
    async with asyncio.timeout(5):
        done, waiting = await asyncio.wait(workers, return_when=asyncio.FIRST_COMPLETED)
        while len(done) < 2:
            done, waiting = await asyncio.wait(workers, timeout=0.05)
    assert sorted(worker.result() for worker in done) == ["a", "b"]
    assert len(waiting) == 1
    waiting.pop().cancel()


async def test_a_waiting_worker_gets_what_becomes_due(real_queue: WorkQueue[str]) -> None:
    worker = asyncio.create_task(real_queue.get())
    await asyncio.sleep(0.01)
    started = time.monotonic()
    real_queue.add_after("late", 30)
    real_queue.add_after("early", 0.1)
    async with asyncio.timeout(5):
        assert await worker == "early"
    assert 0.09 < time.monotonic() - started < 2


async def test_a_cancelled_worker_takes_no_key_with_it(real_queue: WorkQueue[str]) -> None:
    first, second = (asyncio.create_task(real_queue.get()) for _ in range(2))
    await asyncio.sleep(0.01)
    real_queue.add("a")
    first.cancel()  # it has been woken and not yet run
    async with asyncio.timeout(5):
        assert await second == "a"


class QueueModel(RuleBasedStateMachine):
    """Any sequence of calls against sets and dictionaries that state the promises."""

    keys = st.sampled_from("abcd")

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.queue: WorkQueue[str] = WorkQueue(
            KubeMetrics(CollectorRegistry()), clock=self.clock, backoff=Backoff(1, 8), chance=random.Random(1)
        )
        self.dirty: set[str] = set()
        self.working: set[str] = set()
        self.due: dict[str, float] = {}

    @rule(key=keys, priority=st.sampled_from(Priority))
    def add(self, key: str, priority: Priority) -> None:
        self.queue.add(key, priority)
        self.dirty.add(key)

    @rule(key=keys, seconds=st.integers(0, 20), priority=st.sampled_from(Priority))
    def add_after(self, key: str, seconds: int, priority: Priority) -> None:
        self.queue.add_after(key, seconds, priority)
        due = self.clock.now + seconds
        self.due[key] = min(due, self.due.get(key, due))

    @rule(key=keys)
    def fail(self, key: str) -> None:
        due = self.clock.now + self.queue.add_rate_limited(key)
        self.due[key] = min(due, self.due.get(key, due))

    @rule(seconds=st.integers(1, 40))
    def time_passes(self, seconds: int) -> None:
        self.clock.now += seconds

    @rule()
    def take(self) -> None:
        for key in [key for key, due in self.due.items() if due <= self.clock.now]:
            del self.due[key]
            self.dirty.add(key)
        taken = self.queue.take()
        assert (taken is None) == (not self.dirty - self.working)
        if taken is not None:
            assert taken in self.dirty - self.working
            self.dirty.remove(taken)
            self.working.add(taken)

    @precondition(lambda self: self.working)
    @rule(data=st.data())
    def done(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.working)))
        self.working.remove(key)
        self.queue.done(key)

    @invariant()
    def waits_only_what_is_due(self) -> None:
        assert self.queue.depth == len(self.dirty - self.working)

    def teardown(self) -> None:
        self.clock.now += 1_000
        for key in sorted(self.working):
            self.queue.done(key)
        served = set()
        while (taken := self.queue.take()) is not None:
            served.add(taken)
        assert served == self.dirty | set(self.due), "nothing is ever lost"


QueueModel.TestCase.settings = settings(max_examples=200, deadline=None)
TestQueueModel = QueueModel.TestCase
