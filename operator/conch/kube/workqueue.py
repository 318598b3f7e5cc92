"""The keys that wait to be reconciled, each at most once, and never two workers on one key.

As in client-go: a key that is added while a worker has it is handed out again once that worker is done. A key can
also be due later; of several wishes the earliest wins. A failing key waits exponentially longer, with jitter.

A change goes before a resync, but only by `head_start_seconds`: a resync that has waited that long is served in turn,
so neither kind can starve the other.
"""

import asyncio
import heapq
import random
import time
from collections import deque
from collections.abc import Callable, Hashable
from enum import IntEnum
from itertools import count
from typing import Final, Generic, TypeVar

from conch.kube.backoff import Backoff
from conch.kube.metrics import KubeMetrics

K = TypeVar("K", bound=Hashable)

_BACKOFF: Final = Backoff(base_seconds=0.1, cap_seconds=300.0)


class Priority(IntEnum):
    """Why a key is due; the lower goes first."""

    CHANGE = 0
    RESYNC = 1


class WorkQueue(Generic[K]):
    """Made for one event loop; `clock` is monotonic, in seconds."""

    def __init__(
        self,
        metrics: KubeMetrics,
        *,
        clock: Callable[[], float] = time.monotonic,
        backoff: Backoff = _BACKOFF,
        head_start_seconds: float = 30.0,
        chance: random.Random | None = None,
    ) -> None:
        self._metrics = metrics
        self._clock = clock
        self._backoff = backoff
        self._head_start_seconds = {Priority.CHANGE: head_start_seconds, Priority.RESYNC: 0.0}
        self._chance = chance or random.Random()  # noqa: S311 - spreads load, guards nothing
        self._ready: dict[Priority, dict[K, float]] = {priority: {} for priority in Priority}
        self._again: dict[K, Priority] = {}
        self._working: dict[K, float] = {}
        self._due: dict[K, tuple[float, Priority]] = {}
        self._due_heap: list[tuple[float, int, K]] = []
        self._ticket = count()
        self._failures: dict[K, int] = {}
        self._idle: deque[asyncio.Future[None]] = deque()
        metrics.queue_depth.set_function(lambda: float(self.depth))
        metrics.queue_oldest_seconds.set_function(lambda: self.oldest_seconds)

    @property
    def depth(self) -> int:
        """How many keys wait for a worker; those due later or being worked on are not counted."""
        return sum(len(ready) for ready in self._ready.values())

    @property
    def oldest_seconds(self) -> float:
        """How long the oldest of them has waited; 0 when there is none."""
        heads = [next(iter(ready.values())) for ready in self._ready.values() if ready]
        return self._clock() - min(heads) if heads else 0.0

    def add(self, key: K, priority: Priority = Priority.CHANGE) -> None:
        """The key is due now."""
        if key in self._working:
            self._again[key] = min(priority, self._again.get(key, priority))
        else:
            self._make_ready(key, priority)

    def add_after(self, key: K, seconds: float, priority: Priority = Priority.RESYNC) -> None:
        """The key is due in that time, unless it is so earlier anyhow."""
        due = self._clock() + seconds
        if key in self._due and self._due[key][0] <= due:
            return
        self._due[key] = (due, priority)
        heapq.heappush(self._due_heap, (due, next(self._ticket), key))
        self._wake_one()

    def add_rate_limited(self, key: K) -> float:
        """The key has failed once more; returns the seconds until it is due."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        self._metrics.queue_retries.inc()
        seconds = self._backoff.draw_seconds(failures, self._chance)
        self.add_after(key, seconds)
        return seconds

    def forget(self, key: K) -> None:
        """The key has succeeded: the next failure is its first."""
        self._failures.pop(key, None)

    def failures(self, key: K) -> int:
        """How often it has failed since it last succeeded."""
        return self._failures.get(key, 0)

    async def get(self) -> K:
        """The next key, as soon as there is one. Every key that is got must be given back by `done`."""
        while (key := self.take()) is None:
            await self._wait_for_news()
        return key

    def take(self) -> K | None:
        """The next key if one is due."""
        self._release_due()
        priority = self._next_priority()
        if priority is None:
            return None
        ready = self._ready[priority]
        key = next(iter(ready))
        self._metrics.queue_wait_seconds.observe(self._clock() - ready.pop(key))
        self._working[key] = self._clock()
        return key

    def done(self, key: K) -> None:
        """The worker is done with the key, whether it succeeded or not."""
        self._metrics.queue_work_seconds.observe(self._clock() - self._working.pop(key))
        if key in self._again:
            self._make_ready(key, self._again.pop(key))

    def _make_ready(self, key: K, priority: Priority) -> None:
        if key in self._ready[Priority.CHANGE]:
            return
        if priority is Priority.CHANGE:
            self._ready[Priority.RESYNC].pop(key, None)
        if key not in self._ready[priority]:
            self._ready[priority][key] = self._clock()
            self._metrics.queue_adds.labels(priority.name.lower()).inc()
            self._wake_one()

    def _next_priority(self) -> Priority | None:
        """The kind whose oldest key is oldest, once changes are taken for older than they are."""
        waiting = [priority for priority in Priority if self._ready[priority]]
        return min(
            waiting,
            key=lambda priority: next(iter(self._ready[priority].values())) - self._head_start_seconds[priority],
            default=None,
        )

    def _release_due(self) -> None:
        now = self._clock()
        while self._due_heap and self._due_heap[0][0] <= now:
            due, _, key = heapq.heappop(self._due_heap)
            if key in self._due and self._due[key][0] == due:
                self.add(key, self._due.pop(key)[1])

    def _seconds_to_next_due(self) -> float | None:
        return max(0.0, self._due_heap[0][0] - self._clock()) if self._due_heap else None

    async def _wait_for_news(self) -> None:
        news = asyncio.get_running_loop().create_future()
        self._idle.append(news)
        try:
            async with asyncio.timeout(self._seconds_to_next_due()):
                await news
        except TimeoutError:
            pass
        except asyncio.CancelledError:
            if news.done() and not news.cancelled():
                self._wake_one()  # the news was for this worker; another one must take it
            raise
        finally:
            if news in self._idle:
                self._idle.remove(news)

    def _wake_one(self) -> None:
        while self._idle:
            news = self._idle.popleft()
            if not news.done():
                news.set_result(None)
                return
