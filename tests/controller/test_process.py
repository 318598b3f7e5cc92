"""`conch run` as a process: what it answers, how it starts, stops and starts again, and what does not hold it up."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp.test_utils import unused_port

from cluster.cluster import Cluster
from cluster.credentials import STRANGER
from controller.conftest import deployment

CONCH = (sys.executable, "-m", "conch", "run")
MANY = 200
STOP_SECONDS = 2.0


class Operator:
    """A running `conch run`."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process = process
        self._url = f"http://127.0.0.1:{port}"
        self._log = log

    def get(self, path: str) -> tuple[int, str]:
        """Status and text of an answer; 0 if there is none."""
        try:
            with urllib.request.urlopen(self._url + path, timeout=5) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as refusal:
            return refusal.code, refusal.read().decode()
        except OSError:
            return 0, ""

    def wait_ready(self) -> None:
        until(lambda: self.get("/readyz")[0] == 200, f"it is ready; its log: {self.log()}")

    def sample(self, name: str) -> float:
        """A value of /metrics."""
        lines = self.get("/metrics")[1].splitlines()
        return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name} ")), 0.0)

    def log(self) -> str:
        return self._log.read_text()

    def stop(self) -> float:
        """Ends it by SIGTERM; returns the seconds that took."""
        asked = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(30) == 0, self.log()
        return time.monotonic() - asked


@contextmanager
def running(cluster: Cluster, folder: Path) -> Iterator[Operator]:
    port, log = unused_port(), folder / f"conch-{time.monotonic_ns()}.log"
    command = [*CONCH, "--address", "127.0.0.1", "--port", str(port)]
    with log.open("wb") as output, subprocess.Popen(command, env=cluster.environment(), stderr=output) as process:
        try:
            yield Operator(process, port, log)
        finally:
            process.kill()


def until(holds: Callable[[], bool], what: str, seconds: float = 40.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.05)


def create(cluster: Cluster, *documents: dict[str, Any]) -> None:
    listed = {"apiVersion": "v1", "kind": "List", "items": documents}
    cluster.kubectl("create", "--filename", "-", stdin=json.dumps(listed))


def found(cluster: Cluster, namespace: str, kind: str) -> list[dict[str, Any]]:
    answer = json.loads(cluster.kubectl("get", kind, "--namespace", namespace, "--output", "json"))
    items: list[dict[str, Any]] = answer["items"]
    return items


def settled(cluster: Cluster, namespace: str, count: int) -> Callable[[], bool]:
    """Whether that many resources have a status of ours that tells the scheduler's word."""

    def look() -> bool:
        items = found(cluster, namespace, "llmdeployment")
        told = [item for item in items if "Unschedulable" in json.dumps(item["status"])]
        return len(told) == count

    return look


