"""Changes that work, changes that do not, and an operator that is away in the middle of one."""

import json
from collections.abc import Callable

import pytest

from cluster.cluster import Cluster
from cluster.state import REPOSITORY
from integration.deployments import COMMIT, FAST, Namespace, gpus, is_terminating, uids
from integration.operator_under_test import OperatorUnderTest, checkout_process
from integration.tools import run_tool, service_url
from integration.waiting import stays, until

pytestmark = [pytest.mark.cluster, pytest.mark.agent]

CRASHING = {**FAST, "agent.conch.test/fault": "crash"}
UNPULLABLE = {**FAST, "agent.conch.test/fault": "pull-error"}


@pytest.mark.timeout(600)
def test_a_rollout_under_load_loses_no_request(
    namespace: Namespace, record_property: Callable[[str, object], None]
) -> None:
    quick_drain = {"drainSeconds": 10}  # kept connections hold an engine until then
    deployment = namespace.apply("busy", replicas=3, engine=quick_drain)
    deployment.wait_rolled_out()
    before = uids(deployment.pods())
    url, seconds = service_url(namespace, "busy"), "170"
    load = [
        run_tool(namespace, "python3", "-m", "load", url, "busy", "--connections", kind, "--seconds", seconds)
        for kind in ("new", "kept")
    ]
    for pod in load:
        pod.wait_started()
    deployment.edit(engine={**quick_drain, "maxModelLength": 4096}).wait_rolled_out(160)
    assert not before & uids(deployment.pods())
    assert {pod.phase() for pod in load} == {"Running"}, "the load ended before the rollout did"
    new, kept = (pod.result(200) for pod in load)
    record_property("measured", f"rollout of 3 engines: new connections {new}, kept connections {kept}")
    assert new["answered"] > 100
    assert new["lost"] == 0, new


def test_in_place_a_bad_revision_costs_one_engine_and_a_good_one_heals(namespace: Namespace) -> None:
    deployment = namespace.apply("careful", replicas=3, engine={"startupSeconds": 60})
    deployment.wait_rolled_out()
    before = uids(deployment.pods())
    bad = deployment.edit(pod={"annotations": CRASHING})
    reconciling = until(
        lambda: bad.condition("Reconciling"), lambda seen: seen.get("reason") in ("CrashLoop", "StartFailed"), 60
    )
    assert "careful-" in reconciling["message"]
    stalled = bad.wait_for("Stalled", seconds=100)
    assert stalled["reason"] in ("CrashLoop", "StartFailed")
    assert len(before & uids(bad.pods())) == 2
    assert bad.condition("Available")["status"] == "True"
    assert bad.condition("Ready")["status"] == "False"
    good = bad.edit(pod={"annotations": FAST})
    good.wait_rolled_out()
    assert len(before & uids(good.pods())) == 2


def test_a_surged_bad_revision_leaves_the_old_engine_serving(namespace: Namespace) -> None:
    deployment = namespace.apply("single")
    deployment.wait_rolled_out()
    before = uids(deployment.pods())
    bad = deployment.edit(pod={"annotations": UNPULLABLE})
    until(lambda: bad.condition("Ready"), lambda seen: seen.get("reason") == "ImagePullFailed", 30)
    stays(lambda: uids(bad.pods()), lambda seen: before <= seen, 5)
    bad.edit(pod={"annotations": FAST}).wait_rolled_out()
    assert uids(deployment.pods()) == before


def test_in_place_on_a_single_engine_is_honoured(namespace: Namespace) -> None:
    in_place = {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}
    deployment = namespace.apply("alone", rollout=in_place)
    deployment.wait_rolled_out()
    changed = deployment.edit(engine={"maxModelLength": 4096})
    seen_gpus = []

    def watch() -> bool:
        pods = namespace.get("pod", "--selector", "conch.dev/name=alone")
        seen_gpus.append(gpus(pods))
        return bool(changed.condition("Ready").get("status") == "True" and not changed.condition("Reconciling"))

    until(watch, bool, 90)
    assert max(seen_gpus) == 1


def test_an_argument_that_the_release_refuses_stalls_and_changes_nothing(namespace: Namespace) -> None:
    deployment = namespace.apply("typed")
    deployment.wait_rolled_out()
    before = uids(deployment.pods())
    wrong = deployment.edit(engine={"extraArgs": [{"name": "block_size", "value": "many"}]})
    stalled = wrong.wait_for("Stalled", seconds=20)
    assert stalled["reason"] == "InvalidSpec"
    assert "block_size" in stalled["message"]
    assert uids(wrong.pods()) == before


@pytest.mark.timeout(400)
def test_an_operator_killed_in_the_middle_finishes_and_doubles_nothing(
    operator: OperatorUnderTest, namespace: Namespace
) -> None:
    deployment = namespace.apply("interrupted", replicas=3)
    deployment.wait_rolled_out()
    before = uids(deployment.pods())
    changed = deployment.edit(engine={"maxModelLength": 4096})
    until(lambda: before - uids(changed.pods()), bool, 30)
    operator.kill()
    most = []

    def finished() -> bool:
        pods = namespace.get("pod", "--selector", "conch.dev/name=interrupted")
        most.append(len(pods))
        alive = {pod["metadata"]["uid"] for pod in pods if not is_terminating(pod)}
        return len(alive) == 3 and not before & alive and not changed.condition("Reconciling")

    until(finished, bool, 150)
    assert max(most) <= 3
    assert len(namespace.get("replicaset")) == 3


@pytest.mark.timeout(400)
def test_an_upgrade_with_another_renderer_and_a_new_field_restarts_nothing(
    cluster: Cluster, operator: OperatorUnderTest, namespace: Namespace
) -> None:
    deployment = namespace.apply("kept", replicas=2)
    deployment.wait_rolled_out()
    before = uids(deployment.pods())
    operator.stop()
    try:
        with checkout_process(cluster, "-m", "integration.changed_operator"):
            until(lambda: deployment.condition("UpdateAvailable"), bool, 40)
            deployment.edit(replicas=3).wait_rolled_out()
            assert before <= uids(deployment.pods())
            graces = {pod["spec"]["terminationGracePeriodSeconds"] for pod in deployment.pods()}
            assert len(graces) == 1
            # The changed renderer is at work for whoever asks: otherwise this test could not fail.
            asked = deployment.edit(replicas=3, engine={"maxModelLength": 4096})
            until(lambda: {pod["spec"]["terminationGracePeriodSeconds"] for pod in asked.pods()} - graces, bool, 60)
    finally:
        cluster.kubectl("apply", "--server-side", "--force-conflicts", "--filename", str(REPOSITORY / "crds"))
        operator.start()


def test_a_claim_that_does_not_exist_is_named(namespace: Namespace) -> None:
    deployment = namespace.apply(
        "claimed",
        model={
            "huggingFace": {"repo": "Qwen/Qwen3-8B", "revision": COMMIT},
            "cache": {"persistentVolumeClaim": {"claimName": "not-there"}},
        },
    )
    ready = until(lambda: deployment.condition("Ready"), lambda seen: seen.get("reason") == "MissingReference", 30)
    assert "not-there" in ready["message"]


def test_missing_gpus_are_counted(namespace: Namespace) -> None:
    deployment = namespace.apply("greedy", replicas=6, parallelism={"tensor": 8})
    capacity = deployment.wait_for("CapacityAvailable", "False", 30)
    assert capacity["reason"] == "InsufficientGPUs"
    assert "GPUs are missing" in capacity["message"]
    assert json.dumps(deployment.condition("Stalled")) == "{}"
