"""The custom resource on a real API server: what kubectl shows, what scalers and writers of status rely on."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from api.documents import deployment
from cluster.cluster import Cluster
from conch.api import crd
from conch.api.crd import NAME

pytestmark = pytest.mark.cluster

RESOURCE = "llmdeployments.conch.dev"


class Stored:
    """One resource on the server."""

    def __init__(self, cluster: Cluster, namespace: str, name: str) -> None:
        self.cluster, self.namespace, self.name = cluster, namespace, name

    def read(self) -> dict[str, Any]:
        return json.loads(self.kubectl("get", RESOURCE, self.name, "--output=json"))  # type: ignore[no-any-return]

    def scale(self) -> dict[str, Any]:
        path = f"/apis/conch.dev/v1alpha1/namespaces/{self.namespace}/llmdeployments/{self.name}/scale"
        return json.loads(self.cluster.kubectl("get", "--raw", path))  # type: ignore[no-any-return]

    def apply_status(self, manager: str, **status: Any) -> None:
        document = {**deployment(self.name), "status": status}
        del document["spec"]
        self.kubectl(
            *("apply", "--server-side", "--force-conflicts", f"--field-manager={manager}", "--subresource=status"),
            *("--validate=ignore", "--filename=-"),
            stdin=json.dumps(document),
        )

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        return self.cluster.kubectl(*arguments, "--namespace", self.namespace, stdin=stdin)


@pytest.fixture
def stored(installed: Cluster, namespace: str) -> Iterator[Stored]:
    """A resource as it is just after the user has created it, deleted afterwards."""
    stored = Stored(installed, namespace, "qwen")
    stored.kubectl("create", "--filename=-", stdin=json.dumps(deployment("qwen", engine={"maxModelLength": 4096})))
    yield stored
    stored.kubectl("delete", RESOURCE, "qwen", "--ignore-not-found")


def condition(kind: str, status: str, reason: str = "Serving") -> dict[str, Any]:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": "so it is",
        "observedGeneration": 1,
        "lastTransitionTime": "2026-01-02T03:04:05Z",
    }


def test_the_server_finds_no_fault_with_the_definition(installed: Cluster) -> None:
    definition = json.loads(installed.kubectl("get", "crd", NAME, "--output=json"))
    conditions = {entry["type"]: entry["status"] for entry in definition["status"]["conditions"]}
    assert conditions["Established"] == "True"
    assert conditions["NamesAccepted"] == "True"
    assert conditions.get("NonStructuralSchema", "False") == "False"
    assert conditions.get("KubernetesAPIApprovalPolicyConformant", "True") == "True"


def test_the_file_for_kubectl_is_the_same_definition(installed: Cluster) -> None:
    installed.kubectl(
        "apply", "--server-side", "--dry-run=server", "--force-conflicts", "--filename=-", stdin=crd.crd_yaml()
    )
    assert yaml.safe_load(crd.crd_yaml()) == crd.custom_resource_definition()


def test_a_new_resource_does_not_look_healthy(stored: Stored) -> None:
    resource = stored.read()
    assert resource["status"]["observedGeneration"] == -1
    assert resource["status"]["conditions"] == [
        {
            "type": "Ready",
            "status": "Unknown",
            "reason": "Pending",
            "message": "The operator has not looked at the resource yet.",
            "observedGeneration": -1,
            "lastTransitionTime": "1970-01-01T00:00:00Z",
        }
    ]


def test_a_watcher_sees_the_default_status_too(stored: Stored) -> None:
    path = f"/apis/conch.dev/v1alpha1/namespaces/{stored.namespace}/llmdeployments?watch=1&timeoutSeconds=1"
    event = json.loads(stored.cluster.kubectl("get", "--raw", path).splitlines()[0])
    assert event["type"] == "ADDED"
    assert event["object"]["status"]["observedGeneration"] == -1


def test_a_status_of_the_user_is_dropped(stored: Stored) -> None:
    forged = {**deployment("forged"), "status": {"conditions": [condition("Ready", "True")]}}
    answer = stored.kubectl("create", "--output=json", "--filename=-", stdin=json.dumps(forged))
    assert json.loads(answer)["status"]["conditions"][0]["status"] == "Unknown"


def test_only_constants_are_stored_beside_what_the_user_wrote(stored: Stored) -> None:
    spec = stored.read()["spec"]
    assert spec.pop("replicas") == 1
    assert spec.pop("engine") == {
        "type": "TritonVLLM",
        "maxModelLength": 4096,
        "quantization": "FromCheckpoint",
        "kvCacheDataType": "Auto",
        "drainSeconds": 60,
    }
    assert spec == {"model": deployment()["spec"]["model"]}


def test_scalers_read_and_write_replicas(stored: Stored) -> None:
    assert stored.scale()["spec"] == {"replicas": 1}
    stored.kubectl("scale", RESOURCE, stored.name, "--replicas=3")
    stored.apply_status("operator", replicas=2, selector="conch.dev/uid=1,conch.dev/leader=true")
    assert stored.scale()["spec"] == {"replicas": 3}
    assert stored.scale()["status"] == {"replicas": 2, "selector": "conch.dev/uid=1,conch.dev/leader=true"}


def test_conditions_are_applied_by_type(stored: Stored) -> None:
    stored.apply_status(
        "operator", observedGeneration=1, conditions=[condition("Ready", "True"), condition("Stalled", "True")]
    )
    stored.apply_status("policy", conditions=[condition("ModelApproved", "True")])
    assert _conditions(stored) == {"Ready": "True", "Stalled": "True", "ModelApproved": "True"}
    stored.apply_status("operator", observedGeneration=1, conditions=[condition("Ready", "False")])
    assert _conditions(stored) == {"Ready": "False", "ModelApproved": "True"}


def test_the_operator_s_first_status_replaces_the_default_one(stored: Stored) -> None:
    stored.apply_status("operator", observedGeneration=1, conditions=[condition("Ready", "True")])
    status = stored.read()["status"]
    assert status == {"observedGeneration": 1, "conditions": [condition("Ready", "True")]}


def test_columns(stored: Stored) -> None:
    stored.apply_status(
        "operator", conditions=[condition("Ready", "True")], readyReplicas=1, plan=_PLAN, url="http://qwen"
    )
    header, row = stored.kubectl("get", "llmdep", "--output=wide").splitlines()
    assert header.split()[:9] == [
        "NAME",
        "READY",
        "REASON",
        "MODEL",
        "REPLICAS",
        "SERVING",
        "TENSOR",
        "PIPELINE",
        "DATA",
    ]
    assert row.split()[:9] == ["qwen", "True", "Serving", "Qwen/Qwen3-8B", "1", "1", "4", "2", "3"]
    assert row.split()[-1] == "http://qwen"


def test_the_model_column_names_a_claim(stored: Stored) -> None:
    claimed = deployment("claimed", model={"persistentVolumeClaim": {"claimName": "models"}})
    stored.kubectl("create", "--filename=-", stdin=json.dumps(claimed))
    assert "models" in stored.kubectl("get", "llmdep", "claimed", "--no-headers").split()


def test_resources_are_found_by_category_and_by_repository(stored: Stored) -> None:
    assert "qwen" in stored.kubectl("get", "llm", "--output=name")
    selector = "--field-selector=spec.model.huggingFace.repo="
    assert "qwen" in stored.kubectl("get", RESOURCE, "--output=name", f"{selector}Qwen/Qwen3-8B")
    assert stored.kubectl("get", RESOURCE, "--output=name", f"{selector}other/model") == ""


@pytest.mark.parametrize(
    ("path", "sentences"),
    [
        ("spec.replicas", ["<integer>", "How many times the whole model is served.", "From 0 to 1000. Default: 1."]),
        ("spec.engine.startupSeconds", ["when the weights are downloaded", "Unset: 1800.", "From 60 to 86400."]),
        ("spec.engine.release", ["ENUM: 26.04 26.05", "Unset: the newest"]),
        ("spec.pod.env.name", ["NCCL_*", "OMP_NUM_THREADS"]),
        ("spec.engine.extraArgs.name", ["enable_prefix_caching"]),
        ("status.conditions", ["Statements about the resource.", "lastTransitionTime"]),
    ],
)
def test_kubectl_explain_reads_like_a_manual(installed: Cluster, path: str, sentences: list[str]) -> None:
    explained = " ".join(installed.kubectl("explain", f"llmdeployments.{path}").split())
    for sentence in sentences:
        assert sentence in explained


def _conditions(stored: Stored) -> dict[str, str]:
    return {entry["type"]: entry["status"] for entry in stored.read()["status"]["conditions"]}


_PLAN = {
    "tensor": 4,
    "pipeline": 2,
    "data": 3,
    "dataMode": "Slots",
    "gpusPerPod": 8,
    "podsPerReplica": 3,
    "startupSeconds": 1800,
    "cache": "claim",
    "release": "26.08",
    "image": "triton:26.08",
}
