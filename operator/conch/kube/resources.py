"""Kinds of object, and where the API server keeps them.

A `Resource` is a value, so it can be compared, hashed and used as a metric label. Only kinds of Kubernetes itself are
named here; a custom resource is named by the code that defines it.
"""

from dataclasses import dataclass
from typing import Any, Final

KubeObject = dict[str, Any]
"""An object as decoded from the API server's JSON, or one to be sent."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind of object in one version of its API group; the core group's name is empty."""

    group: str
    version: str
    plural: str
    kind: str

    @property
    def api_version(self) -> str:
        """What objects carry as `apiVersion`, such as `v1` or `apps/v1`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """The URL path of one object, or of all of them when no name is given, in one namespace or in every one."""
        parts = ["apis", self.group, self.version] if self.group else ["api", self.version]
        if namespace is not None:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        parts += [part for part in (name, subresource) if part is not None]
        return "/" + "/".join(parts)


CONFIG_MAP: Final = Resource("", "v1", "configmaps", "ConfigMap")
CONTROLLER_REVISION: Final = Resource("apps", "v1", "controllerrevisions", "ControllerRevision")
EVENT: Final = Resource("events.k8s.io", "v1", "events", "Event")
LEASE: Final = Resource("coordination.k8s.io", "v1", "leases", "Lease")
NAMESPACE: Final = Resource("", "v1", "namespaces", "Namespace")
NODE: Final = Resource("", "v1", "nodes", "Node")
POD: Final = Resource("", "v1", "pods", "Pod")
POD_DISRUPTION_BUDGET: Final = Resource("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget")
REPLICA_SET: Final = Resource("apps", "v1", "replicasets", "ReplicaSet")
SERVICE: Final = Resource("", "v1", "services", "Service")
SERVICE_ACCOUNT: Final = Resource("", "v1", "serviceaccounts", "ServiceAccount")
