"""Pods from start to end, on the real control plane."""

import json
import time

import pytest

from cluster.agent_tests.workload import (
    Workload,
    condition,
    deployment,
    engine,
    is_ready,
    main_container,
    tool,
    until,
    waiting_reason,
)

pytestmark = pytest.mark.agent

SLEEP = "import time; time.sleep(600)"
# kube-proxy needs a moment to learn of a Service.
FETCH = """
import os, time, urllib.request
end = time.monotonic() + 10
while True:
    try:
        print(urllib.request.urlopen(f"http://{ADDRESS}", timeout=5).status)
        break
    except OSError:
        if time.monotonic() > end:
            raise
        time.sleep(0.2)
"""


def test_engines_on_gpu_nodes_serve_through_their_service(workload: Workload) -> None:
    template = engine("served")
    template["spec"]["containers"][0]["resources"] = {"limits": {"nvidia.com/gpu": "2"}}
    workload.create(deployment(template, replicas=3))
    workload.kubectl("expose", "deployment", "served", "--port=80", "--target-port=http")
    workload.kubectl("rollout", "status", "deployment/served", "--timeout=60s")
    pods = workload.items("pod", "app=served")
    assert all(pod["spec"]["nodeName"].startswith("gpu-") for pod in pods)
    assert len({pod["status"]["podIP"] for pod in pods}) == 3
    address = workload.get("service", "served")["spec"]["clusterIP"]
    log = workload.run("client", f"ADDRESS = '{address}/v2/health/ready'{FETCH}")
    assert log.strip() == "200"


def test_gpus_of_a_node_are_handed_out_once(workload: Workload) -> None:
    template = engine("greedy", nodeSelector={"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB"})
    template["spec"]["containers"][0]["resources"] = {"limits": {"nvidia.com/gpu": "4"}}
    workload.create(deployment(template, replicas=2))
    states = until(
        lambda: sorted(is_ready(pod["status"]) for pod in workload.items("pod", "app=greedy")),
        lambda found: found == [False, True],
    )
    assert states == [False, True]
    running = next(pod for pod in workload.items("pod", "app=greedy") if is_ready(pod["status"]))
    workload.kubectl("delete", "pod", running["metadata"]["name"])
    until(lambda: workload.get("pod", running["metadata"]["name"]), lambda found: not found)
    until(
        lambda: sorted(is_ready(pod["status"]) for pod in workload.items("pod", "app=greedy")),
        lambda found: found == [False, True],
    )


def test_status_tells_a_pod_s_whole_start(workload: Workload) -> None:
    workload.create(engine("starting", {"simulator.conch.test/weights-seconds": "2"}))
    status = workload.wait("starting", lambda status: status.get("initContainerStatuses"))
    assert status["phase"] == "Pending"
    assert waiting_reason(status) == "PodInitializing"
    assert condition(status, "Initialized") == "False"
    status = workload.wait("starting", is_ready)
    assert status["phase"] == "Running"
    (init,) = status["initContainerStatuses"]
    assert (init["ready"], init["state"]["terminated"]["reason"]) == (True, "Completed")
    assert main_container(status)["started"] is True
    assert status["podIP"].startswith("10.244.")
    assert {kind["type"] for kind in status["conditions"]} == {
        "PodReadyToStartContainers",
        "Initialized",
        "Ready",
        "ContainersReady",
        "PodScheduled",
    }


def test_a_failing_init_container_holds_the_pod_back(workload: Workload) -> None:
    pod = tool("held", SLEEP)
    pod["spec"]["initContainers"] = [
        {"name": "first", "image": "conch.test/tools", "command": ["python3", "-c", "raise SystemExit(3)"]}
    ]
    workload.create(pod)
    status = workload.wait("held", lambda status: status["initContainerStatuses"][0]["restartCount"] >= 2)
    assert status["initContainerStatuses"][0]["lastState"]["terminated"]["exitCode"] == 3
    assert (status["phase"], waiting_reason(status)) == ("Pending", "PodInitializing")


def test_a_job_retries_until_it_succeeds(workload: Workload) -> None:
    # Succeeds when it finds what the first run left behind.
    code = "import pathlib, sys; p = pathlib.Path('/keep/seen'); seen = p.exists(); p.touch(); sys.exit(not seen)"
    template = tool("retried", code, {"volumeMounts": [{"name": "keep", "mountPath": "/keep"}]})["spec"]
    template |= {"restartPolicy": "OnFailure", "volumes": [{"name": "keep", "emptyDir": {}}]}
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "retried"},
        "spec": {"template": {"spec": template}},
    }
    workload.create(job)
    workload.kubectl("wait", "job/retried", "--for=condition=Complete", "--timeout=30s")
    (pod,) = workload.items("pod", "batch.kubernetes.io/job-name=retried")
    assert main_container(pod["status"])["restartCount"] == 1
    assert pod["status"]["phase"] == "Succeeded"


