"""Why a slot does not serve: read from its pod, or from its ReplicaSet where no pod could be made.

A diagnosis names the pod and repeats the words of the scheduler, kubelet or engine, so that nobody need gather them.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from conch.api.conditions import Reason
from conch.rollout.fleet import Observed, is_finished, is_ready, is_terminating

NEEDS_CAPACITY: Final = frozenset({Reason.INSUFFICIENT_GPUS, Reason.UNSCHEDULABLE, Reason.POD_CREATION_FAILED})
"""Waiting for something outside the resource: never stalled, always worth retrying."""

NEEDS_USER: Final = frozenset(
    {
        Reason.IMAGE_PULL_FAILED,
        Reason.CRASH_LOOP,
        Reason.START_FAILED,
        Reason.STARTUP_TOO_SLOW,
        Reason.MISSING_REFERENCE,
        Reason.WEIGHTS_FAILED,
    }
)
"""Stalled once the start-up budget is spent."""

_PULL_ERRORS: Final = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"})
_REFERENCE_ERRORS: Final = frozenset({"CreateContainerConfigError", "CreateContainerError"})


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Why one slot does not serve, and since when: the start-up budget is counted from there."""

    reason: Reason
    message: str
    since: datetime | None = None


def diagnose(replica_set: Observed | None, pods: Sequence[Observed]) -> Diagnosis | None:
    """The diagnosis of one slot, None when it serves."""
    alive = [pod for pod in pods if not is_terminating(pod) and not is_finished(pod)]
    if not alive:
        return _ended_for_good(pods) or _no_pod(replica_set or {})
    pod = min(alive, key=lambda candidate: candidate["metadata"]["creationTimestamp"])
    if is_ready(pod):
        return None
    return _unscheduled(pod) or _container_trouble(pod) or _starting(pod)


def _ended_for_good(pods: Sequence[Observed]) -> Diagnosis | None:
    """A pod that its node refused or gave up, when no other has taken its place."""
    for pod in pods:
        status = pod.get("status", {})
        if is_finished(pod) and not is_terminating(pod):
            words = f"pod {_name(pod)} ended: {status.get('reason', status.get('phase'))} {status.get('message', '')}"
            return Diagnosis(Reason.START_FAILED, words.strip(), _created(pod))
    return None


def _no_pod(replica_set: Observed) -> Diagnosis:
    since = _created(replica_set)
    for condition in _conditions(replica_set):
        if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
            words = f"no pod can be created: {condition.get('message', '')}"
            return Diagnosis(Reason.POD_CREATION_FAILED, words, since)
    return Diagnosis(Reason.STARTING, "its pod is not created yet", since)


def _unscheduled(pod: Observed) -> Diagnosis | None:
    scheduled = next((item for item in _conditions(pod) if item["type"] == "PodScheduled"), None)
    if scheduled is None:
        return Diagnosis(Reason.STARTING, f"pod {_name(pod)} waits for the scheduler", _created(pod))
    if scheduled["status"] == "True":
        return None
    words = scheduled.get("message", "")
    if "persistentvolumeclaim" in words and "not found" in words:
        return Diagnosis(Reason.MISSING_REFERENCE, f"pod {_name(pod)}: {words}", _time(scheduled))
    lacks_gpus = re.search(r"Insufficient nvidia\.com/", words) is not None
    reason = Reason.INSUFFICIENT_GPUS if lacks_gpus else Reason.UNSCHEDULABLE
    return Diagnosis(reason, f"pod {_name(pod)} cannot be scheduled: {words}", _created(pod))


def _container_trouble(pod: Observed) -> Diagnosis | None:
    status = pod.get("status", {})
    for container in (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())):
        trouble = _trouble(pod, container)
        if trouble is not None:
            return trouble
    return None


