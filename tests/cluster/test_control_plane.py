"""The control plane is a real one: it refuses what a real one refuses, and cleans up as a real one does."""

import json
from typing import Any

import pytest

from cluster import binaries
from cluster.cluster import Cluster
from cluster.failure import ClusterFailure


def apply(cluster: Cluster, *objects: dict[str, Any]) -> str:
    return cluster.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))


def pod(namespace: str, **security_context: Any) -> dict[str, Any]:
    container = {"name": "main", "image": "example.invalid/none", "securityContext": security_context}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "candidate", "namespace": namespace},
        # For a scheduler that does not exist: this is about admission alone.
        "spec": {"schedulerName": "nobody", "containers": [container]},
    }


RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def test_version_is_the_pinned_one(local_cluster: Cluster) -> None:
    version = json.loads(local_cluster.kubectl("version", "--output=json"))
    assert version["serverVersion"]["gitVersion"] == version["clientVersion"]["gitVersion"]
    assert version["serverVersion"]["gitVersion"] == binaries.kubernetes_version()


def test_pod_security_refuses_root_under_restricted(cluster: Cluster, namespace: str) -> None:
    cluster.kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    with pytest.raises(ClusterFailure, match="violates PodSecurity"):
        apply(cluster, pod(namespace, runAsUser=0))
    assert "created" in apply(cluster, pod(namespace, **RESTRICTED))


def test_rbac_refuses_what_nobody_granted(cluster: Cluster, namespace: str) -> None:
    account = f"system:serviceaccount:{namespace}:default"
    with pytest.raises(ClusterFailure, match="Forbidden"):
        cluster.kubectl("get", "secrets", "--namespace", namespace, "--as", account)
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "viewer", "namespace": namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "admin"},
        "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": namespace}],
    }
    apply(cluster, role)
    assert cluster.kubectl("get", "secrets", "--namespace", namespace, "--as", account) == ""


def test_garbage_collector_follows_owner_references(cluster: Cluster, namespace: str) -> None:
    cluster.kubectl("create", "configmap", "owner", "--namespace", namespace)
    uid = cluster.kubectl("get", "configmap", "owner", "--namespace", namespace, "-o", "jsonpath={.metadata.uid}")
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid}
    metadata = {"name": "owned", "namespace": namespace, "ownerReferences": [owner]}
    apply(cluster, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})
    cluster.kubectl("delete", "configmap", "owner", "--namespace", namespace)
    cluster.kubectl("wait", "--for=delete", "configmap/owned", "--namespace", namespace, "--timeout=20s")


def test_owner_references_need_permission_on_the_owner(local_cluster: Cluster, namespace: str) -> None:
    """OwnerReferencesPermissionEnforcement: `blockOwnerDeletion` needs `update` on the owner's finalizers."""
    local_cluster.kubectl(
        "create", "role", "writer", "--verb=get,create,patch", "--resource=configmaps", "-n", namespace
    )
    local_cluster.kubectl("create", "rolebinding", "writer", "--role=writer", "--user=stranger", "-n", namespace)
    local_cluster.kubectl("create", "configmap", "owner", "-n", namespace)
    uid = local_cluster.kubectl("get", "configmap", "owner", "-n", namespace, "-o", "jsonpath={.metadata.uid}")
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid, "blockOwnerDeletion": True}
    metadata = {"name": "owned", "namespace": namespace, "ownerReferences": [owner]}
    owned = json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})
    with pytest.raises(ClusterFailure, match="cannot set blockOwnerDeletion"):
        local_cluster.kubectl("create", "-f", "-", "--as=stranger", stdin=owned)
