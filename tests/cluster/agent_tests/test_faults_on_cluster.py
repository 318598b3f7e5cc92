"""Every fault that can be asked for, seen through the API server."""

import json
import time

import pytest

from cluster.agent.control import Refused
from cluster.agent_tests.workload import (
    Workload,
    engine,
    is_ready,
    main_container,
    tool,
    until,
    waiting_reason,
)

pytestmark = pytest.mark.agent

FAULT = "agent.conch.test/fault"
PROBED = {"readinessProbe": {"httpGet": {"path": "/v2/health/ready", "port": "http"}, "periodSeconds": 1}}


def endpoints(workload: Workload, name: str) -> dict[str, bool]:
    """Addresses behind a Service, with whether they are ready."""
    slices = workload.items("endpointslice", f"kubernetes.io/service-name={name}")
    return {
        endpoint["addresses"][0]: endpoint["conditions"]["ready"]
        for found in slices
        for endpoint in found["endpoints"] or ()
    }


def test_pull_error(workload: Workload) -> None:
    workload.create(engine("pulled", {FAULT: "pull-error"}))
    status = workload.wait("pulled", lambda status: status["phase"] == "Pending" and "initContainerStatuses" in status)
    until(
        lambda: workload.get("pod", "pulled")["status"]["initContainerStatuses"][0]["state"],
        lambda state: state.get("waiting", {}).get("reason") == "ImagePullBackOff",
    )
    assert status["phase"] == "Pending"


def test_crash(workload: Workload) -> None:
    workload.create(engine("crashing", {FAULT: "crash"}))
    status = workload.wait("crashing", lambda status: waiting_reason(status) == "CrashLoopBackOff")
    assert main_container(status)["lastState"]["terminated"]["exitCode"] == 1
    assert status["initContainerStatuses"][0]["restartCount"] == 0


def test_never_ready(workload: Workload) -> None:
    workload.create(engine("unready", {FAULT: "never-ready"}))
    workload.wait("unready", lambda status: main_container(status).get("started"))
    time.sleep(3)
    status = workload.get("pod", "unready")["status"]
    assert (status["phase"], is_ready(status), main_container(status)["restartCount"]) == ("Running", False, 0)


def test_slow_start(workload: Workload) -> None:
    began = time.monotonic()
    workload.create(engine("slow", {FAULT: "slow-start", "agent.conch.test/start-seconds": "4"}))
    workload.wait("slow", is_ready)
    assert time.monotonic() - began > 4


def test_unready_and_ready_move_the_endpoints(workload: Workload) -> None:
    workload.create(engine("flipped"))
    workload.kubectl("expose", "pod", "flipped", "--port=80", "--target-port=http")
    address = workload.wait("flipped", is_ready)["podIP"]
    until(lambda: endpoints(workload, "flipped"), lambda found: found == {address: True})
    began = time.monotonic()
    workload.agent.make_unready(workload.path("flipped"))
    until(lambda: endpoints(workload, "flipped"), lambda found: found == {address: False})
    assert time.monotonic() - began < 2
    workload.agent.make_ready(workload.path("flipped"))
    until(lambda: endpoints(workload, "flipped"), lambda found: found == {address: True})


def test_a_crash_on_request_restarts_the_container(workload: Workload) -> None:
    workload.create(engine("killed"))
    workload.wait("killed", is_ready)
    workload.agent.crash(workload.path("killed"))
    status = workload.wait("killed", lambda status: main_container(status)["restartCount"] == 1)
    assert main_container(status)["lastState"]["terminated"]["exitCode"] == 137
    workload.wait("killed", is_ready)
    workload.agent.run_out_of_memory(workload.path("killed"), "main")
    status = workload.wait("killed", lambda status: main_container(status)["restartCount"] == 2)
    assert main_container(status)["lastState"]["terminated"]["reason"] == "OOMKilled"


