"""Writes one pod's status: only when it has changed, as soon as it has, and never two writes at once."""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import aiohttp

from cluster.agent.api import STRATEGIC, Api, ApiError
from cluster.agent.objects import Object, uid
from cluster.agent.status import OWNED, PodState, pod_status

_RETRY_SECONDS: Final = 0.5
# The pod is gone, or another one has its name.
_OVER: Final = (404, 409)
_log = logging.getLogger(__name__)


class StatusWriter:
    """`state` is asked for the pod's state when a write is due."""

    def __init__(self, api: Api, pod: Object, state: Callable[[], PodState]) -> None:
        metadata = pod["metadata"]
        self._api = api
        self._uid = uid(pod)
        self._path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/status"
        self._state = state
        self._due = asyncio.Event()
        self._written = _known(pod)
        self._forced = False
        self._turn = asyncio.Lock()

    def changed(self) -> None:
        """A write may be due."""
        self._due.set()

    def seen(self, pod: Object) -> None:
        """The object as it is now: conditions of ours that somebody else has written are written again."""
        if _verdicts(pod.get("status", {})) != _verdicts(self._written):
            self._forced = True
            self._due.set()

    async def run(self) -> None:
        """Writes what changes, until cancelled or the pod is gone."""
        while True:
            await self._due.wait()
            self._due.clear()
            if not await self.write():
                return

    async def write(self) -> bool:
        """Writes the current status if it is new. False: the pod is gone."""
        async with self._turn:
            while True:
                status = pod_status(self._state(), self._written, datetime.now(UTC))
                if status == self._written and not self._forced:
                    return True
                try:
                    body = {"metadata": {"uid": self._uid}, "status": _whole_lists(status)}
                    await self._api.patch(self._path, body, STRATEGIC)
                    self._written, self._forced = status, False
                    return True
                except ApiError as error:
                    if error.code in _OVER:
                        return False
                    _log.warning("status of %s: %s", self._path, error)
                except (aiohttp.ClientError, TimeoutError) as error:
                    _log.info("status of %s: %r", self._path, error)
                await asyncio.sleep(_RETRY_SECONDS)


def _whole_lists(status: Object) -> Object:
    """The status as a strategic merge patch, which would add an address to those of an earlier life."""
    replaced: Object = {key: [{"$patch": "replace"}, *status[key]] for key in ("podIPs", "hostIPs") if key in status}
    return {**status, **replaced}


def _verdicts(status: Object) -> dict[str, str]:
    """The conditions that are a node's to write."""
    return {
        condition["type"]: condition["status"]
        for condition in status.get("conditions") or ()
        if condition["type"] in OWNED
    }


def _known(pod: Object) -> Object:
    """What an earlier agent wrote."""
    conditions = pod.get("status", {}).get("conditions") or ()
    return {"conditions": [condition for condition in conditions if condition["type"] in OWNED]}
