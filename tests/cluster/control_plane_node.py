"""The Node that kube-proxy runs on: kube-proxy will not start without one.

No kubelet stands behind it, so nothing can be scheduled there; its Lease is renewed here to keep it healthy.
"""

from datetime import UTC, datetime
from typing import Any, Final

import aiohttp

from cluster import network
from cluster.components import CONTROL_PLANE_NODE

RENEW_SECONDS: Final = 10.0
_LEASE_SECONDS: Final = 40
_LEASE_URL: Final = f"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{CONTROL_PLANE_NODE}"


async def register(api: aiohttp.ClientSession) -> None:
    """Creates the Node."""
    async with api.post("/api/v1/nodes", json=_node(), raise_for_status=True):
        pass


async def renew(api: aiohttp.ClientSession, now: datetime) -> None:
    """Says that the Node is alive; how it stands with the API server is not its business."""
    lease = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": CONTROL_PLANE_NODE},
        "spec": {
            "holderIdentity": CONTROL_PLANE_NODE,
            "leaseDurationSeconds": _LEASE_SECONDS,
            "renewTime": now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        },
    }
    manner = {"fieldManager": CONTROL_PLANE_NODE, "force": "true"}
    headers = {"Content-Type": "application/apply-patch+yaml"}
    async with api.patch(_LEASE_URL, params=manner, headers=headers, json=lease, raise_for_status=True):
        pass


def _node() -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": CONTROL_PLANE_NODE,
            "labels": {"kubernetes.io/hostname": CONTROL_PLANE_NODE, "node-role.kubernetes.io/control-plane": ""},
        },
        "spec": {"taints": [{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}]},
        "status": {
            "addresses": [{"type": "InternalIP", "address": str(network.CONTROL_PLANE.ip)}],
            # Room for no pod, not even for one that tolerates the taint.
            "capacity": {"pods": "0"},
            "allocatable": {"pods": "0"},
            "conditions": [{"type": "Ready", "status": "True", "reason": "ControlPlane", "message": "runs no pods"}],
        },
    }
