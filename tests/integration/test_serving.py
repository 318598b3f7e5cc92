"""From an applied resource to answers, and from deletion to nothing."""

import json

import pytest

from cluster.cluster import Cluster
from integration.deployments import CHILD_KINDS, Namespace, gpus
from integration.tools import run_tool, service_url
from integration.waiting import until

pytestmark = pytest.mark.cluster


@pytest.mark.agent
def test_parallelism_becomes_pods_and_gpus(namespace: Namespace) -> None:
    deployment = namespace.apply("wide", replicas=2, parallelism={"tensor": 2, "data": 2})
    status = deployment.wait_rolled_out()["status"]
    pods = deployment.pods()
    assert (len(pods), gpus(pods)) == (4, 2 * 2 * 2)
    assert status["engines"] == {"desired": 4, "ready": 4, "draining": 0}
    assert (
        status["plan"] | {"tensor": 2, "pipeline": 1, "data": 2, "gpusPerPod": 2, "podsPerReplica": 2} == status["plan"]
    )
    leaders = namespace.get("pod", "--selector", status["selector"])
    assert len(leaders) == status["replicas"] == 2


@pytest.mark.agent
def test_a_model_answers_through_its_service(namespace: Namespace) -> None:
    namespace.apply("small").wait_rolled_out()
    url = service_url(namespace, "small")
    answer = run_tool(namespace, "python3", "-m", "integration.ask", url, "small").result(30)
    assert answer["text_output"]
    streamed = run_tool(namespace, "python3", "-m", "integration.ask", url, "small", "--stream").result(30)
    assert len(streamed["chunks"]) == 16


@pytest.mark.agent
def test_the_engine_got_what_the_spec_says(namespace: Namespace) -> None:
    namespace.apply(
        "set",
        parallelism={"tensor": 2},
        engine={"maxModelLength": 4096, "extraArgs": [{"name": "enable_prefix_caching", "value": "false"}]},
    )
    until(lambda: namespace.get("configmap"), bool, 20)
    (config_map,) = namespace.get("configmap")
    document = json.loads(config_map["data"]["1.model.json"])
    expected = {"tensor_parallel_size": 2, "max_model_len": 4096, "enable_prefix_caching": False}
    assert expected.items() <= document.items()


@pytest.mark.agent
def test_deletion_leaves_nothing(namespace: Namespace) -> None:
    deployment = namespace.apply("short", replicas=2)
    deployment.wait_rolled_out()
    deployment.delete()
    for kind in CHILD_KINDS:
        until(lambda kind=kind: namespace.get(kind), lambda found: not found, 60)  # type: ignore[misc]


@pytest.mark.agent
def test_scale_subresource_counts_replicas(namespace: Namespace) -> None:
    deployment = namespace.apply("scaled", parallelism={"data": 2})
    deployment.wait_rolled_out()
    namespace.kubectl("scale", "llmdeployment/scaled", "--replicas=2")
    until(lambda: len(deployment.pods()), lambda count: count == 4, 30)
    assert deployment.condition("Reconciling") == {}
    until(lambda: deployment.read()["status"]["readyReplicas"], lambda ready: ready == 2, 60)
    scale = json.loads(namespace.kubectl("get", "llmdeployment", "scaled", "--subresource=scale", "--output", "json"))
    assert scale["status"]["replicas"] == 2


def test_a_new_resource_never_looks_healthy(cluster: Cluster, namespace: Namespace) -> None:
    deployment = namespace.apply("fresh")
    seen = deployment.read()
    ready = [item for item in seen.get("status", {}).get("conditions", ()) if item["type"] == "Ready"]
    assert all(item["status"] != "True" for item in ready)
    until(lambda: deployment.condition("Ready"), bool, 15)
    assert "llmdep" in cluster.kubectl("api-resources", "--api-group=conch.dev")


def test_children_appear_whatever_the_cluster_has(namespace: Namespace) -> None:
    """On a cluster without GPUs the pods wait; everything that the operator makes is there, and it says why."""
    deployment = namespace.apply("anywhere", accelerator={"products": ["No-Such-Product"]})
    for kind in CHILD_KINDS:
        until(lambda kind=kind: namespace.get(kind), bool, 20)  # type: ignore[misc]
    capacity = deployment.wait_for("CapacityAvailable", "False", 30)
    assert capacity["reason"] in ("Unschedulable", "InsufficientGPUs")
    assert "Stalled" not in {item["type"] for item in deployment.read()["status"]["conditions"]}
