"""Pods as these tests write and watch them."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from cluster.agent.control import NodeAgent
from cluster.agent.objects import Object
from cluster.cluster import Cluster

T = TypeVar("T")

ENGINE_IMAGE = "nvcr.io/nvidia/tritonserver:26.08-vllm-python-py3"
TOOLS_IMAGE = "conch.test/tools"
FAST = {"simulator.conch.test/load-seconds": "0.2", "simulator.conch.test/weights-seconds": "0.1"}
WEIGHTS = "/weights/models--a--b/snapshots/abc"


def until(look: Callable[[], T], holds: Callable[[T], object], seconds: float = 30) -> T:
    """What was seen when it first held; fails with the last view."""
    end = time.monotonic() + seconds
    while not holds(seen := look()):
        assert time.monotonic() < end, f"not so after {seconds} s: {seen}"
        time.sleep(0.1)
    return seen


@dataclass(frozen=True, slots=True)
class Workload:
    """One namespace of the cluster."""

    cluster: Cluster
    namespace: str

    @property
    def agent(self) -> NodeAgent:
        assert self.cluster.state is not None
        return NodeAgent(self.cluster.state.root / "agent")

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        return self.cluster.kubectl("--namespace", self.namespace, *arguments, stdin=stdin)

    def create(self, *objects: Object) -> None:
        for item in objects:
            self.kubectl("create", "--filename", "-", stdin=json.dumps(item))

    def get(self, kind: str, name: str) -> Object:
        found: Object = json.loads(self.kubectl("get", kind, name, "--ignore-not-found", "--output=json") or "{}")
        return found

    def items(self, kind: str, selector: str = "") -> list[Object]:
        found: list[Object] = json.loads(self.kubectl("get", kind, f"--selector={selector}", "--output=json"))["items"]
        return found

    def wait(self, name: str, holds: Callable[[Object], object], seconds: float = 30) -> Object:
        """The pod's status when it first held."""

        def holds_now(pod: Object) -> object:
            return "status" in pod and holds(pod["status"])

        status: Object = until(lambda: self.get("pod", name), holds_now, seconds)["status"]
        return status

    def events(self, name: str) -> dict[str, str]:
        """Messages of a pod's events by reason."""
        found = json.loads(
            self.kubectl("get", "events", f"--field-selector=involvedObject.name={name}", "--output=json")
        )
        return {event["reason"]: event["message"] for event in found["items"]}

    def run(self, name: str, code: str, seconds: float = 30, **spec: Any) -> str:
        """The log of a Python program that runs as a pod and succeeds."""
        self.create(tool(name, code, restartPolicy="Never", **spec))
        status = self.wait(name, lambda status: status["phase"] in ("Succeeded", "Failed"), seconds)
        log = self.kubectl("logs", name)
        assert status["phase"] == "Succeeded", log
        return log

    def path(self, name: str) -> str:
        return f"{self.namespace}/{name}"


def pod(name: str, container: Object, annotations: dict[str, str] | None = None, **spec: Any) -> Object:
    """A pod of one container called main."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}, "annotations": annotations or {}},
        "spec": {
            "terminationGracePeriodSeconds": 5,
            "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
            "containers": [{"name": "main", **container}],
            **spec,
        },
    }


def tool(name: str, code: str, container: Object | None = None, **spec: Any) -> Object:
    """A pod that runs a Python program as a process."""
    return pod(name, {"image": TOOLS_IMAGE, "command": ["python3", "-c", code], **(container or {})}, **spec)


def engine(name: str, annotations: dict[str, str] | None = None, **spec: Any) -> Object:
    """A pod that is a simulated engine with its init container; needs the ConfigMap `model_repository`."""
    mounts = [{"name": "weights", "mountPath": "/weights"}]
    made = pod(
        name,
        {
            "image": ENGINE_IMAGE,
            "command": ["tritonserver", "--model-repository=/models", "--model-control-mode=none"],
            "ports": [{"name": "http", "containerPort": 8000}],
            "readinessProbe": {"httpGet": {"path": "/v2/health/ready", "port": "http"}, "periodSeconds": 1},
            "volumeMounts": [*mounts, {"name": "repository", "mountPath": "/models/m"}],
        },
        annotations=FAST | (annotations or {}),
        shareProcessNamespace=True,
        initContainers=[
            {
                "name": "weights",
                "image": ENGINE_IMAGE,
                "command": ["python3", "fetch.py", "--repo=a/b", "--revision=abc", "--cache-dir=/weights"],
                "volumeMounts": mounts,
            }
        ],
        volumes=[
            {"name": "weights", "emptyDir": {}},
            {
                "name": "repository",
                "configMap": {
                    "name": "repository",
                    "items": [
                        {"key": "config", "path": "config.pbtxt"},
                        {"key": "model", "path": "1/model.json"},
                    ],
                },
            },
        ],
    )
    made["spec"] |= spec
    return made


def model_repository() -> Object:
    """What an engine serves."""
    config = 'backend: "vllm"\ninstance_group [{ count: 1 kind: KIND_MODEL }]\n'
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "repository"},
        "data": {"config": config, "model": json.dumps({"model": WEIGHTS})},
    }


def deployment(template: Object, replicas: int) -> Object:
    """A Deployment of pods like that one."""
    metadata = template["metadata"]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": metadata["name"]},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": metadata["labels"]},
            "template": {
                "metadata": {key: metadata[key] for key in ("labels", "annotations")},
                "spec": template["spec"],
            },
        },
    }


def main_container(status: Object) -> Object:
    """The status of the container called main; empty before there is one."""
    return next((one for one in status.get("containerStatuses", ()) if one["name"] == "main"), {})


def waiting_reason(status: Object) -> str:
    """Why main waits; empty if it does not."""
    return str(main_container(status).get("state", {}).get("waiting", {}).get("reason", ""))


def condition(status: Object, kind: str) -> str:
    return next((one["status"] for one in status.get("conditions", ()) if one["type"] == kind), "")


def is_ready(status: Object) -> bool:
    return condition(status, "Ready") == "True"
