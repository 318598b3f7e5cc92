"""Names, labels, selectors and ownership of everything Conch creates: the only home of these strings.

Selectors carry the UID of the resource and the slot, never version or revision: they can never be changed later, and
a pod of a recreated namesake is never taken for one of ours.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from conch.api.deployment import API_VERSION, GROUP, KIND

Manifest = dict[str, Any]

PREVIEW_UID: Final = "00000000-0000-0000-0000-000000000000"

MANAGED_BY: Final = "app.kubernetes.io/managed-by"
UID: Final = f"{GROUP}/uid"
NAME: Final = f"{GROUP}/name"
REVISION: Final = f"{GROUP}/revision"
SLOT: Final = f"{GROUP}/slot"
REPLICA: Final = f"{GROUP}/replica"
RANK: Final = f"{GROUP}/rank"
LEADER: Final = f"{GROUP}/leader"
SERVING: Final = f"{GROUP}/serving"

APPLIED: Final = f"{GROUP}/applied"
"""Annotation: hash of the manifest as Conch last rendered it."""
RECORD: Final = f"{GROUP}/record"
"""Annotation of a slot's ReplicaSet: all of its revision that the pod template does not say."""
SERVED: Final = f"{GROUP}/served"
"""Annotation of a ControllerRevision: an engine of it has served."""
ROLLED_OUT: Final = f"{GROUP}/rolled-out"
"""Annotation of a ControllerRevision: it was fully rolled out since it was last asked for."""
DRAINING_SINCE: Final = f"{GROUP}/draining-since"
"""Annotation of a pod: when it was taken out of service."""

SELECT_MANAGED: Final = f"{MANAGED_BY}=conch"
"""Label selector of everything Conch creates, in every namespace."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Which LLMDeployment a manifest belongs to."""

    name: str
    namespace: str
    uid: str


@dataclass(frozen=True, slots=True, order=True)
class Slot:
    """The place of one engine: its replica and its rank inside the replica."""

    replica: int
    rank: int

    def __str__(self) -> str:
        return f"{self.replica}-{self.rank}"


def labels(identity: Identity) -> dict[str, str]:
    """Labels of every child."""
    return {
        "app.kubernetes.io/name": "llmdeployment",
        "app.kubernetes.io/instance": identity.name,
        "app.kubernetes.io/part-of": "conch",
        MANAGED_BY: "conch",
        NAME: identity.name,
        UID: identity.uid,
    }


def slot_labels(slot: Slot) -> dict[str, str]:
    """Labels that tell one slot's pod from another's. One pod per replica is its leader, for scalers to count."""
    return {
        SLOT: str(slot),
        REPLICA: str(slot.replica),
        RANK: str(slot.rank),
        LEADER: "true" if slot.rank == 0 else "false",
    }


def serving_selector(identity: Identity) -> dict[str, str]:
    """Selects the pods that take requests: all but those that drain."""
    return {UID: identity.uid, SERVING: "true"}


def slot_selector(identity: Identity, slot: Slot) -> dict[str, str]:
    """Selects the one pod of a slot."""
    return {UID: identity.uid, SLOT: str(slot)}


def scale_selector(identity: Identity) -> str:
    """Selects one pod per replica, as the scale subresource wants it."""
    return f"{UID}={identity.uid},{LEADER}=true"


def metadata(identity: Identity, name: str, annotations: Mapping[str, str] | None = None) -> Manifest:
    """Metadata of a child that is owned by the resource and goes with it."""
    return {
        "name": name,
        "namespace": identity.namespace,
        "labels": labels(identity),
        **({"annotations": dict(annotations)} if annotations else {}),
        **({"ownerReferences": [owner_reference(identity)]} if identity.uid != PREVIEW_UID else {}),
    }


def owner_reference(identity: Identity) -> Manifest:
    """The controller reference of every child; deleting the resource in the foreground waits for the child."""
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "name": identity.name,
        "uid": identity.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def service_name(identity: Identity) -> str:
    """The Service that clients use carries the name of the resource."""
    return identity.name


def service_account_name(identity: Identity) -> str:
    """Not the bare name: a resource called 'default' must not meet the namespace's own ServiceAccount."""
    return f"{identity.name}-engine"


def disruption_budget_name(identity: Identity) -> str:
    """The PodDisruptionBudget carries the name of the resource."""
    return identity.name


def revision_name(identity: Identity, revision_hash: str) -> str:
    """A revision's ControllerRevision and its ConfigMap."""
    return f"{identity.name}-{revision_hash}"


def slot_name(identity: Identity, slot: Slot) -> str:
    """A slot's ReplicaSet."""
    return f"{identity.name}-{slot}"