def test_a_frozen_pod_neither_answers_nor_refuses(workload: Workload) -> None:
    workload.create(engine("frozen"))
    address = workload.wait("frozen", is_ready)["podIP"]
    ask = (
        "import socket\n"
        f"s = socket.socket(); s.settimeout(2)\ntry:\n s.connect(('{address}', 8000)); print('answer')\n"
        "except Exception as e: print(type(e).__name__)"
    )
    workload.agent.freeze(workload.path("frozen"))
    assert workload.run("asking", ask).strip() == "TimeoutError"
    workload.wait("frozen", lambda status: not is_ready(status))
    workload.agent.thaw(workload.path("frozen"))
    workload.wait("frozen", is_ready)
    assert main_container(workload.get("pod", "frozen")["status"])["restartCount"] == 0
    assert workload.run("asking-again", ask).strip() == "answer"


def test_a_frozen_process_is_silent_to_its_neighbours_too(workload: Workload) -> None:
    code = "import http.server as h; h.ThreadingHTTPServer(('', 8000), h.SimpleHTTPRequestHandler).serve_forever()"
    probe = {"tcpSocket": {"port": 8000}, "periodSeconds": 1}
    workload.create(tool("frozen", code, {"readinessProbe": probe}))
    address = workload.wait("frozen", is_ready)["podIP"]
    ask = f"import urllib.request as u\ntry: print(u.urlopen('http://{address}:8000', timeout=2).status)\nexcept OSError: print('silence')"  # noqa: E501
    workload.agent.freeze(workload.path("frozen"))
    assert workload.run("asking", ask).strip() == "silence"
    workload.agent.thaw(workload.path("frozen"))
    workload.wait("frozen", is_ready)
    assert workload.run("asking-again", ask).strip() == "200"


def test_control_names_what_it_cannot_find(workload: Workload) -> None:
    with pytest.raises(Refused, match="no such pod"):
        workload.agent.crash("nowhere/nothing")
    with pytest.raises(Refused, match="nothing is called"):
        workload.agent.lose("no-such-node")
    workload.create(engine("known"))
    until(workload.agent.pods, lambda pods: workload.path("known") in pods)
    with pytest.raises(Refused, match="nothing is called 'stranger'"):
        workload.agent.crash(workload.path("known"), "stranger")


@pytest.mark.timeout(180)
def test_a_lost_node_is_found_out_and_comes_back(workload: Workload) -> None:
    node = "gpu-h100-1"
    workload.create(engine("stranded", nodeSelector={"kubernetes.io/hostname": node}))
    workload.wait("stranded", is_ready)
    workload.agent.lose(node)
    try:
        # The node lifecycle controller waits for 50 s without a heartbeat.
        workload.wait("stranded", lambda status: not is_ready(status), 90)
        conditions = json.loads(workload.kubectl("get", "node", node, "--output=json"))["status"]["conditions"]
        assert {"Ready": "Unknown"}.items() <= {one["type"]: one["status"] for one in conditions}.items()
    finally:
        workload.agent.bring_back(node)
    status = workload.wait("stranded", is_ready)
    assert main_container(status)["restartCount"] == 1
    assert main_container(status)["lastState"]["terminated"]["reason"] == "ContainerStatusUnknown"


def test_pods_end_with_the_agent_and_are_run_again_by_the_next(workload: Workload) -> None:
    mark = f"mark = '{workload.namespace}'"
    place = {"nodeSelector": {"kubernetes.io/hostname": "cpu-0"}}
    # Takes the address that the next agent will give to the first comer.
    workload.create(engine("before", **place))
    workload.wait("before", is_ready)
    workload.create(engine("carried", **place), tool("carried-process", f"import time; {mark}; time.sleep(600)"))

    def commands() -> str:
        return workload.cluster.enter("sh", "-c", "cat /proc/[0-9]*/cmdline")

    for name in ("carried", "carried-process"):
        workload.wait(name, is_ready)
    assert mark in commands()
    workload.kubectl("delete", "pod", "before")
    address = workload.get("pod", "carried")["status"]["podIP"]
    control = workload.cluster.control()
    control.kill("agent")
    try:
        until(commands, lambda found: mark not in found, 5)
    finally:
        control.start("agent")
    for name in ("carried", "carried-process"):
        workload.wait(name, lambda status: is_ready(status) and main_container(status)["restartCount"] == 1)
    assert workload.get("pod", "carried")["status"]["podIP"] != address
