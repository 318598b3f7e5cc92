"""The chart before a real API server: what it refuses, what it warns of, and who may do what in the end."""

import json
from collections.abc import Iterator
from uuid import uuid4

import pytest

from chart.rendering import Helm
from cluster.cluster import Cluster
from cluster.failure import ClusterFailure
from integration.waiting import until

pytestmark = pytest.mark.cluster

USER = "chart-test-user"


def test_bundle_is_accepted_in_strict_mode(cluster: Cluster, helm_program: Helm) -> None:
    """As `kubectl apply --server-side` users send it: no field is unknown, none is deprecated."""
    bundle = helm_program.text().replace("namespace: conch-system", "namespace: default")
    arguments = ("apply", "--server-side", "--dry-run=server", "--validate=strict", "--warnings-as-errors")
    applied = cluster.kubectl(*arguments, "--field-manager=chart-test", "--force-conflicts", "-f", "-", stdin=bundle)
    assert len(applied.splitlines()) == 7


def test_pod_meets_the_restricted_standard(cluster: Cluster, helm_program: Helm, namespace: str) -> None:
    cluster.kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    pod = helm_program.render().pod
    del pod["spec"]["serviceAccountName"]
    document = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "operator"}, "spec": pod["spec"]}
    create = ("create", "--dry-run=server", "--namespace", namespace, "--filename", "-")
    assert "pod/operator created" in cluster.kubectl(*create, stdin=json.dumps(document))
    pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
    with pytest.raises(ClusterFailure, match="violates PodSecurity"):
        cluster.kubectl(*create, stdin=json.dumps(document))


@pytest.fixture(scope="module")
def roles(cluster: Cluster, helm_program: Helm) -> Iterator[None]:
    """The chart's roles for users, under names of their own."""
    name = f"chart-test-{uuid4().hex[:8]}"
    text = helm_program.text("--set", f"fullnameOverride={name}", "--show-only", "templates/clusterroles-users.yaml")
    cluster.kubectl("apply", "--server-side", "--filename", "-", stdin=text)
    try:
        yield
    finally:
        cluster.kubectl("delete", "--filename", "-", stdin=text)


MAY = {
    "view": {"get", "list", "watch"},
    "edit": {"get", "list", "watch", "create", "update", "patch", "delete"},
    "admin": {"get", "list", "watch", "create", "update", "patch", "delete"},
}
VERBS = sorted(MAY["admin"])


@pytest.mark.parametrize("role", MAY)
def test_users_get_llmdeployments_with_the_clusters_roles(
    cluster: Cluster, roles: None, namespace: str, role: str
) -> None:
    """kube-controller-manager adds the chart's roles to the cluster's, a moment later."""
    cluster.kubectl("create", "rolebinding", USER, "--namespace", namespace, f"--clusterrole={role}", f"--user={USER}")

    def allowed(resource: str) -> set[str]:
        return {verb for verb in VERBS if may(cluster, namespace, verb, resource)}

    until(lambda: allowed("llmdeployments.conch.dev"), lambda verbs: verbs == MAY[role], 30)
    assert allowed("llmdeployments.conch.dev/status") == {"get"}
    assert allowed("llmdeployments.conch.dev/scale") == ({"get"} if role == "view" else {"get", "patch", "update"})
    assert not may(cluster, "default", "get", "llmdeployments.conch.dev")


def may(cluster: Cluster, namespace: str, verb: str, resource: str) -> bool:
    """Whether the test's user may, in the words of the API server."""
    group_resource, _, subresource = resource.partition("/")
    plural, _, group = group_resource.partition(".")
    attributes = {
        "namespace": namespace,
        "verb": verb,
        "group": group,
        "resource": plural,
        "subresource": subresource,
    }
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": USER, "resourceAttributes": attributes},
    }
    answer = cluster.kubectl("create", "--filename", "-", "--output", "json", stdin=json.dumps(review))
    allowed: bool = json.loads(answer)["status"]["allowed"]
    return allowed
