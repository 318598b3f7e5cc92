"""A cluster ends with its parent, whatever happens to that, and lives beside others."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster import launch, network
from cluster.cluster import Cluster
from cluster.control import Control
from cluster.failure import ClusterFailure
from cluster.namespaces import network_of
from cluster.state import Options, StateFolder

PYTHON = (sys.executable, "-m", "cluster")
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}

ETCD_HEALTH = "http://127.0.0.1:2379/livez"

pytestmark = pytest.mark.cluster


@pytest.fixture
def state(tmp_path: Path) -> Iterator[StateFolder]:
    folder = StateFolder(tmp_path / "cluster")
    yield folder
    launch.down(folder)


def command_line(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run((*PYTHON, *words), env=ENVIRONMENT, capture_output=True, text=True, check=False)


def processes_in(identity: str) -> list[int]:
    """All processes of this machine that are in that network namespace."""
    found = []
    for process_id in [entry.name for entry in Path("/proc").iterdir() if entry.name.isdecimal()]:
        try:
            if network_of(process_id) == identity:
                found.append(int(process_id))
        except OSError:
            # It has ended, or belongs to another user.
            continue
    return found


def network_once_ready(state: StateFolder, parent: subprocess.Popen[bytes]) -> str:
    control = Control(state.control_socket)
    for _ in range(600):
        assert parent.poll() is None
        supervisor = control.supervisor()
        if supervisor is not None and control.status().phase == "ready":
            return network_of(supervisor)
        time.sleep(0.1)
    pytest.fail("the cluster does not become ready")


def wait_until_empty(identity: str) -> None:
    for _ in range(100):
        if not processes_in(identity):
            return
        time.sleep(0.1)
    pytest.fail(f"still running: {processes_in(identity)}")


def test_nothing_survives_a_killed_parent(state: StateFolder) -> None:
    command = (*PYTHON, "run", "--state", str(state.root), "--", "sleep", "300")
    with subprocess.Popen(command, env=ENVIRONMENT) as parent:
        inside = network_once_ready(state, parent)
        assert len(processes_in(inside)) >= 7
        parent.send_signal(signal.SIGKILL)
    wait_until_empty(inside)


def test_nothing_survives_a_killed_supervisor(state: StateFolder) -> None:
    command_line("up", "--state", str(state.root))
    supervisor = Control(state.control_socket).supervisor()
    assert supervisor is not None
    inside = network_of(supervisor)
    os.kill(supervisor, signal.SIGKILL)
    wait_until_empty(inside)


def test_run_gives_the_commands_exit_code_and_ends_the_cluster(state: StateFolder) -> None:
    command = ("sh", "-c", "kubectl get nodes && helm list && exit 7")
    outcome = command_line("run", "--state", str(state.root), "--", *command)
    assert outcome.returncode == 7, outcome.stderr
    assert "control-plane" in outcome.stdout
    assert Control(state.control_socket).supervisor() is None


def test_up_returns_twice_to_the_same_cluster_and_down_leaves_nothing(state: StateFolder) -> None:
    outputs = [command_line("up", "--state", str(state.root)) for _ in range(2)]
    assert outputs[0].stdout == outputs[1].stdout
    assert f"export KUBECONFIG={state.kubeconfig}" in outputs[0].stdout
    # As a user's shell would: nothing but what was printed.
    script = f"{outputs[0].stdout}\nkubectl create namespace from-any-shell"
    subprocess.run(["sh", "-c", script], capture_output=True, check=True)
    supervisor = Control(state.control_socket).supervisor()
    assert supervisor is not None
    inside = network_of(supervisor)
    assert launch.down(state)
    wait_until_empty(inside)
    assert not launch.down(state)


def test_two_clusters_at_once_share_nothing(cluster: Cluster, state: StateFolder) -> None:
    with launch.running(state, Options()) as second:
        second.kubectl("create", "namespace", "only-in-the-second")
        with pytest.raises(ClusterFailure, match="NotFound"):
            cluster.kubectl("get", "namespace", "only-in-the-second")
    assert "default" in cluster.kubectl("get", "namespaces")


def test_a_dead_component_is_reported_with_its_last_words(state: StateFolder) -> None:
    with launch.running(state, Options()) as cluster:
        control = cluster.control()
        supervisor = control.supervisor()
        assert supervisor is not None
        [scheduler] = [
            process_id
            for process_id in processes_in(network_of(supervisor))
            if Path(f"/proc/{process_id}/comm").read_text(encoding="utf-8") == "kube-scheduler\n"
        ]
        os.kill(scheduler, signal.SIGKILL)
        while control.status().components["kube-scheduler"] == "running":
            time.sleep(0.05)
        answer = control.status()
        assert answer.components["kube-scheduler"] == "dead (exit code -9)"
        [failure] = answer.failures
        assert "kube-scheduler is dead (exit code -9)" in failure
        assert "successfully acquired" in failure or "Serving securely" in failure


def test_a_start_that_fails_says_why_at_once_and_leaves_nothing(state: StateFolder, tmp_path: Path) -> None:
    nodes = tmp_path / "nodes.yaml"
    nodes.write_text("no nodes at all", encoding="utf-8")
    with pytest.raises(ClusterFailure, match=r"agent is dead[\s\S]*agent does not start"):
        launch.running(state, Options(nodes=nodes)).__enter__()
    assert Control(state.control_socket).supervisor() is None


def test_components_are_killed_and_started_by_name(state: StateFolder) -> None:
    with launch.running(state, Options()) as cluster:
        control = cluster.control()
        control.kill("kube-apiserver")
        assert control.status().components["kube-apiserver"] == "stopped"
        connect = f"import socket; socket.create_connection(('{network.CONTROL_PLANE.ip}', 6443))"
        with pytest.raises(ClusterFailure, match="Connection refused"):
            cluster.enter(sys.executable, "-c", connect)
        control.start("kube-apiserver")
        assert "control-plane" in cluster.kubectl("get", "nodes")
        assert control.status().failures == ()
        with pytest.raises(ClusterFailure, match="No component is called nonsense"):
            control.kill("nonsense")


def test_a_frozen_component_answers_nothing_until_it_goes_on(state: StateFolder) -> None:
    with launch.running(state, Options()) as cluster:
        control = cluster.control()
        connect = f"import urllib.request; print(urllib.request.urlopen('{ETCD_HEALTH}', timeout=2).status)"
        assert cluster.enter(sys.executable, "-c", connect) == "200\n"
        control.pause("etcd")
        with pytest.raises(ClusterFailure, match="timed out"):
            cluster.enter(sys.executable, "-c", connect)
        control.resume("etcd")
        assert cluster.enter(sys.executable, "-c", connect) == "200\n"


def test_a_folder_that_is_no_clusters_is_left_alone(tmp_path: Path) -> None:
    precious = tmp_path / "thesis.txt"
    precious.write_text("years of work", encoding="utf-8")
    with pytest.raises(ClusterFailure, match="holds files and no cluster"):
        launch.up(StateFolder(tmp_path), Options())
    assert precious.read_text(encoding="utf-8") == "years of work"
