"""A hundred engines at once: what they cost."""

import os
import time

import pytest

from cluster.agent_tests.workload import Workload, deployment, engine

pytestmark = pytest.mark.agent

COUNT = 100
REST_SECONDS = 10.0


def cpu_seconds(workload: Workload) -> float:
    """CPU time of the agent so far."""
    script = "for p in /proc/[0-9]*; do grep -qs cluster.agent $p/cmdline && tr -d '\\n' <$p/stat && echo; done; true"
    stats = workload.cluster.enter("sh", "-c", script).splitlines()
    ticks = [sum(map(int, stat.rsplit(")", 1)[1].split()[11:13])) for stat in stats if "python" in stat]
    return max(ticks) / os.sysconf("SC_CLK_TCK")


@pytest.mark.timeout(240)
def test_a_hundred_engines_are_ready_soon_and_rest_cheaply(workload: Workload) -> None:
    before, began = cpu_seconds(workload), time.monotonic()
    workload.create(deployment(engine("many", nodeSelector={"kubernetes.io/hostname": "cpu-0"}), COUNT))
    workload.kubectl("rollout", "status", "deployment/many", "--timeout=120s")
    ready_seconds, start_cpu = time.monotonic() - began, cpu_seconds(workload) - before
    before = cpu_seconds(workload)
    time.sleep(REST_SECONDS)
    rest = (cpu_seconds(workload) - before) / REST_SECONDS
    print(f"{COUNT} engines ready after {ready_seconds:.1f} s with {start_cpu:.1f} CPU s; then {rest:.0%} of a core")
    assert ready_seconds < 60
    # Each is probed once a second.
    assert rest < 0.6
