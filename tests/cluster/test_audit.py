"""The audit log witnesses what happened, whoever did it."""

import pytest

from cluster import credentials
from cluster.cluster import Cluster
from cluster.failure import ClusterFailure


def test_tells_who_did_what_and_how_it_ended(local_cluster: Cluster, namespace: str) -> None:
    audit = local_cluster.audit()
    mark = audit.mark()
    local_cluster.kubectl("create", "configmap", "witnessed", "--namespace", namespace)
    token = local_cluster.token(credentials.STRANGER)
    with pytest.raises(ClusterFailure, match="Forbidden"):
        local_cluster.kubectl("delete", "configmap", "witnessed", "--namespace", namespace, "--token", token)
    events = [event for event in audit.since(mark) if event.namespace == namespace and event.resource == "configmaps"]
    told = [
        (event.user, event.verb, event.code, event.is_mutating) for event in events if event.user != "system:apiserver"
    ]
    assert ("admin", "create", 201, True) in told
    assert ("stranger", "delete", 403, False) in told
    assert len([event for event in events if event.is_mutating]) == 1


def test_reads_from_its_mark_only(local_cluster: Cluster, namespace: str) -> None:
    audit = local_cluster.audit()
    local_cluster.kubectl("create", "configmap", "before", "--namespace", namespace)
    mark = audit.mark()
    local_cluster.kubectl("create", "configmap", "after", "--namespace", namespace)
    created = [event.uri for event in audit.since(mark) if event.verb == "create" and event.namespace == namespace]
    assert len(created) == 1


def test_names_the_rule_that_allowed_a_request(local_cluster: Cluster, namespace: str) -> None:
    audit = local_cluster.audit()
    local_cluster.kubectl("create", "role", "reader", "--verb=list", "--resource=pods", "--namespace", namespace)
    local_cluster.kubectl("create", "rolebinding", "reader", "--role=reader", "--user=stranger", "-n", namespace)
    mark = audit.mark()
    token = local_cluster.token(credentials.STRANGER)
    local_cluster.kubectl("get", "pods", "--namespace", namespace, "--token", token)
    [listing] = [event for event in audit.since(mark) if event.user == "stranger" and event.resource == "pods"]
    assert listing.verb == "list"
    assert 'of Role "reader"' in listing.reason