def test_a_crashing_container_backs_off_longer_and_longer(workload: Workload) -> None:
    code = "import sys; print('last words'); sys.exit(7)"
    workload.create(tool("crashing", code, {"terminationMessagePolicy": "FallbackToLogsOnError"}))
    status = workload.wait("crashing", lambda status: waiting_reason(status) == "CrashLoopBackOff")
    assert main_container(status)["lastState"]["terminated"]["exitCode"] == 7
    assert main_container(status)["lastState"]["terminated"]["reason"] == "Error"
    assert main_container(status)["lastState"]["terminated"]["message"] == "last words\n"
    began = time.monotonic()
    workload.wait("crashing", lambda status: main_container(status)["restartCount"] >= 4)
    # 1 s and 2 s lie before the third and fourth restart.
    assert time.monotonic() - began > 2.5
    assert "crashing" not in workload.kubectl("logs", "crashing", "--previous")
    assert workload.kubectl("logs", "crashing", "--previous") == "last words\n"


def test_the_termination_message_is_what_the_container_wrote(workload: Workload) -> None:
    workload.run("spoken", "open('/dev/termination-log', 'w').write('farewell')")
    assert main_container(workload.get("pod", "spoken")["status"])["state"]["terminated"]["message"] == "farewell"


def test_sigterm_comes_after_pre_stop_and_both_share_the_grace(workload: Workload) -> None:
    code = (
        "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: (print('told'), time.sleep(30)));"
        "print('up'); time.sleep(600)"
    )
    workload.create(tool("slow", code, {"lifecycle": {"preStop": {"sleep": {"seconds": 3}}}}))
    workload.wait("slow", is_ready)
    began = time.monotonic()
    workload.kubectl("delete", "pod", "slow", "--wait=false", "--grace-period=6")
    until(lambda: workload.kubectl("logs", "slow"), lambda log: "told" in log)
    assert 2.5 < time.monotonic() - began < 4.5
    assert workload.get("pod", "slow")["status"]["phase"] == "Running"
    until(lambda: workload.get("pod", "slow"), lambda found: not found)
    assert 5.5 < time.monotonic() - began < 8


def test_a_container_that_obeys_is_gone_at_once(workload: Workload) -> None:
    code = "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); time.sleep(600)"
    workload.create(tool("obedient", code, terminationGracePeriodSeconds=60))
    workload.wait("obedient", is_ready)
    began = time.monotonic()
    workload.kubectl("delete", "pod", "obedient", "--timeout=20s")
    assert time.monotonic() - began < 5


def test_process_one_without_a_handler_ignores_sigterm_unless_the_namespace_is_shared(workload: Workload) -> None:
    for name, shared in (("alone", False), ("tended", True)):
        workload.create(tool(name, SLEEP, shareProcessNamespace=shared))
        workload.wait(name, is_ready)
    began = time.monotonic()
    workload.kubectl("delete", "pod", "tended", "--timeout=20s")
    assert time.monotonic() - began < 3
    began = time.monotonic()
    workload.kubectl("delete", "pod", "alone", "--timeout=20s")
    assert time.monotonic() - began > 4


def test_a_pod_that_waits_for_a_volume_can_be_deleted(workload: Workload) -> None:
    pod = tool("stuck", SLEEP, volumes=[{"name": "v", "secret": {"secretName": "never"}}])
    workload.create(pod)
    until(lambda: workload.events("stuck"), lambda events: "FailedMount" in events)
    workload.kubectl("delete", "pod", "stuck", "--timeout=5s")


def test_a_pod_that_is_initialized_obeys_and_starts_nothing_more(workload: Workload) -> None:
    pod = tool("leaving", "print('must not run')")
    code = "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); time.sleep(600)"
    pod["spec"]["initContainers"] = [{"name": "i", "image": "conch.test/tools", "command": ["python3", "-c", code]}]
    pod["metadata"]["finalizers"] = ["conch.test/kept"]
    workload.create(pod)
    workload.wait("leaving", lambda status: status.get("initContainerStatuses", [{}])[0].get("started"))
    workload.kubectl("delete", "pod", "leaving", "--wait=false")
    status = workload.wait("leaving", lambda status: status["phase"] == "Failed")
    assert status["initContainerStatuses"][0]["state"]["terminated"]["exitCode"] == 0
    assert waiting_reason(status) == "PodInitializing"
    workload.kubectl("patch", "pod", "leaving", "--type=merge", "--patch", '{"metadata":{"finalizers":null}}')


