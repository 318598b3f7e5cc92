"""The workers: take a key, reconcile it, put it back when it failed. One bad resource never holds up the others."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram

from conch.controller.caches import Key
from conch.kube.errors import ConflictError, KubeError
from conch.kube.workqueue import WorkQueue

logger = logging.getLogger(__name__)

WORKERS: Final = 16
"""Reconciles at a time; each waits for the API server most of its time."""

Reconcile = Callable[[Key], Awaitable[float | None]]


class Workers:
    """Runs reconciles from a queue; `run` goes on until cancelled."""

    def __init__(self, queue: WorkQueue[Key], reconcile: Reconcile, registry: CollectorRegistry) -> None:
        self._queue = queue
        self._reconcile = reconcile
        self._results = Counter("conch_reconciles", "Reconciles by result.", ("result",), registry=registry)
        self._seconds = Histogram("conch_reconcile_duration_seconds", "Time of one reconcile.", registry=registry)

    async def run(self) -> None:
        """Works with all workers."""
        async with asyncio.TaskGroup() as group:
            for _ in range(WORKERS):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            key = await self._queue.get()
            started = time.monotonic()
            try:
                self._settle(key, await self._reconcile(key))
            except ConflictError as conflict:
                logger.info("Reconciling %s/%s met a newer state: %s", *key, conflict)
                self._put_back(key, "conflict")
            except KubeError as failure:
                logger.warning("Reconciling %s/%s failed: %s", *key, failure)
                self._put_back(key, "api_error")
            except Exception:
                logger.exception("Reconciling %s/%s failed", *key)
                self._put_back(key, "error")
            finally:
                self._seconds.observe(time.monotonic() - started)
                self._queue.done(key)

    def _settle(self, key: Key, look_again_seconds: float | None) -> None:
        self._results.labels("success").inc()
        self._queue.forget(key)
        if look_again_seconds is not None:
            self._queue.add_after(key, look_again_seconds)

    def _put_back(self, key: Key, result: str) -> None:
        self._results.labels(result).inc()
        self._queue.add_rate_limited(key)
