"""What the operator does when nobody asks it to do anything: heal what was deleted, and otherwise rest."""

import time
from collections.abc import Iterable

import pytest

from cluster.audit import AuditEvent
from cluster.cluster import Cluster
from conch.manifests.identity import REPLICA, SLOT
from integration.deployments import Namespace, Object, uids
from integration.operator_under_test import OperatorUnderTest
from integration.waiting import stays, until

pytestmark = pytest.mark.cluster

REST_SECONDS = 120


def mutating_calls(events: Iterable[AuditEvent], operator: OperatorUnderTest, namespace: Namespace) -> list[str]:
    ours = [event for event in events if event.user == operator.user and event.namespace == namespace.name]
    return [f"{event.verb} {event.uri}" for event in ours if event.is_mutating]


def without_place(child: Object) -> dict[str, str]:
    """Labels but for the slot: a slot is only used again when the last pod that held it is gone."""
    labels: dict[str, str] = child["metadata"]["labels"]
    return {key: value for key, value in labels.items() if key not in {SLOT, REPLICA}}


@pytest.mark.agent
@pytest.mark.parametrize(
    "kind",
    ["service", "serviceaccount", "configmap", "controllerrevision", "poddisruptionbudget", "replicaset", "pod"],
)
def test_a_deleted_child_comes_back(namespace: Namespace, kind: str) -> None:
    deployment = namespace.apply("healed")
    deployment.wait_rolled_out()
    (before,) = namespace.get(kind)
    namespace.kubectl("delete", kind, before["metadata"]["name"], "--wait=false")
    (after,) = until(lambda: namespace.get(kind), lambda found: len(found) == 1 and uids(found) != uids([before]), 90)
    assert without_place(after) == without_place(before)
    deployment.wait_rolled_out()


@pytest.mark.agent
def test_an_edited_child_is_put_right(namespace: Namespace) -> None:
    namespace.apply("edited").wait_rolled_out()
    patch = '{"spec":{"ports":[{"name":"http","port":8000,"targetPort":"metrics","protocol":"TCP"}]}}'
    namespace.kubectl("patch", "service", "edited", "--type=merge", "--patch", patch)

    def ports() -> list[str]:
        return [port["targetPort"] for port in namespace.get("service")[0]["spec"]["ports"]]

    until(ports, lambda found: found == ["http", "grpc", "metrics"], 20)


@pytest.mark.agent
def test_the_same_manifest_again_changes_nothing(
    cluster: Cluster, operator: OperatorUnderTest, namespace: Namespace
) -> None:
    deployment = namespace.apply("same")
    version = deployment.wait_rolled_out()["metadata"]["resourceVersion"]
    log = cluster.audit()
    mark = log.mark()
    deployment.edit()
    stays(lambda: deployment.read()["metadata"]["resourceVersion"], lambda seen: seen == version, 5)
    assert mutating_calls(log.since(mark), operator, namespace) == []


@pytest.mark.agent
@pytest.mark.timeout(REST_SECONDS + 180)
def test_at_rest_nothing_is_written(cluster: Cluster, operator: OperatorUnderTest, namespace: Namespace) -> None:
    namespace.apply("resting", replicas=2).wait_rolled_out()
    log = cluster.audit()
    mark = log.mark()
    time.sleep(REST_SECONDS)
    assert mutating_calls(log.since(mark), operator, namespace) == []


@pytest.mark.agent
def test_a_namesake_of_somebody_else_is_left_alone(namespace: Namespace) -> None:
    namespace.kubectl("create", "service", "clusterip", "taken", "--tcp=80:80")
    before = namespace.kubectl("get", "service", "taken", "--output", "yaml")
    deployment = namespace.apply("taken")
    stalled = deployment.wait_for("Stalled", seconds=30)
    assert stalled["reason"] == "NameConflict"
    assert "kubectl delete service" in stalled["message"]
    assert namespace.kubectl("get", "service", "taken", "--output", "yaml") == before
    namespace.kubectl("delete", "service", "taken")
    deployment.edit(replicas=2)  # the operator cannot watch what is not its own; a change makes it look
    deployment.wait_rolled_out()
