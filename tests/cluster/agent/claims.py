"""A provisioner of folders: claims of its StorageClass get a volume on this machine, and lose it when they go.

The class is the cluster's default one. Binding is the control plane's own work.
"""

import asyncio
import logging
import shutil
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, Final

import aiohttp

from cluster.agent.api import Api, ApiError
from cluster.agent.objects import Object, uid
from cluster.agent.watch import Change, Follower

PROVISIONER: Final = "agent.conch.test/folder"
_CLASS: Final[Object] = {
    "apiVersion": "storage.k8s.io/v1",
    "kind": "StorageClass",
    "metadata": {"name": "folder", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
    "provisioner": PROVISIONER,
    "reclaimPolicy": "Delete",
    "volumeBindingMode": "Immediate",
}
_RETRY_SECONDS: Final = 1.0
_DONE: Final = (404, 409)
_log = logging.getLogger(__name__)


class Claims:
    """Serves claims from folders below `root`."""

    def __init__(self, api: Api, root: Path) -> None:
        self._api = api
        self._root = root
        self._work: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """For ever."""
        await _insist(lambda: self._api.create("/apis/storage.k8s.io/v1/storageclasses", _CLASS))
        async with asyncio.TaskGroup() as group:
            group.create_task(Follower(self._api, "/api/v1/persistentvolumeclaims", self._claim_changed).run())
            group.create_task(Follower(self._api, "/api/v1/persistentvolumes", self._volume_changed).run())

    def _claim_changed(self, change: Change, claim: Object) -> None:
        asked_of = (claim["metadata"].get("annotations") or {}).get("volume.kubernetes.io/storage-provisioner")
        if change != "DELETED" and asked_of == PROVISIONER and not claim["spec"].get("volumeName"):
            volume = self._volume(claim)
            self._start(_insist(lambda: self._api.create("/api/v1/persistentvolumes", volume)))

    def _volume_changed(self, change: Change, volume: Object) -> None:
        made_by = (volume["metadata"].get("annotations") or {}).get("pv.kubernetes.io/provisioned-by")
        if change != "DELETED" and made_by == PROVISIONER and volume.get("status", {}).get("phase") == "Released":
            self._start(self._remove(volume))

    async def _remove(self, volume: Object) -> None:
        await asyncio.to_thread(shutil.rmtree, volume["spec"]["hostPath"]["path"], ignore_errors=True)
        path = f"/api/v1/persistentvolumes/{volume['metadata']['name']}"
        await _insist(lambda: self._api.delete(path, {"preconditions": {"uid": uid(volume)}}))

    def _volume(self, claim: Object) -> Object:
        metadata, spec = claim["metadata"], claim["spec"]
        return {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {
                "name": f"pvc-{uid(claim)}",
                "annotations": {"pv.kubernetes.io/provisioned-by": PROVISIONER},
            },
            "spec": {
                "capacity": {"storage": spec["resources"]["requests"]["storage"]},
                "accessModes": spec["accessModes"],
                "persistentVolumeReclaimPolicy": "Delete",
                "storageClassName": spec["storageClassName"],
                "hostPath": {"path": str(self._root / uid(claim))},
                "claimRef": {
                    "apiVersion": "v1",
                    "kind": "PersistentVolumeClaim",
                    "namespace": metadata["namespace"],
                    "name": metadata["name"],
                    "uid": uid(claim),
                },
            },
        }

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._work.add(task)
        task.add_done_callback(self._work.discard)


async def _insist(request: Callable[[], Awaitable[Any]]) -> None:
    """Repeats a request until it is done, or somebody did it before."""
    while True:
        try:
            await request()
            return
        except ApiError as error:
            if error.code in _DONE:
                return
            _log.warning("claims: %s", error)
        except (aiohttp.ClientError, TimeoutError) as error:
            _log.info("claims: %r", error)
        await asyncio.sleep(_RETRY_SECONDS)