def test_force_deletion_ends_the_process(workload: Workload) -> None:
    workload.create(tool("forced", "import time\nwhile True: print('alive', flush=True); time.sleep(0.1)"))
    workload.wait("forced", is_ready)
    address = workload.get("pod", "forced")["status"]["podIP"]
    workload.kubectl("delete", "pod", "forced", "--force", "--grace-period=0")
    until(lambda: workload.agent.pods(), lambda pods: address not in pods.values())


def test_liveness_failure_restarts_with_grace(workload: Workload) -> None:
    probe = {"exec": {"command": ["test", "-e", "/tmp/alive"]}, "periodSeconds": 1, "failureThreshold": 2}
    code = "import pathlib, time; p = pathlib.Path('/tmp/alive'); p.touch(); time.sleep(2); p.unlink(); time.sleep(600)"
    workload.create(tool("mortal", code, {"livenessProbe": probe}, shareProcessNamespace=True))
    status = workload.wait("mortal", lambda status: main_container(status).get("restartCount", 0) >= 1)
    assert main_container(status)["lastState"]["terminated"]["exitCode"] == 143
    assert "failed liveness probe" in workload.events("mortal")["Killing"]


def test_startup_probe_holds_the_others_back(workload: Workload) -> None:
    probes = {
        "startupProbe": {"exec": {"command": ["test", "-e", "/tmp/up"]}, "periodSeconds": 1, "failureThreshold": 30},
        "livenessProbe": {"exec": {"command": ["test", "-e", "/tmp/up"]}, "periodSeconds": 1, "failureThreshold": 1},
    }
    code = "import pathlib, time; time.sleep(3); pathlib.Path('/tmp/up').touch(); time.sleep(600)"
    workload.create(tool("late", code, probes))
    status = workload.wait("late", lambda status: status["phase"] == "Running")
    assert (main_container(status)["started"], is_ready(status)) == (False, False)
    status = workload.wait("late", is_ready)
    assert main_container(status)["restartCount"] == 0


def test_logs_follow_and_tail(workload: Workload) -> None:
    code = "import time\nfor n in range(20): print(n, flush=True); time.sleep(0.1)"
    workload.create(tool("talking", code, restartPolicy="Never"))
    workload.wait("talking", lambda status: status["phase"] != "Pending")
    assert workload.kubectl("logs", "--follow", "talking").split() == [str(number) for number in range(20)]
    assert workload.kubectl("logs", "--tail=2", "talking").split() == ["18", "19"]
    assert workload.kubectl("logs", "--timestamps", "--tail=1", "talking").split()[1] == "19"


def test_an_unknown_image_is_pulled_in_vain(workload: Workload) -> None:
    pod = tool("unknown", SLEEP)
    pod["spec"]["containers"][0]["image"] = "nobody.example/nothing:1"
    workload.create(pod)
    workload.wait("unknown", lambda status: waiting_reason(status) == "ErrImagePull")
    workload.wait("unknown", lambda status: waiting_reason(status) == "ImagePullBackOff")


def test_pods_find_each_other_and_the_names_of_their_services(workload: Workload) -> None:
    code = "import http.server; http.server.ThreadingHTTPServer(('', 8000), http.server.SimpleHTTPRequestHandler).serve_forever()"  # noqa: E501
    for name in ("one", "two"):
        workload.create(tool(name, code, {"readinessProbe": {"tcpSocket": {"port": 8000}, "periodSeconds": 1}}))
    workload.kubectl("expose", "pod", "one", "--port=80", "--target-port=8000", "--name=my-one")
    for name in ("one", "two"):
        workload.wait(name, is_ready)
    asked = f"import os\nADDRESS = os.environ['MY_ONE_SERVICE_HOST']{FETCH}"
    assert workload.run("asking", asked).strip() == "200"
    variables = json.loads(workload.run("unlinked", "import os, json; print(json.dumps(dict(os.environ)))",
                                        enableServiceLinks=False))  # fmt: skip
    assert "MY_ONE_SERVICE_HOST" not in variables
    assert variables["KUBERNETES_SERVICE_HOST"] == "10.96.0.1"
    assert variables["HOSTNAME"] == "unlinked"
