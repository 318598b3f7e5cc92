"""The caches that reconciling reads: the resources, fed by Kopf's watch, and an informer for each kind of child.

Every change of a child names its resource by label; the key of that resource is handed to `on_key`.
"""

import asyncio
from collections.abc import Callable
from typing import Final, NamedTuple

from conch.api.deployment import GROUP, KIND, PLURAL, VERSION
from conch.controller.observation import Observation, deployment_uid, owned
from conch.kube.client import Client
from conch.kube.informer import Informer, InformerOptions, Selection
from conch.kube.metrics import KubeMetrics
from conch.kube.resources import (
    CONFIG_MAP,
    CONTROLLER_REVISION,
    POD,
    POD_DISRUPTION_BUDGET,
    REPLICA_SET,
    SERVICE,
    SERVICE_ACCOUNT,
    KubeObject,
    Resource,
)
from conch.kube.store import Store
from conch.manifests.identity import NAME, SELECT_MANAGED

LLM_DEPLOYMENT: Final = Resource(GROUP, VERSION, PLURAL, KIND)
CHILDREN: Final = {
    resource.kind: resource
    for resource in (
        SERVICE_ACCOUNT,
        CONFIG_MAP,
        CONTROLLER_REVISION,
        SERVICE,
        POD_DISRUPTION_BUDGET,
        REPLICA_SET,
        POD,
    )
}
_BY_DEPLOYMENT: Final = "deployment"


class Key(NamedTuple):
    """Which LLMDeployment to look at."""

    namespace: str
    name: str


class Caches:
    """What is known of all resources and their children."""

    def __init__(self, client: Client, metrics: KubeMetrics, on_key: Callable[[Key], None]) -> None:
        self._on_key = on_key
        self.resources = Store(self._resource_changed)
        self.informers = {
            kind: Informer(
                client,
                Selection(resource, label_selector=SELECT_MANAGED),
                metrics,
                on_change=self._child_changed,
                options=InformerOptions(indexes={_BY_DEPLOYMENT: lambda child: [deployment_uid(child)]}),
            )
            for kind, resource in CHILDREN.items()
        }

    async def wait_synced(self) -> None:
        """Returns when every informer has its first list."""
        await asyncio.gather(*(informer.wait_synced() for informer in self.informers.values()))

    @property
    def silent_seconds(self) -> float:
        """How long the API server has been silent on the quietest watch."""
        return max(informer.silent_seconds for informer in self.informers.values())

    def observe(self, key: Key) -> Observation | None:
        """The resource with its children as they are known now; None when it does not exist."""
        resource = self.resources.get(key.namespace, key.name)
        if resource is None:
            return None
        identity = Observation(resource).identity
        children = {
            kind: [child for child in informer.store.by_index(_BY_DEPLOYMENT, identity.uid) if _is_beside(child, key)]
            for kind, informer in self.informers.items()
        }
        return Observation(
            resource,
            {
                kind: tuple(candidates) if kind == POD.kind else owned(candidates, identity)
                for kind, candidates in children.items()
            },
        )

    def _resource_changed(self, old: KubeObject | None, new: KubeObject | None) -> None:
        changed = new or old
        if changed is not None and not _only_status_differs(old, new):
            self._on_key(Key(changed["metadata"]["namespace"], changed["metadata"]["name"]))

    def _child_changed(self, old: KubeObject | None, new: KubeObject | None) -> None:
        for version in (old, new):
            if version is not None and (name := version["metadata"].get("labels", {}).get(NAME)):
                self._on_key(Key(version["metadata"]["namespace"], name))


def _is_beside(child: KubeObject, key: Key) -> bool:
    """Labels and owner references can name anything; what lies in another namespace is never a child."""
    return bool(child["metadata"]["namespace"] == key.namespace)


def _only_status_differs(old: KubeObject | None, new: KubeObject | None) -> bool:
    """Our own status writes must not wake us; a generation counts every change of the spec."""
    if old is None or new is None or old["metadata"]["uid"] != new["metadata"]["uid"]:
        return False
    told = ("generation", "deletionTimestamp")
    same_spec = all(old["metadata"].get(field) == new["metadata"].get(field) for field in told)
    return same_spec and (old.get("status") == new.get("status") or _is_ours(new))


def _is_ours(resource: KubeObject) -> bool:
    generation: int | None = resource["metadata"].get("generation")
    return bool(resource.get("status", {}).get("observedGeneration") == generation)
