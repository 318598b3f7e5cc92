"""Why a slot does not serve, from what kubelet, scheduler and ReplicaSet controller write."""

from datetime import UTC, datetime
from typing import Any

import pytest

from conch.api.conditions import Reason
from conch.manifests.identity import Slot
from conch.rollout.diagnosis import NEEDS_CAPACITY, NEEDS_USER, Diagnosis, diagnose
from rollout.observed import Object, pod, replica_set

SLOT = Slot(0, 0)
CREATED = datetime(2026, 11, 1, 12, 0, 0, tzinfo=UTC)
LAST_READY = datetime(2026, 11, 1, 13, 0, 0, tzinfo=UTC)
STARTED = datetime(2026, 11, 1, 12, 0, 5, tzinfo=UTC)
SCHEDULED = {"type": "PodScheduled", "status": "True"}
NOT_READY = {"type": "Ready", "status": "False", "lastTransitionTime": "2026-11-01T12:00:05Z"}
RUNNING = {"running": {"startedAt": "2026-11-01T12:01:00Z"}}


def seen(*conditions: Object, **status: Any) -> Object:
    """A pod that does not serve, with this status."""
    made = pod(SLOT, ready=False)
    made["status"] = {"startTime": STARTED.isoformat(), "conditions": list(conditions), **status}
    return made


def engine(state: Object, *, started: bool = False, last: Object | None = None, restarts: int = 0) -> Object:
    last_state = {"lastState": {"terminated": last}} if last else {}
    return {"name": "engine", "started": started, "state": state, "restartCount": restarts, **last_state}


def running(*containers: Object, weights: Object | None = None) -> Object:
    download = {"initContainerStatuses": [{"name": "weights", **weights}]} if weights else {}
    return seen(SCHEDULED, NOT_READY, containerStatuses=list(containers), **download)


def unscheduled(words: str) -> Object:
    return seen(
        {"type": "PodScheduled", "status": "False", "message": words, "lastTransitionTime": STARTED.isoformat()}
    )


WHERE = "pod m-0-0-xyz12"
CRASH = {"exitCode": 1, "message": "ValueError: no such\nargument\n"}
WAITS = engine({"waiting": {"reason": "PodInitializing"}})

