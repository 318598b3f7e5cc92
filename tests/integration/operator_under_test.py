"""The operator that the tests run against, and how to stop, restart and replace it."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from cluster.audit import Mark
from cluster.cluster import Cluster
from cluster.state import REPOSITORY
from integration.waiting import until

NAMESPACE = "conch-system"
SERVICE_ACCOUNT_USER = f"system:serviceaccount:{NAMESPACE}:conch"
CHART = REPOSITORY / "charts" / "conch"


@dataclass(frozen=True, slots=True)
class OperatorUnderTest:
    """A running operator. `user` is who it is to the audit log; `mark` is the log's end before it started."""

    cluster: Cluster
    user: str
    mark: Mark | None = None

    def stop(self) -> None:
        """Stops it and waits until it is gone (chart only)."""
        self._scale(0)
        until(self._pods, lambda pods: not pods, 60)

    def start(self) -> None:
        """Starts it again and waits until it is ready (chart only)."""
        self._scale(1)
        self.cluster.kubectl("--namespace", NAMESPACE, "rollout", "status", "deployment/conch", "--timeout=60s")

    def kill(self) -> None:
        """Kills its pod without grace; the Deployment makes another."""
        for pod in self._pods():
            self.cluster.kubectl("--namespace", NAMESPACE, "delete", pod, "--grace-period=0", "--force")

    def _scale(self, replicas: int) -> None:
        self.cluster.kubectl("--namespace", NAMESPACE, "scale", "deployment/conch", f"--replicas={replicas}")

    def _pods(self) -> list[str]:
        selector = "app.kubernetes.io/name=conch"
        return self.cluster.kubectl(
            "--namespace", NAMESPACE, "get", "pods", "--selector", selector, "--output", "name"
        ).split()


@contextmanager
def from_chart(cluster: Cluster) -> Iterator[OperatorUnderTest]:
    """Installs the chart as a user would, waits for it, and takes it away afterwards; the CRD stays, as it should.

    A CRD that is there already is not Helm's: other tests of the session applied it.
    """
    cluster.kubectl("delete", "crd", "llmdeployments.conch.dev", "--ignore-not-found", "--timeout=60s")
    mark = cluster.audit().mark()
    try:
        cluster.helm(
            "install", "conch", str(CHART), "--namespace", NAMESPACE, "--create-namespace", "--wait", "--timeout=120s"
        )
        yield OperatorUnderTest(cluster, SERVICE_ACCOUNT_USER, mark)
    finally:
        cluster.helm("uninstall", "conch", "--namespace", NAMESPACE, "--ignore-not-found", "--wait")


@contextmanager
def from_checkout(cluster: Cluster) -> Iterator[OperatorUnderTest]:
    """Runs `conch run` of this checkout with the credentials of KUBECONFIG."""
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "--filename", str(REPOSITORY / "crds"))
    user = cluster.kubectl("auth", "whoami", "--output", "jsonpath={.status.userInfo.username}")
    with checkout_process(cluster, "-m", "conch", "run", "--port", "0"):
        yield OperatorUnderTest(cluster, user)


@contextmanager
def checkout_process(cluster: Cluster, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A Python process of this checkout that reaches the cluster; it must live until the end."""
    environment = {**cluster.environment(), "PYTHONPATH": str(REPOSITORY / "tests")}
    with subprocess.Popen([sys.executable, *arguments], env=environment, cwd=REPOSITORY) as process:
        try:
            yield process
            assert process.poll() is None, f"{arguments} ended by itself with {process.returncode}"
        finally:
            process.terminate()
            process.wait(30)
