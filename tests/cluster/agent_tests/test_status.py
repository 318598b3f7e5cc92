"""The status of a pod as a function of what its containers do."""

from datetime import UTC, datetime, timedelta

import pytest

from cluster.agent.objects import Object
from cluster.agent.states import ContainerRecord, Running, State, Terminated, Waiting
from cluster.agent.status import PodState, Refusal, pod_phase, pod_status

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
WAITING = Waiting("ContainerCreating")
RUNNING = Running(NOW)


def ended(code: int) -> Terminated:
    return Terminated(code, "Completed" if code == 0 else "Error", "", NOW, NOW)


def record(state: State, **more: object) -> ContainerRecord:
    spec: Object = {"name": "c", "image": "i", **more.pop("spec", {})}  # type: ignore[dict-item]
    return ContainerRecord(spec, state, **more)  # type: ignore[arg-type]


def state(
    *containers: ContainerRecord, init: tuple[ContainerRecord, ...] = (), policy: str = "Always", over: bool = False
) -> PodState:
    pod: Object = {"metadata": {"name": "p"}, "spec": {"restartPolicy": policy}}
    return PodState(pod, "10.244.0.16", NOW, "10.244.1.2", init, containers, over)


@pytest.mark.parametrize(
    ("policy", "states", "phase"),
    [
        ("Always", [WAITING], "Pending"),
        ("Always", [RUNNING, WAITING], "Pending"),
        ("Always", [RUNNING, ended(1)], "Running"),
        ("Always", [ended(0)], "Running"),
        ("OnFailure", [ended(1)], "Running"),
        ("OnFailure", [ended(0), ended(0)], "Succeeded"),
        ("Never", [ended(0), ended(1)], "Failed"),
        ("Never", [ended(0), RUNNING], "Running"),
        ("Never", [ended(0), ended(0)], "Succeeded"),
    ],
)
def test_phase_follows_the_containers(policy: str, states: list[State], phase: str) -> None:
    assert pod_phase(state(*map(record, states), policy=policy)) == phase


def test_a_container_that_waits_to_run_again_does_not_make_the_pod_pending() -> None:
    assert pod_phase(state(record(Waiting("CrashLoopBackOff"), last=ended(1)))) == "Running"


def test_a_pod_that_is_over_is_told_by_its_exit_codes() -> None:
    assert pod_phase(state(record(ended(0)), over=True)) == "Succeeded"
    assert pod_phase(state(record(ended(137)), over=True)) == "Failed"
    assert pod_phase(state(record(WAITING), over=True)) == "Failed"


def test_init_containers_hold_the_pod_pending_and_may_fail_it() -> None:
    assert pod_phase(state(record(WAITING), init=(record(RUNNING),))) == "Pending"
    assert pod_phase(state(record(WAITING), init=(record(ended(1)),), policy="Never")) == "Failed"
    assert pod_phase(state(record(RUNNING), init=(record(ended(0)),))) == "Running"


def test_a_sidecar_counts_once_it_has_started() -> None:
    sidecar = {"restartPolicy": "Always"}
    before, after = (record(RUNNING, spec=sidecar, started=started, ready=True) for started in (False, True))
    assert pod_phase(state(record(RUNNING), init=(before,))) == "Pending"
    assert pod_phase(state(record(RUNNING), init=(after,))) == "Running"


def conditions(status: Object) -> dict[str, tuple[str, str | None]]:
    return {one["type"]: (one["status"], one["reason"]) for one in status["conditions"]}


def test_ready_waits_for_all_containers_and_gates() -> None:
    unready = pod_status(state(record(RUNNING, ready=True), record(RUNNING)), {}, NOW)
    assert conditions(unready)["Ready"] == ("False", "ContainersNotReady")
    gated = state(record(RUNNING, ready=True))
    gated.pod["spec"]["readinessGates"] = [{"conditionType": "example.com/gate"}]
    assert conditions(pod_status(gated, {}, NOW))["Ready"] == ("False", "ReadinessGatesNotReady")
    assert conditions(pod_status(gated, {}, NOW))["ContainersReady"] == ("True", None)
    gated.pod["status"] = {"conditions": [{"type": "example.com/gate", "status": "True"}]}
    assert conditions(pod_status(gated, {}, NOW))["Ready"] == ("True", None)


def test_a_condition_keeps_its_time_until_it_changes() -> None:
    first = pod_status(state(record(RUNNING)), {}, NOW)
    later = NOW + timedelta(minutes=1)
    second = pod_status(state(record(RUNNING)), first, later)
    assert second == first
    third = pod_status(state(record(RUNNING, ready=True)), second, later)
    times = {one["type"]: one["lastTransitionTime"] for one in third["conditions"]}
    assert (times["Initialized"], times["Ready"]) == ("2026-11-23T12:00:00Z", "2026-11-23T12:01:00Z")


def test_a_refused_pod_says_so_and_nothing_else() -> None:
    refused = PodState(
        {"metadata": {}, "spec": {}}, "", NOW, "", (), (), refusal=Refusal("UnexpectedAdmissionError", "no GPUs")
    )
    status = pod_status(refused, {}, NOW)
    assert (status["phase"], status["reason"]) == ("Failed", "UnexpectedAdmissionError")
    assert "containerStatuses" not in status
