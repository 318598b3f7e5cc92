"""Pods of the tests themselves: programs of this checkout that reach pod and Service addresses (node agent only)."""

import json
import uuid
from dataclasses import dataclass
from typing import Any

from integration.deployments import Namespace, Object
from integration.waiting import until

IMAGE = "conch.test/tools"
"""The node agent runs this image as a process of the checkout."""


@dataclass(frozen=True, slots=True)
class ToolPod:
    """A pod that runs one program and ends."""

    namespace: Namespace
    name: str

    def logs(self) -> str:
        return self.namespace.kubectl("logs", self.name)

    def phase(self) -> str:
        pod = json.loads(self.namespace.kubectl("get", "pod", self.name, "--output", "json"))
        return str(pod["status"]["phase"])

    def wait_started(self, seconds: float = 30) -> None:
        until(self.phase, lambda phase: phase in ("Running", "Succeeded"), seconds)

    def wait(self, seconds: float) -> str:
        """Its log, once it has succeeded."""
        until(self.phase, lambda phase: phase in ("Succeeded", "Failed"), seconds)
        if self.phase() == "Failed":
            raise AssertionError(f"pod {self.name} failed: {self.logs()}")
        return self.logs()

    def result(self, seconds: float) -> Any:
        """The JSON of its log's last line."""
        return json.loads(self.wait(seconds).strip().splitlines()[-1])


def run_tool(namespace: Namespace, *command: str) -> ToolPod:
    """Starts a program in a pod that meets the `restricted` standard."""
    name = f"tool-{uuid.uuid4().hex[:6]}"
    pod: Object = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 1,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 1000,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "tool",
                    "image": IMAGE,
                    "command": list(command),
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                }
            ],
        },
    }
    namespace.kubectl("create", "--filename", "-", stdin=json.dumps(pod))
    return ToolPod(namespace, name)


def service_url(namespace: Namespace, name: str) -> str:
    """The model's URL by its ClusterIP; there is no DNS here."""
    service = json.loads(namespace.kubectl("get", "service", name, "--output", "json"))
    return f"http://{service['spec']['clusterIP']}:8000"