def _trouble(pod: Observed, container: Mapping[str, Any]) -> Diagnosis | None:
    waiting = container.get("state", {}).get("waiting") or {}
    last_end = container.get("state", {}).get("terminated") or container.get("lastState", {}).get("terminated") or {}
    where, since = f"pod {_name(pod)}, container {container['name']}", _started(pod)
    why = waiting.get("reason", "")
    if why in _PULL_ERRORS:
        return Diagnosis(Reason.IMAGE_PULL_FAILED, f"{where}: {waiting.get('message', why)}", since)
    if why in _REFERENCE_ERRORS:
        return Diagnosis(Reason.MISSING_REFERENCE, f"{where}: {waiting.get('message', why)}", since)
    if last_end.get("exitCode", 0) == 0 and why != "CrashLoopBackOff":
        return None
    if container["name"] == "weights":
        return Diagnosis(Reason.WEIGHTS_FAILED, f"{where} {_ended(last_end)}", since)
    if container.get("started"):
        return None
    reason = Reason.CRASH_LOOP if why == "CrashLoopBackOff" else Reason.START_FAILED
    return Diagnosis(reason, f"{where} {_ended(last_end)}, {container.get('restartCount', 0)} restarts", since)


def _ended(end: Mapping[str, Any]) -> str:
    words = " ".join(end.get("message", "").split())[-400:]
    cause = " (out of memory)" if end.get("reason") == "OOMKilled" else ""
    return f"exited with code {end.get('exitCode', 'unknown')}{cause}" + (f": {words}" if words else "")


def _starting(pod: Observed) -> Diagnosis:
    engine: Mapping[str, Any] = next(iter(pod.get("status", {}).get("containerStatuses", ())), {})
    if engine.get("started"):
        return _loaded(pod, engine)
    doing = "loads the model" if engine.get("state", {}).get("running") else _waits_for(pod)
    return Diagnosis(Reason.STARTING, f"pod {_name(pod)} {doing}", _started(pod))


def _loaded(pod: Observed, engine: Mapping[str, Any]) -> Diagnosis:
    """Not ready since before its engine started means that readiness was only not probed yet."""
    ready = next((item for item in _conditions(pod) if item["type"] == "Ready"), {})
    engine_started = engine.get("state", {}).get("running", {}).get("startedAt", "")
    if str(ready.get("lastTransitionTime", "")) <= engine_started:
        return Diagnosis(Reason.STARTING, f"pod {_name(pod)} is loaded and about to serve", _started(pod))
    return Diagnosis(Reason.NOT_READY, f"pod {_name(pod)} does not answer its readiness probe", _started(pod))


def _waits_for(pod: Observed) -> str:
    if any(container.get("state", {}).get("running") for container in pod["status"].get("initContainerStatuses", ())):
        return "downloads the weights"
    prepared = next((item for item in _conditions(pod) if item["type"] == "PodReadyToStartContainers"), None)
    if prepared is not None and prepared["status"] == "True":
        return "pulls its image"
    needed = ", ".join(_references(pod))
    return f"waits for its volumes ({needed})" if needed else "waits for its volumes"


def _references(pod: Observed) -> list[str]:
    """The objects of users, not of Conch, that the pod mounts."""
    volumes = pod["spec"].get("volumes", ())
    secrets = [f"Secret {volume['secret']['secretName']}" for volume in volumes if "secret" in volume]
    claims = [
        f"PersistentVolumeClaim {volume['persistentVolumeClaim']['claimName']}"
        for volume in volumes
        if "persistentVolumeClaim" in volume
    ]
    return secrets + claims


def _conditions(observed: Observed) -> Sequence[Mapping[str, Any]]:
    conditions: Sequence[Mapping[str, Any]] = observed.get("status", {}).get("conditions", ())
    return conditions


def _name(pod: Observed) -> str:
    return str(pod["metadata"]["name"])


def _started(pod: Observed) -> datetime | None:
    """Since when it has not been ready: since its start, or since it last was."""
    ready = next((item for item in _conditions(pod) if item["type"] == "Ready"), {})
    return _moment(ready.get("lastTransitionTime") or pod.get("status", {}).get("startTime"))


def _created(observed: Observed) -> datetime | None:
    return _moment(observed.get("metadata", {}).get("creationTimestamp"))


def _moment(stamp: str | None) -> datetime | None:
    return datetime.fromisoformat(stamp) if stamp else None


def _time(condition: Mapping[str, Any]) -> datetime | None:
    return _moment(condition.get("lastTransitionTime"))
