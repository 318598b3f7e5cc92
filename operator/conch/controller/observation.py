"""What is: one LLMDeployment with its children, as the caches hold them at one moment."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from conch.manifests.identity import UID, Identity, Manifest
from conch.rollout.fleet import Observed


@dataclass(frozen=True, slots=True)
class Observation:
    """A resource and its children by kind. Children of other owners are not here, whatever their labels say."""

    resource: Observed
    children: Mapping[str, tuple[Observed, ...]] = field(default_factory=dict)

    @property
    def identity(self) -> Identity:
        """Which resource this is."""
        metadata = self.resource["metadata"]
        return Identity(metadata["name"], metadata["namespace"], metadata["uid"])

    @property
    def generation(self) -> int:
        """The generation of the spec."""
        generation: int = self.resource["metadata"].get("generation", 0)
        return generation

    @property
    def is_being_deleted(self) -> bool:
        """Whether the garbage collector has taken over."""
        return "deletionTimestamp" in self.resource["metadata"]

    def of(self, kind: str) -> tuple[Observed, ...]:
        """The children of one kind."""
        return self.children.get(kind, ())

    def child(self, manifest: Manifest) -> Observed | None:
        """The observed twin of a rendered child."""
        name = manifest["metadata"]["name"]
        return next((child for child in self.of(manifest["kind"]) if child["metadata"]["name"] == name), None)


def owned(candidates: Iterable[Mapping[str, Any]], identity: Identity) -> tuple[Observed, ...]:
    """Those of which the resource is the controller."""
    return tuple(child for child in candidates if controller_uid(child) == identity.uid)


def controller_uid(child: Mapping[str, Any]) -> str | None:
    """The UID of the object that controls a child."""
    for owner in child["metadata"].get("ownerReferences", ()):
        if owner.get("controller"):
            uid: str = owner["uid"]
            return uid
    return None


def deployment_uid(child: Mapping[str, Any]) -> str | None:
    """The UID of the LLMDeployment that a child's label names: the key by which caches find it."""
    uid: str | None = child["metadata"].get("labels", {}).get(UID)
    return uid