def ended(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """What came of a `conch run` that cannot work."""
    return subprocess.run([*CONCH, "--port", "0"], env=environment, capture_output=True, text=True, timeout=60)


def test_it_answers_and_stops_at_once(crd: None, cluster: Cluster, tmp_path: Path) -> None:
    with running(cluster, tmp_path) as operator:
        operator.wait_ready()
        assert operator.get("/healthz") == (200, "ok\n")
        assert operator.get("/readyz") == (200, "ok\n")
        status, text = operator.get("/metrics")
        assert status == 200
        assert "conch_informer_objects" in text
        assert operator.get("/nothing")[0] == 404
        assert operator.stop() < STOP_SECONDS
        assert "Traceback" not in operator.log()


def test_resources_become_children_and_a_restart_writes_nothing(
    crd: None, local_cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    names = [f"m-{number}" for number in range(5)]
    create(local_cluster, *(deployment(namespace, name, replicas=2) for name in names))
    with running(local_cluster, tmp_path) as operator:
        until(settled(local_cluster, namespace, len(names)), "all are looked at")
        assert len(found(local_cluster, namespace, "replicaset")) == 2 * len(names)
        operator.stop()
    mark = local_cluster.audit().mark()
    with running(local_cluster, tmp_path) as operator:
        operator.wait_ready()
        there_are = len(json.loads(local_cluster.kubectl("get", "llmdeployment", "-A", "--output", "json"))["items"])
        until(lambda: operator.sample('conch_reconciles_total{result="success"}') >= there_are, "all are looked at")
        until(lambda: operator.sample("conch_workqueue_depth") == 0, "nothing waits")
        operator.stop()
    ours = [event for event in local_cluster.audit().since(mark) if event.user_agent.startswith("conch/")]
    assert ours
    assert [event.uri for event in ours if event.is_mutating and event.namespace == namespace] == []


def test_broken_specs_hold_up_nobody(crd: None, cluster: Cluster, namespace: str, tmp_path: Path) -> None:
    wrong = {"extraArgs": [{"name": "block_size", "value": "many"}]}
    good = [f"good-{number}" for number in range(10)]
    with running(cluster, tmp_path) as operator:
        operator.wait_ready()
        create(cluster, *(deployment(namespace, f"bad-{number}", engine=wrong) for number in range(2)))
        create(cluster, *(deployment(namespace, name) for name in good))
        until(settled(cluster, namespace, len(good)), f"the good ones run; log: {operator.log()}", 20)
        stalled = {
            item["metadata"]["name"]: condition["message"]
            for item in found(cluster, namespace, "llmdeployment")
            for condition in item["status"]["conditions"]
            if condition["type"] == "Stalled"
        }
        assert stalled.keys() == {"bad-0", "bad-1"}
        assert all("block_size" in message for message in stalled.values())
        assert "Traceback" not in operator.log()


@pytest.mark.timeout(600)
def test_it_stops_at_once_in_the_middle_of_much_work(
    crd: None, cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    create(cluster, *(deployment(namespace, f"m-{number}") for number in range(MANY)))
    with running(cluster, tmp_path) as operator:
        until(lambda: operator.log().count(f"Created ReplicaSet {namespace}/") >= 5, "it is in the middle")
        assert operator.stop() < STOP_SECONDS
    assert 0 < len(found(cluster, namespace, "replicaset")) < MANY, "it was in the middle"


def test_a_deleted_namespace_makes_no_errors(crd: None, cluster: Cluster, namespace: str, tmp_path: Path) -> None:
    create(cluster, *(deployment(namespace, f"m-{number}") for number in range(5)))
    with running(cluster, tmp_path) as operator:
        until(settled(cluster, namespace, 5), "all are looked at")
        cluster.kubectl("delete", "namespace", namespace, "--timeout=60s")
        cluster.kubectl("create", "namespace", namespace)  # the fixture takes it away once more
        operator.stop()
        assert [line for line in operator.log().splitlines() if " WARNING " in line or " ERROR " in line] == []


def test_without_credentials_it_says_so(cluster: Cluster, tmp_path: Path) -> None:
    outcome = ended({**os.environ, "KUBECONFIG": str(tmp_path / "none"), "HOME": str(tmp_path)})
    assert (outcome.returncode, outcome.stderr) == (1, f"there is no kubeconfig at {tmp_path / 'none'}\n")


def test_without_rights_it_says_so(crd: None, local_cluster: Cluster, tmp_path: Path) -> None:
    config = yaml.safe_load(local_cluster.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": local_cluster.token(STRANGER)}
    (tmp_path / "config").write_text(yaml.safe_dump(config))
    outcome = ended({**os.environ, "KUBECONFIG": str(tmp_path / "config")})
    assert outcome.returncode == 1
    assert 'User "stranger" cannot list resource "llmdeployments"' in outcome.stderr
    assert "Traceback" not in outcome.stderr


def test_without_the_crd_it_says_so(crd: None, local_cluster: Cluster) -> None:
    definition = local_cluster.kubectl("get", "crd", "llmdeployments.conch.dev", "--output", "json")
    local_cluster.kubectl("delete", "crd", "llmdeployments.conch.dev", "--timeout=60s")
    try:
        outcome = ended(local_cluster.environment())
    finally:
        local_cluster.kubectl("apply", "--server-side", "--filename", "-", stdin=_as_new(definition))
        local_cluster.kubectl("wait", "crd/llmdeployments.conch.dev", "--for=condition=Established", "--timeout=30s")
    assert outcome.returncode == 1
    assert outcome.stderr == (
        "the API server does not know LLMDeployment: install the CRD (crds/ of the release, or crds.enabled=true)\n"
    )


def _as_new(document: str) -> str:
    read = json.loads(document)
    return json.dumps({**read, "metadata": {"name": read["metadata"]["name"]}, "status": None})
