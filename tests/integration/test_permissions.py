"""The operator's rights: exactly those it uses, witnessed by the audit log over a whole life of a resource."""

import json
from collections.abc import Iterator

import pytest

from cluster.audit import AuditEvent
from cluster.cluster import Cluster
from integration.deployments import Deployment, Namespace, uids
from integration.operator_under_test import OperatorUnderTest
from integration.waiting import until

pytestmark = [pytest.mark.cluster, pytest.mark.agent]

Right = tuple[str, str, str]
"""API group, resource with subresource, verb."""

FINALIZERS: Right = ("conch.dev", "llmdeployments/finalizers", "update")
"""Asked for by the admission plugin OwnerReferencesPermissionEnforcement, which leaves no trace in the audit log."""


def granted(cluster: Cluster) -> set[Right]:
    role = json.loads(cluster.kubectl("get", "clusterrole", "conch", "--output", "json"))
    return {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def used(cluster: Cluster, operator: OperatorUnderTest) -> Iterator[Right]:
    assert operator.mark is not None
    for event in cluster.audit().since(operator.mark):
        if event.user == operator.user and event.resource:
            resource = "/".join(filter(None, (event.resource, event.subresource)))
            yield event.group, resource, event.verb
            if event.verb == "patch" and event.code == 201:  # server-side apply of a new object is allowed as both
                yield event.group, resource, "create"


def is_unauthorized(event: AuditEvent) -> bool:
    """Refused by RBAC; a namespace that is being deleted answers 403 too."""
    decision = event.record.get("annotations", {}).get("authorization.k8s.io/decision")
    return bool(decision == "forbid")


def wait_scaled_to_zero(deployment: Deployment) -> None:
    until(lambda: deployment.condition("Ready"), lambda seen: seen.get("reason") == "ScaledToZero", 60)


def strip_and_wait(namespace: Namespace, kind: str) -> None:
    """Takes away the label by which the operator's cache selects; it has to look whose the object is."""
    name = namespace.get(kind)[0]["metadata"]["name"]
    namespace.kubectl("label", kind, name, "app.kubernetes.io/managed-by-")
    until(lambda: {child["metadata"]["name"] for child in namespace.get(kind)}, lambda names: name in names, 20)


def take_the_name_of_a_slot(namespace: Namespace, deployment: Deployment) -> None:
    """Somebody else's ReplicaSet stands where the operator wants to make one; then it goes."""
    labels = {"app": "somebody-else"}
    other = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": f"{deployment.name}-0-0"},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "x", "image": "x"}]}},
        },
    }
    namespace.kubectl("create", "--filename", "-", stdin=json.dumps(other))
    namespace.kubectl("scale", f"llmdeployment/{deployment.name}", "--replicas=1")
    stalled = deployment.wait_for("Stalled", seconds=20)
    assert stalled["reason"] == "NameConflict"
    namespace.kubectl("delete", "replicaset", f"{deployment.name}-0-0")
    namespace.kubectl("scale", f"llmdeployment/{deployment.name}", "--replicas=0")
    wait_scaled_to_zero(deployment)


def live_a_whole_life(operator: OperatorUnderTest, namespace: Namespace) -> None:
    """Creation, labels stripped, a scale-down, an orphaned pod, many revisions, an event told again."""
    deployment = namespace.apply("life", replicas=2)
    deployment.wait_rolled_out()
    for kind in ("service", "serviceaccount", "configmap", "controllerrevision", "poddisruptionbudget", "replicaset"):
        strip_and_wait(namespace, kind)
    deployment.edit(replicas=1).wait_rolled_out()
    (replica_set,) = until(lambda: namespace.get("replicaset"), lambda found: len(found) == 1, 30)
    orphan = uids(deployment.pods())
    namespace.kubectl("delete", "replicaset", replica_set["metadata"]["name"], "--cascade=orphan")
    until(lambda: uids(deployment.pods()), lambda seen: bool(seen) and not seen & orphan, 90)
    for length in range(1000, 1012):
        deployment = deployment.edit(replicas=0, engine={"maxModelLength": length})
        wait_scaled_to_zero(deployment)
    until(lambda: len(namespace.get("controllerrevision")), lambda count: count == 10, 20)
    take_the_name_of_a_slot(namespace, deployment)
    operator.stop()
    operator.start()
    empty = '{"status": {"conditions": [], "observedGeneration": -1}}'
    namespace.kubectl("patch", "llmdeployment", "life", "--subresource=status", "--type=merge", "--patch", empty)
    wait_scaled_to_zero(deployment)


@pytest.mark.timeout(600)
def test_granted_equals_used(cluster: Cluster, operator: OperatorUnderTest, namespace: Namespace) -> None:
    live_a_whole_life(operator, namespace)
    until(lambda: granted(cluster) - set(used(cluster, operator)), lambda rest: rest <= {FINALIZERS}, 30)
    assert set(used(cluster, operator)) <= granted(cluster)


def test_nothing_was_refused(cluster: Cluster, operator: OperatorUnderTest) -> None:
    assert operator.mark is not None
    events = cluster.audit().since(operator.mark)
    refused = [event.uri for event in events if event.user == operator.user and is_unauthorized(event)]
    assert refused == []


def test_the_finalizers_rule_is_needed(cluster: Cluster, operator: OperatorUnderTest, namespace: Namespace) -> None:
    """Where the admission plugin is on (OpenShift turns it on), no child can be created without it."""
    role = json.loads(cluster.kubectl("get", "clusterrole", "conch", "--output", "json"))
    without = [rule for rule in role["rules"] if "llmdeployments/finalizers" not in rule["resources"]]
    assert len(without) == len(role["rules"]) - 1
    patch = json.dumps({"rules": without})
    cluster.kubectl("patch", "clusterrole", "conch", "--type=merge", "--patch", patch)
    mark = cluster.audit().mark()
    try:
        namespace.apply("refused")

        def refusals() -> list[str]:
            events = cluster.audit().since(mark)
            return [event.uri for event in events if event.user == operator.user and event.code == 403]

        until(refusals, bool, 20, every_seconds=1)
        assert namespace.get("service") == []
    finally:
        cluster.kubectl(
            "patch", "clusterrole", "conch", "--type=merge", "--patch", json.dumps({"rules": role["rules"]})
        )
    until(lambda: namespace.get("service"), bool, 60)
