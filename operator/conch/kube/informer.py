"""A cache of the objects of one resource, kept true by list and watch.

    list (pages) -> watch -> watch -> ... -> list (after 410, or when the healing period is over) -> watch -> ...

Each watch goes on where the last one ended. A list is compared with the store, so a delete that no watch has told is
delivered all the same; that also happens every `heal_seconds`, whatever the watches say. Failures are waited out with
back-off and jitter, for ever: without an API server there is nothing better to do.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final

from conch.kube.backoff import Backoff
from conch.kube.client import Client
from conch.kube.errors import ApiError, GoneError, KubeError, UnreachableError, WatchStalledError
from conch.kube.metrics import KubeMetrics
from conch.kube.resources import KubeObject, Resource
from conch.kube.store import IndexFunction, OnChange, Store
from conch.kube.watching import WatchEvent, WatchEventType

logger = logging.getLogger(__name__)

_BACKOFF: Final = Backoff(base_seconds=0.5, cap_seconds=30.0)
_WATCH_SECONDS: Final = (240, 480)
_HEAL_SECONDS: Final = 1800.0


def without_managed_fields(item: KubeObject) -> KubeObject:
    """The usual transform: managed fields are half of a small object and nobody reads them."""
    metadata = {name: value for name, value in item["metadata"].items() if name != "managedFields"}
    return {**item, "metadata": metadata}


@dataclass(frozen=True, slots=True)
class Selection:
    """What an informer covers: one resource, in one namespace or every one, all objects or those with labels."""

    resource: Resource
    namespace: str | None = None
    label_selector: str = ""


@dataclass(frozen=True, slots=True)
class InformerOptions:
    """How an informer keeps up.

    `transform` slims what is kept and must leave name, namespace, uid, resourceVersion and ownerReferences alone.
    `watch_seconds` is the range from which the length of each watch is drawn, so that they do not end together.
    """

    transform: Callable[[KubeObject], KubeObject] = without_managed_fields
    indexes: Mapping[str, IndexFunction] = field(default_factory=dict)
    watch_seconds: tuple[int, int] = _WATCH_SECONDS
    heal_seconds: float = _HEAL_SECONDS
    backoff: Backoff = _BACKOFF


_DEFAULT_OPTIONS: Final = InformerOptions()


class Informer:
    """Keeps `store` like the API server's state; `run` does the work.

    `on_change(old, new)` is called for every change, those of lists included, and `on_list()` after every list: the
    time to look at everything again.
    """

    def __init__(
        self,
        client: Client,
        selection: Selection,
        metrics: KubeMetrics,
        *,
        on_change: OnChange,
        on_list: Callable[[], None] = lambda: None,
        options: InformerOptions = _DEFAULT_OPTIONS,
    ) -> None:
        self.store = Store(self._changed, options.indexes)
        self.selection = selection
        self._client = client
        self._metrics = metrics
        self._on_change = on_change
        self._on_list = on_list
        self._options = options
        self._synced = asyncio.Event()
        self._heard_monotonic = time.monotonic()
        self._listed_monotonic = 0.0
        self._failures = 0
        self._chance = random.Random()  # noqa: S311 - spreads load, guards nothing

    @property
    def synced(self) -> bool:
        """Whether the first list is in the store."""
        return self._synced.is_set()

    async def wait_synced(self) -> None:
        """Returns when the first list is in the store."""
        await self._synced.wait()

    @property
    def silent_seconds(self) -> float:
        """How long ago a list, an event or a bookmark came; two minutes are normal where nothing happens."""
        return time.monotonic() - self._heard_monotonic

    def observe(self, answer: KubeObject) -> None:
        """Feeds the answer to one of our own writes into the store, so that the next read shows it."""
        self.store.observe(self._options.transform(answer))

    def observe_deleted(self, uid: str) -> None:
        """Feeds the answer to one of our own deletes, one that left nothing behind, into the store."""
        self.store.observe_deleted(uid)

    async def run(self) -> None:
        """Lists and watches until cancelled."""
        cause = "start"
        while True:
            try:
                await self._list(cause)
                cause = await self._watch_until_list()
                await self._pause()
            except KubeError as failure:
                cause = "error"
                await self._pause_after(failure, "list")

    async def _list(self, cause: str) -> None:
        selection = self.selection
        items: list[KubeObject] = []
        version = 0
        pages = self._client.pages(selection.resource, selection.namespace, label_selector=selection.label_selector)
        async for page in pages:
            items += map(self._options.transform, page.items)
            version = int(page.resource_version)
            self._heard()
        self.store.list_arrived(items, version)
        self._metrics.lists.labels(selection.resource.plural, cause).inc()
        self._listed_monotonic = time.monotonic()
        self._synced.set()
        self._guarded(self._on_list)

    async def _watch_until_list(self) -> str:
        """Watches on and on; returns why a new list is due."""
        while time.monotonic() - self._listed_monotonic < self._options.heal_seconds:
            try:
                await self._watch()
                self._failures = 0
                self._watch_ended("timeout")
            except GoneError:
                self._watch_ended("gone")
                return "gone"
            except WatchStalledError as silence:
                self._watch_ended("stalled")
                logger.warning("%s; watching again", silence)
            except UnreachableError as cut:
                self._watch_ended("cut")
                await self._pause_after(cut, "watch")
            except ApiError as refusal:
                self._watch_ended("refused")
                await self._pause_after(refusal, "watch")
        return "heal"

    async def _watch(self) -> None:
        selection = self.selection
        events = self._client.watch(
            selection.resource,
            selection.namespace,
            resource_version=str(self.store.seen),
            timeout_seconds=self._chance.randint(*self._options.watch_seconds),
            label_selector=selection.label_selector,
        )
        async with aclosing(events):
            async for event in events:
                self._heard()
                self._failures = 0
                self._metrics.watch_events.labels(selection.resource.plural, event.type).inc()
                self._deliver(event)

    def _deliver(self, event: WatchEvent) -> None:
        if event.type is WatchEventType.BOOKMARK:
            self.store.bookmark_arrived(int(event.resource_version))
        else:
            item = self._options.transform(event.object)
            self.store.event_arrived(item, deleted=event.type is WatchEventType.DELETED)

    def _changed(self, old: KubeObject | None, new: KubeObject | None) -> None:
        self._metrics.cached_objects.labels(self.selection.resource.plural).set(len(self.store))
        self._guarded(lambda: self._on_change(old, new))

    def _guarded(self, callback: Callable[[], None]) -> None:
        """A callback that raises must cost neither the store its order nor the other objects their news."""
        try:
            callback()
        except Exception:
            self._metrics.callback_errors.labels(self.selection.resource.plural).inc()
            logger.exception("A callback of the %s informer failed", self.selection.resource.plural)

    def _heard(self) -> None:
        self._heard_monotonic = time.monotonic()

    def _watch_ended(self, cause: str) -> None:
        self._metrics.watch_ends.labels(self.selection.resource.plural, cause).inc()

    async def _pause_after(self, failure: KubeError, activity: str) -> None:
        # The first of a row is worth a line; the rest would only repeat it.
        level = logging.WARNING if self._failures == 0 else logging.DEBUG
        logger.log(level, "Cannot %s %s: %s", activity, self.selection.resource.plural, failure)
        asked_seconds = failure.retry_after_seconds if isinstance(failure, ApiError) else None
        await self._pause(asked_seconds or 0.0)

    async def _pause(self, at_least_seconds: float = 0.0) -> None:
        drawn_seconds = self._options.backoff.draw_seconds(self._failures, self._chance)
        self._failures += 1
        await asyncio.sleep(at_least_seconds + drawn_seconds)
