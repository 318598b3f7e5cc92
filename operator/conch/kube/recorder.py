"""Kubernetes events (`kubectl describe`, `kubectl events`) about the objects that Conch looks after.

An event is told once: the same reason and note about the same object is a repeat, which after half an hour raises the
series count of the event instead of making another. The name is a hash of all that, so a restarted operator repeats
nothing either. Telling never delays or fails whoever tells: what cannot be sent is dropped and counted.
"""

import asyncio
import hashlib
import logging
import unicodedata
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from conch.kube.client import Client
from conch.kube.errors import AlreadyExistsError, ApiError, KubeError, NotFoundError
from conch.kube.metrics import KubeMetrics
from conch.kube.resources import EVENT, KubeObject

logger = logging.getLogger(__name__)

_NOTE_BYTES: Final = 1024  # limit of events.k8s.io/v1, in bytes
_NAME_CHARACTERS: Final = 200
_REMEMBERED: Final = 4096
_QUEUED: Final = 256
_REPEAT_AFTER: Final = timedelta(minutes=30)  # an event is kept for an hour


@dataclass(frozen=True, slots=True)
class Happening:
    """What to tell: `action` is what was done or tried, `reason` why, both in CamelCase; `note` is for humans."""

    type: Literal["Normal", "Warning"]
    reason: str
    action: str
    note: str


@dataclass(slots=True)
class _Told:
    """How often something happened so far, and when the API server was last told."""

    count: int
    last: datetime


class Recorder:
    """Tells happenings; `run` sends them. `instance` names this process, usually by its pod."""

    def __init__(
        self,
        client: Client,
        metrics: KubeMetrics,
        *,
        controller: str,
        instance: str,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._client = client
        self._metrics = metrics
        self._controller = controller
        self._instance = instance
        self._now = now
        self._told: OrderedDict[str, _Told] = OrderedDict()
        self._outbox: asyncio.Queue[tuple[str, KubeObject]] = asyncio.Queue(_QUEUED)

    def tell(self, regarding: KubeObject, happening: Happening) -> None:
        """Tells it once. `regarding` needs type, name and UID, and the namespace in which the event shall be."""
        now = self._now()
        note = printable(happening.note)
        digest = _digest(regarding["metadata"]["uid"], happening.reason, note)
        told = self._told.get(digest) or _Told(0, datetime.min.replace(tzinfo=UTC))
        told.count += 1
        if now - told.last < _REPEAT_AFTER:
            self._count("repeated")
            return
        told.last = now
        self._remember(digest, told)
        self._queue(digest, self._event(regarding, happening, note, digest, told))

    async def run(self) -> None:
        """Sends what was told, until cancelled."""
        while True:
            digest, event = await self._outbox.get()
            try:
                await self._send(event)
            except ApiError as refusal:
                self._count("refused")
                logger.debug("Event %s was refused: %s", event["metadata"]["name"], refusal)
            except KubeError as failure:
                self._told.pop(digest, None)  # so that it is sent when it is next told
                self._count("failed")
                logger.debug("Event %s was not recorded: %s", event["metadata"]["name"], failure)

    async def _send(self, event: KubeObject) -> None:
        if "series" in event:
            try:
                await self._raise_count(event, event["series"])
            except NotFoundError:  # the API server forgets events after an hour
                await self._create(event)
            return
        try:
            await self._create(event)
        except AlreadyExistsError:  # told before this process started
            await self._raise_count(event, {"count": 2, "lastObservedTime": event["eventTime"]})

    async def _create(self, event: KubeObject) -> None:
        await self._client.create(EVENT, event)
        self._count("created")

    async def _raise_count(self, event: KubeObject, series: KubeObject) -> None:
        metadata = event["metadata"]
        await self._client.merge_patch(EVENT, metadata["namespace"], metadata["name"], {"series": series})
        self._count("counted")

    def _event(self, regarding: KubeObject, happening: Happening, note: str, digest: str, told: _Told) -> KubeObject:
        metadata = regarding["metadata"]
        moment = micro_time(told.last)
        reference = {
            "apiVersion": regarding["apiVersion"],
            "kind": regarding["kind"],
            "namespace": metadata.get("namespace"),
            "name": metadata["name"],
            "uid": metadata["uid"],
        }
        event = {
            "apiVersion": EVENT.api_version,
            "kind": EVENT.kind,
            "metadata": {
                "name": _event_name(metadata["name"], digest),
                "namespace": metadata.get("namespace", "default"),
            },
            "eventTime": moment,
            "type": happening.type,
            "reason": happening.reason,
            "action": happening.action,
            "note": note,
            "regarding": {name: value for name, value in reference.items() if value is not None},
            "reportingController": self._controller,
            "reportingInstance": self._instance,
        }
        return event | ({"series": {"count": told.count, "lastObservedTime": moment}} if told.count > 1 else {})

    def _remember(self, digest: str, told: _Told) -> None:
        self._told[digest] = told
        self._told.move_to_end(digest)
        if len(self._told) > _REMEMBERED:
            self._told.popitem(last=False)

    def _queue(self, digest: str, event: KubeObject) -> None:
        try:
            self._outbox.put_nowait((digest, event))
        except asyncio.QueueFull:
            self._told.pop(digest, None)
            self._count("dropped")

    def _count(self, outcome: str) -> None:
        self._metrics.recorded_events.labels(outcome).inc()


def printable(note: str) -> str:
    """The note in at most 1024 bytes of UTF-8, cut between characters, with control characters made spaces."""
    clean = "".join(" " if unicodedata.category(character) in {"Cc", "Cs"} else character for character in note)
    raw = clean.strip().encode()
    if len(raw) <= _NOTE_BYTES:
        return raw.decode()
    ellipsis = "…".encode()
    return raw[: _NOTE_BYTES - len(ellipsis)].decode(errors="ignore") + "…"


def micro_time(moment: datetime) -> str:
    """RFC 3339 with microseconds, as `metav1.MicroTime` wants it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _event_name(name: str, digest: str) -> str:
    """At most 253 characters, whatever the object's name."""
    return f"{name[:_NAME_CHARACTERS].rstrip('-.')}.{digest}"


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
