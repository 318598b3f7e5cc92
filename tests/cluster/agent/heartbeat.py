"""Registers a node and keeps it alive: its Lease every ten seconds, its status every few minutes."""

import asyncio
import logging
from datetime import UTC, datetime
from typing import Final

import aiohttp

from cluster.agent.api import APPLY, STRATEGIC, Api, ApiError
from cluster.agent.node import NodeSpec, node_object, node_status
from cluster.agent.objects import micro_timestamp

_LEASE_SECONDS: Final = 40
_RENEW_SECONDS: Final = 10.0
_STATUS_EVERY: Final = 30
_RETRY_SECONDS: Final = 1.0
_EXISTS: Final = 409
_log = logging.getLogger(__name__)


class Heartbeat:
    """One node's. Cancelling `run` is what the control plane sees as the node's death."""

    def __init__(self, api: Api, spec: NodeSpec) -> None:
        self._api = api
        self._spec = spec

    async def run(self) -> None:
        """For ever; an API server that is away does not end it."""
        since = datetime.now(UTC)
        registered, beat = False, 0
        while True:
            try:
                if not registered:
                    await self._register()
                if not registered or beat % _STATUS_EVERY == 0:
                    await self._report(since)
                registered = True
                await self._renew()
                beat += 1
                await asyncio.sleep(_RENEW_SECONDS)
            except (ApiError, aiohttp.ClientError, TimeoutError) as error:
                _log.warning("node %s: %s", self._spec.name, error)
                # A node that somebody deleted registers anew, as a kubelet does when it is restarted.
                registered = registered and not (isinstance(error, ApiError) and error.code == 404)
                await asyncio.sleep(_RETRY_SECONDS)

    async def _register(self) -> None:
        try:
            await self._api.create("/api/v1/nodes", node_object(self._spec))
        except ApiError as error:
            if error.code != _EXISTS:
                raise

    async def _report(self, since: datetime) -> None:
        status = node_status(self._spec, since, datetime.now(UTC))
        await self._api.patch(f"/api/v1/nodes/{self._spec.name}/status", {"status": status}, STRATEGIC)

    async def _renew(self) -> None:
        name = self._spec.name
        lease = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": name, "namespace": "kube-node-lease"},
            "spec": {
                "holderIdentity": name,
                "leaseDurationSeconds": _LEASE_SECONDS,
                "renewTime": micro_timestamp(datetime.now(UTC)),
            },
        }
        path = f"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{name}"
        await self._api.patch(path, lease, APPLY, fieldManager=name, force="true")
