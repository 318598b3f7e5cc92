"""ReplicaSets and pods as the API server would show them, cut down to what the rollout reads."""

from datetime import UTC, datetime
from typing import Any

from conch.manifests.identity import DRAINING_SINCE, REVISION, SERVING, Slot, slot_labels

NOON = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
Object = dict[str, Any]


def replica_set(slot: Slot, revision: str = "a", *, terminating: bool = False) -> Object:
    return {
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"m-{slot}",
            "labels": {**slot_labels(slot), REVISION: revision},
            **({"deletionTimestamp": NOON.isoformat()} if terminating else {}),
        },
    }


def owner(slot: Slot) -> Object:
    return {"kind": "ReplicaSet", "name": f"m-{slot}", "uid": f"set-m-{slot}", "controller": True}


def pod(
    slot: Slot,
    revision: str = "a",
    *,
    ready: bool = True,
    phase: str = "Running",
    draining_since: datetime | None = None,
    terminating: bool = False,
    controlled: bool = True,
) -> Object:
    """A pod of a slot; `controlled` tells whether a ReplicaSet or the garbage collector will see to it."""
    draining = {"annotations": {DRAINING_SINCE: draining_since.isoformat()}} if draining_since else {}
    return {
        "kind": "Pod",
        "metadata": {
            "name": f"m-{slot}-xyz12",
            "creationTimestamp": NOON.isoformat(),
            "labels": {
                **slot_labels(slot),
                REVISION: revision,
                SERVING: "false" if draining_since else "true",
            },
            **draining,
            **({"ownerReferences": [owner(slot)]} if controlled else {}),
            **({"deletionTimestamp": NOON.isoformat()} if terminating else {}),
        },
        "status": {"phase": phase, "conditions": [{"type": "Ready", "status": "True" if ready else "False"}]},
    }
