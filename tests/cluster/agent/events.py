"""Events of pods as a kubelet writes them: repeated ones are counted, and none holds anybody up."""

import asyncio
import logging
import uuid
from datetime import UTC, datetime
from typing import Final, Literal

import aiohttp

from cluster.agent.api import MERGE, Api, ApiError
from cluster.agent.objects import Object, timestamp, uid

Severity = Literal["Normal", "Warning"]

_REPEAT_SECONDS: Final = 5.0
_KEPT: Final = 5000
_log = logging.getLogger(__name__)


class Events:
    """Written in the background, in order."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._queue: asyncio.Queue[tuple[str, Object]] = asyncio.Queue(maxsize=_KEPT)
        self._written: dict[tuple[str, str, str], tuple[str, int, float]] = {}

    def record(self, pod: Object, severity: Severity, reason: str, message: str) -> None:
        """Tells of something about a pod. More than the queue holds is lost, as on a real node."""
        key, now = (uid(pod), reason, message), asyncio.get_running_loop().time()
        name, count, at = self._written.get(key, ("", 0, -_REPEAT_SECONDS))
        if self._queue.full() or now - at < _REPEAT_SECONDS:
            if name:
                self._written[key] = (name, count + 1, at)
            return
        if len(self._written) > _KEPT:
            self._written.clear()
        path = f"/api/v1/namespaces/{pod['metadata']['namespace']}/events"
        moment = timestamp(datetime.now(UTC))
        if name:
            self._queue.put_nowait((f"{path}/{name}", {"count": count + 1, "lastTimestamp": moment}))
        else:
            name = f"{pod['metadata']['name'][:200]}.{uuid.uuid4().hex[:16]}"
            self._queue.put_nowait((path, _event(pod, name, severity, reason, message, moment)))
        self._written[key] = (name, count + 1, now)

    async def run(self) -> None:
        """Writes what is recorded, for ever."""
        while True:
            path, body = await self._queue.get()
            try:
                if "metadata" in body:
                    await self._api.create(path, body)
                else:
                    await self._api.patch(path, body, MERGE)
            except (ApiError, aiohttp.ClientError, TimeoutError) as error:
                _log.info("event: %s", error)


def _event(pod: Object, name: str, severity: Severity, reason: str, message: str, moment: str) -> Object:
    metadata = pod["metadata"]
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": metadata["namespace"]},
        "involvedObject": {
            "apiVersion": "v1",
            "kind": "Pod",
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "uid": metadata["uid"],
        },
        "reason": reason,
        "message": message,
        "type": severity,
        "count": 1,
        "firstTimestamp": moment,
        "lastTimestamp": moment,
        "source": {"component": "kubelet", "host": pod["spec"].get("nodeName", "")},
        "reportingComponent": "kubelet",
        "reportingInstance": pod["spec"].get("nodeName", ""),
    }
