"""The fleet of one LLMDeployment: its slots as the rollout sees them, folded from observed ReplicaSets and pods.

A slot is held as long as a ReplicaSet or a pod of it exists, terminating ones included: a pod that drains still has
its GPUs.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from conch.manifests.identity import DRAINING_SINCE, RANK, REPLICA, REVISION, SERVING, Slot

Observed = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Owner:
    """The ReplicaSet that a pod names as its controller."""

    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class SlotView:
    """One held slot.

    `leaving`: nothing but its end is left; it serves nothing and holds GPUs until its last pod is gone.
    `orphan`: a pod without ReplicaSet that nobody will remove; it may still serve.
    `draining_since`: when it was taken out of the Service, if it was.
    `unseen_set`: the ReplicaSet that controls its living pod but is not seen: deleted, or stripped of its labels.
    """

    slot: Slot
    revision: str
    ready: bool = False
    draining_since: datetime | None = None
    leaving: bool = False
    orphan: bool = False
    unseen_set: Owner | None = None

    @property
    def serves(self) -> bool:
        """Whether clients are sent to it now."""
        return self.ready and self.draining_since is None and not self.leaving


def fleet(replica_sets: Iterable[Observed], pods: Iterable[Observed]) -> tuple[SlotView, ...]:
    """The held slots in order of their index. Children without the labels of a slot are not slots."""
    sets = {slot: child for child in replica_sets if (slot := slot_of(child)) is not None}
    pods_by_slot: dict[Slot, list[Observed]] = {}
    for pod in pods:
        slot = slot_of(pod)
        if slot is not None and not is_finished(pod) and not _belongs_to_another_controller(pod):
            pods_by_slot.setdefault(slot, []).append(pod)
    return tuple(
        _view(slot, sets.get(slot), pods_by_slot.get(slot, [])) for slot in sorted(sets.keys() | pods_by_slot.keys())
    )


def slot_of(child: Observed) -> Slot | None:
    """The slot that a ReplicaSet or a pod belongs to, by its labels."""
    labels = child["metadata"].get("labels", {})
    try:
        return Slot(int(labels[REPLICA]), int(labels[RANK]))
    except (KeyError, ValueError):
        return None


def is_terminating(child: Observed) -> bool:
    """Whether the object was deleted and only waits for its end."""
    return "deletionTimestamp" in child["metadata"]


def is_finished(pod: Observed) -> bool:
    """Whether the pod has ended for good and holds no GPUs; its ReplicaSet makes another."""
    return pod.get("status", {}).get("phase") in ("Failed", "Succeeded")


def is_ready(pod: Observed) -> bool:
    """Whether the pod's readiness probe answers."""
    conditions = pod.get("status", {}).get("conditions", [])
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def _view(slot: Slot, replica_set: Observed | None, pods: list[Observed]) -> SlotView:
    alive = [pod for pod in pods if not is_terminating(pod)]
    has_set = replica_set is not None and not is_terminating(replica_set)
    orphan = not has_set and any(_controller(pod) is None for pod in alive)
    holder = replica_set if replica_set is not None else pods[0]
    return SlotView(
        slot=slot,
        revision=holder["metadata"]["labels"].get(REVISION, ""),
        ready=any(is_ready(pod) for pod in alive),
        draining_since=_draining_since(alive),
        leaving=not has_set and not orphan,
        orphan=orphan,
        unseen_set=_replica_set_of(alive) if replica_set is None else None,
    )


def _controller(pod: Observed) -> Mapping[str, Any] | None:
    owners: Iterable[Mapping[str, Any]] = pod["metadata"].get("ownerReferences", ())
    return next((owner for owner in owners if owner.get("controller")), None)


def _belongs_to_another_controller(pod: Observed) -> bool:
    """Pods of a StatefulSet or a Job are nobody's slot, whatever labels they copied."""
    controller = _controller(pod)
    return controller is not None and controller.get("kind") != "ReplicaSet"


def _replica_set_of(pods: list[Observed]) -> Owner | None:
    controllers = [controller for pod in pods if (controller := _controller(pod)) is not None]
    return Owner(controllers[0].get("name", ""), controllers[0].get("uid", "")) if controllers else None


def _draining_since(pods: list[Observed]) -> datetime | None:
    for pod in pods:
        metadata = pod["metadata"]
        if metadata.get("labels", {}).get(SERVING) != "true":
            return _moment(metadata.get("annotations", {}).get(DRAINING_SINCE)) or _moment(
                metadata["creationTimestamp"]
            )
    return None


def _moment(stamp: str | None) -> datetime | None:
    """The moment that an annotation holds, None where somebody wrote something else there."""
    try:
        moment = datetime.fromisoformat(stamp or "")
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None