PODS: dict[str, tuple[Object, Reason, str, datetime]] = {
    "not seen by the scheduler yet": (seen(), Reason.STARTING, f"{WHERE} waits for the scheduler", CREATED),
    "no GPUs": (
        unscheduled("0/3 nodes are available: 3 Insufficient nvidia.com/gpu."),
        Reason.INSUFFICIENT_GPUS,
        f"{WHERE} cannot be scheduled: 0/3 nodes are available: 3 Insufficient nvidia.com/gpu.",
        CREATED,
    ),
    "no such node": (
        unscheduled("0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector."),
        Reason.UNSCHEDULABLE,
        f"{WHERE} cannot be scheduled: 0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector.",
        CREATED,
    ),
    "no such claim": (
        unscheduled('persistentvolumeclaim "models" not found'),
        Reason.MISSING_REFERENCE,
        f'{WHERE}: persistentvolumeclaim "models" not found',
        STARTED,
    ),
    "the image cannot be pulled": (
        running(engine({"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}})),
        Reason.IMAGE_PULL_FAILED,
        f"{WHERE}, container engine: Back-off pulling image",
        STARTED,
    ),
    "a Secret is missing": (
        running(engine({"waiting": {"reason": "CreateContainerConfigError", "message": 'secret "a" not found'}})),
        Reason.MISSING_REFERENCE,
        f'{WHERE}, container engine: secret "a" not found',
        STARTED,
    ),
    "the weights are downloaded": (
        running(WAITS, weights={"state": RUNNING}),
        Reason.STARTING,
        f"{WHERE} downloads the weights",
        STARTED,
    ),
    "the download failed": (
        running(WAITS, weights={"state": {"terminated": {"exitCode": 1, "message": "acme/x is gated"}}}),
        Reason.WEIGHTS_FAILED,
        f"{WHERE}, container weights exited with code 1: acme/x is gated",
        STARTED,
    ),
    "the download failed and is tried again": (
        running(WAITS, weights={"state": RUNNING, "lastState": {"terminated": {"exitCode": 1, "message": "503"}}}),
        Reason.WEIGHTS_FAILED,
        f"{WHERE}, container weights exited with code 1: 503",
        STARTED,
    ),
    "the download failed once, then worked: no trouble any more": (
        running(
            engine(RUNNING),
            weights={"state": {"terminated": {"exitCode": 0}}, "lastState": {"terminated": {"exitCode": 1}}},
        ),
        Reason.STARTING,
        f"{WHERE} loads the model",
        STARTED,
    ),
    "the engine loads": (running(engine(RUNNING)), Reason.STARTING, f"{WHERE} loads the model", STARTED),
    "the engine crashed while loading": (
        running(engine(RUNNING, last=CRASH, restarts=1)),
        Reason.START_FAILED,
        f"{WHERE}, container engine exited with code 1: ValueError: no such argument, 1 restarts",
        STARTED,
    ),
    "the engine crashes again and again": (
        running(engine({"waiting": {"reason": "CrashLoopBackOff"}}, last=CRASH, restarts=4)),
        Reason.CRASH_LOOP,
        f"{WHERE}, container engine exited with code 1: ValueError: no such argument, 4 restarts",
        STARTED,
    ),
    "the engine exits as if all were well, again and again": (
        running(engine({"waiting": {"reason": "CrashLoopBackOff"}}, last={"exitCode": 0}, restarts=4)),
        Reason.CRASH_LOOP,
        f"{WHERE}, container engine exited with code 0, 4 restarts",
        STARTED,
    ),
    "the engine ran out of memory": (
        running(engine(RUNNING, last={"exitCode": 137, "reason": "OOMKilled"}, restarts=1)),
        Reason.START_FAILED,
        f"{WHERE}, container engine exited with code 137 (out of memory), 1 restarts",
        STARTED,
    ),
    "loaded, but its readiness was not probed yet": (
        running(engine(RUNNING, started=True)),
        Reason.STARTING,
        f"{WHERE} is loaded and about to serve",
        STARTED,
    ),
    "served once and does not answer now": (
        seen(
            SCHEDULED,
            {**NOT_READY, "lastTransitionTime": LAST_READY.isoformat()},
            containerStatuses=[engine(RUNNING, started=True)],
        ),
        Reason.NOT_READY,
        f"{WHERE} does not answer its readiness probe",
        LAST_READY,
    ),
}


@pytest.mark.parametrize(("observed", "reason", "message", "since"), PODS.values(), ids=PODS.keys())
def test_a_pod_that_does_not_serve(observed: Object, reason: Reason, message: str, since: datetime) -> None:
    assert diagnose(replica_set(SLOT), [observed]) == Diagnosis(reason, message, since)


def test_a_slot_that_serves_has_no_diagnosis() -> None:
    assert diagnose(replica_set(SLOT), [pod(SLOT)]) is None


def test_a_pod_that_may_not_be_made_is_told_by_its_replica_set() -> None:
    refused = replica_set(SLOT)
    refused["status"] = {
        "conditions": [{"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: gpus"}]
    }
    assert diagnose(refused, []) == Diagnosis(Reason.POD_CREATION_FAILED, "no pod can be created: exceeded quota: gpus")


@pytest.mark.parametrize("pods", [[], [pod(SLOT, terminating=True)]], ids=["none", "terminating"])
def test_a_pod_that_is_not_made_yet_is_starting(pods: list[Object]) -> None:
    assert diagnose(replica_set(SLOT), pods) == Diagnosis(Reason.STARTING, "its pod is not created yet")


def test_a_pod_that_its_node_refused_tells_why() -> None:
    refused = pod(SLOT, phase="Failed")
    refused["status"] |= {"reason": "UnexpectedAdmissionError", "message": "no free GPU"}
    diagnosis = diagnose(replica_set(SLOT), [refused])
    assert diagnosis is not None
    assert diagnosis.reason is Reason.START_FAILED
    assert diagnosis.message.endswith("UnexpectedAdmissionError no free GPU")


def test_last_words_are_cut_to_their_end() -> None:
    long = {"exitCode": 1, "message": "x" * 5000 + " the end"}
    diagnosis = diagnose(replica_set(SLOT), [running(engine(RUNNING, last=long))])
    assert diagnosis is not None
    assert "the end" in diagnosis.message
    assert len(diagnosis.message) < 600


def test_no_reason_is_both_waited_for_and_acted_upon() -> None:
    assert not NEEDS_CAPACITY & NEEDS_USER
