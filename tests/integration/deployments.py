"""LLMDeployments on a cluster as a test sees them: written with kubectl, read back as JSON."""

import copy
import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from cluster.cluster import Cluster
from integration.waiting import until

COMMIT = "b968826d9c46dd6066d109eabc6255188de91218"
CHILD_KINDS = (
    "service",
    "serviceaccount",
    "configmap",
    "controllerrevision",
    "poddisruptionbudget",
    "replicaset",
    "pod",
)
READY_SECONDS = 90.0
FAST = {"simulator.conch.test/load-seconds": "1", "simulator.conch.test/weights-seconds": "0.2"}
"""Annotations for the engine simulator; a real engine ignores them."""

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Namespace:
    """A namespace of a test, which enforces the `restricted` Pod Security Standard."""

    cluster: Cluster
    name: str

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        return self.cluster.kubectl("--namespace", self.name, *arguments, stdin=stdin)

    def get(self, kind: str, *selection: str) -> list[Object]:
        """All objects of a kind, of Conch's making unless a selection says otherwise."""
        chosen = selection or ("--selector", "app.kubernetes.io/managed-by=conch")
        found: list[Object] = json.loads(self.kubectl("get", kind, *chosen, "--output", "json"))["items"]
        return found

    def apply(self, name: str, **spec: Any) -> "Deployment":
        """Applies an LLMDeployment; what is not given is the smallest that works."""
        document = {
            "apiVersion": "conch.dev/v1alpha1",
            "kind": "LLMDeployment",
            "metadata": {"name": name, "namespace": self.name},
            "spec": {
                "model": {"huggingFace": {"repo": "Qwen/Qwen3-8B", "revision": COMMIT}},
                "pod": {"annotations": dict(FAST)},
                **spec,
            },
        }
        self.kubectl("apply", "--server-side", "--filename", "-", stdin=json.dumps(document))
        return Deployment(self, name, document)


@dataclass(frozen=True, slots=True)
class Deployment:
    """One LLMDeployment, with the document that was applied."""

    namespace: Namespace
    name: str
    document: Object

    def read(self) -> Object:
        found: Object = json.loads(self.namespace.kubectl("get", "llmdeployment", self.name, "--output", "json"))
        return found

    def edit(self, **spec: Any) -> "Deployment":
        """Applies it again with some fields of the spec changed."""
        return self.namespace.apply(self.name, **{**copy.deepcopy(self.document["spec"]), **spec})

    def condition(self, kind: str) -> Object:
        """The condition of the current generation, or an empty one."""
        seen = self.read()
        if seen.get("status", {}).get("observedGeneration") != seen["metadata"]["generation"]:
            return {}
        return next((item for item in seen["status"]["conditions"] if item["type"] == kind), {})

    def wait_for(self, kind: str, status: str = "True", seconds: float = READY_SECONDS) -> Object:
        return until(lambda: self.condition(kind), lambda condition: condition.get("status") == status, seconds)

    def wait_rolled_out(self, seconds: float = READY_SECONDS) -> Object:
        """Waits until kstatus would call it Current; returns the resource."""

        def current(seen: Object) -> bool:
            if seen["status"].get("observedGeneration") != seen["metadata"]["generation"]:
                return False
            truths = {item["type"]: item["status"] for item in seen["status"]["conditions"]}
            return truths["Ready"] == "True" and "Reconciling" not in truths and "Stalled" not in truths

        return until(self.read, current, seconds)

    def delete(self) -> None:
        self.namespace.kubectl("delete", "llmdeployment", self.name, "--wait=true")

    def pods(self) -> list[Object]:
        """Its pods that are not terminating."""
        selector = f"conch.dev/name={self.name}"
        return [pod for pod in self.namespace.get("pod", "--selector", selector) if not is_terminating(pod)]


def is_terminating(item: Object) -> bool:
    return "deletionTimestamp" in item["metadata"]


def uids(items: list[Object]) -> set[str]:
    return {item["metadata"]["uid"] for item in items}


def gpus(pods: list[Object]) -> int:
    """GPUs that pods hold."""
    return sum(int(pod["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"]) for pod in pods)


@contextmanager
def fresh_namespace(cluster: Cluster) -> Iterator[Namespace]:
    """A namespace of its own, gone afterwards."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    cluster.kubectl("create", "namespace", name)
    cluster.kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    try:
        yield Namespace(cluster, name)
    finally:
        cluster.kubectl("delete", "namespace", name, "--wait=false")
