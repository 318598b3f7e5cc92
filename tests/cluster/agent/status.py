"""The status of a pod, computed from what its containers do: pure, written as a kubelet writes it.

Source of the rules: kubelet's `getPhase`, `generateAPIPodStatus` and `pkg/kubelet/status/generate.go`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cluster.agent.objects import Object, timestamp
from cluster.agent.states import ContainerRecord, Running, State, Terminated, Waiting

# Conditions that a kubelet owns; all others are somebody else's.
OWNED: Final = ("PodReadyToStartContainers", "Initialized", "ContainersReady", "Ready")


@dataclass(frozen=True, slots=True)
class Refusal:
    """The node would not take the pod; it is over before it began."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class PodState:
    """What the node knows of a pod. `address` is empty until it has a network; `over`: nothing will start again."""

    pod: Object
    host_address: str
    started: datetime
    address: str
    init: tuple[ContainerRecord, ...]
    containers: tuple[ContainerRecord, ...]
    over: bool = False
    refusal: Refusal | None = None


def pod_status(state: PodState, previous: Object, now: datetime) -> Object:
    """The part of `status` that a node writes; `previous` keeps the times of conditions that did not change."""
    if state.refusal:
        return _refused(state, state.refusal)
    phase = pod_phase(state)
    return {
        "phase": phase,
        "hostIP": state.host_address,
        "hostIPs": [{"ip": state.host_address}],
        "startTime": timestamp(state.started),
        **({"podIP": state.address, "podIPs": [{"ip": state.address}]} if state.address else {}),
        "conditions": _conditions(state, phase, previous, now),
        **({"initContainerStatuses": [_init_container(record) for record in state.init]} if state.init else {}),
        "containerStatuses": [_container(record) for record in state.containers],
        "qosClass": previous.get("qosClass", state.pod.get("status", {}).get("qosClass", "BestEffort")),
    }


def _refused(state: PodState, refusal: Refusal) -> Object:
    return {
        "phase": "Failed",
        "reason": refusal.reason,
        "message": f"Pod was rejected: {refusal.message}",
        "startTime": timestamp(state.started),
    }


def pod_phase(state: PodState) -> str:
    """Pending, Running, Succeeded or Failed."""
    policy = state.pod["spec"].get("restartPolicy", "Always")
    if _failed_init(state, policy):
        return "Failed"
    if not is_initialized(state):
        return "Failed" if state.over else "Pending"
    ended = [_ending(record) for record in state.containers]
    if any(isinstance(record.state, Running) for record in state.containers) and not any(
        _never_ran(record) for record in state.containers
    ):
        return "Running"
    if None in ended:
        return "Failed" if state.over else "Pending"
    if policy == "Always" and not state.over:
        return "Running"
    if all(end is not None and end.exit_code == 0 for end in ended):
        return "Succeeded"
    return "Failed" if state.over or policy == "Never" else "Running"


def _never_ran(record: ContainerRecord) -> bool:
    return isinstance(record.state, Waiting) and record.last is None


def _ending(record: ContainerRecord) -> Terminated | None:
    """How it ended last, also while it waits to run again."""
    return record.state if isinstance(record.state, Terminated) else record.last


def _failed_init(state: PodState, policy: str) -> bool:
    return policy == "Never" and any(
        isinstance(record.state, Terminated) and record.state.exit_code != 0 and not record.is_sidecar
        for record in state.init
    )


def is_initialized(state: PodState) -> bool:
    """Every init container has done its work, every sidecar has started."""
    return all(record.started if record.is_sidecar else record.succeeded for record in state.init)


def _conditions(state: PodState, phase: str, previous: Object, now: datetime) -> list[Object]:
    before = {condition["type"]: condition for condition in previous.get("conditions") or ()}
    generation = state.pod["metadata"].get("generation")
    found = {
        "PodReadyToStartContainers": (bool(state.address) and phase in ("Pending", "Running"), "", ""),
        "Initialized": _initialized(state, phase),
        "ContainersReady": _containers_ready(state, phase),
        "Ready": _ready(state, phase),
    }
    return [
        _condition(kind, found[kind], before.get(kind), now)
        | ({"observedGeneration": generation} if generation else {})
        for kind in OWNED
    ]


def _condition(kind: str, found: tuple[bool, str, str], before: Object | None, now: datetime) -> Object:
    truth, reason, message = found
    status = "True" if truth else "False"
    changed = before is None or before["status"] != status
    return {
        "type": kind,
        "status": status,
        "lastProbeTime": None,
        "lastTransitionTime": timestamp(now) if changed or before is None else before["lastTransitionTime"],
        # An empty text takes away an earlier one, which a left out field would not.
        "reason": reason or None,
        "message": message or None,
    }


def _initialized(state: PodState, phase: str) -> tuple[bool, str, str]:
    incomplete = [
        record.name for record in state.init if not (record.started if record.is_sidecar else record.succeeded)
    ]
    if phase == "Succeeded":
        return True, "PodCompleted", ""
    if incomplete:
        return False, "ContainersNotInitialized", f"containers with incomplete status: [{' '.join(incomplete)}]"
    return True, "", ""


def _containers_ready(state: PodState, phase: str) -> tuple[bool, str, str]:
    if phase == "Succeeded":
        return False, "PodCompleted", ""
    if phase == "Failed":
        return False, "PodFailed", ""
    unready = [record.name for record in (*_sidecars(state), *state.containers) if not record.ready]
    if unready:
        return False, "ContainersNotReady", f"containers with unready status: [{' '.join(unready)}]"
    return True, "", ""


def _sidecars(state: PodState) -> Sequence[ContainerRecord]:
    return [record for record in state.init if record.is_sidecar]


def _ready(state: PodState, phase: str) -> tuple[bool, str, str]:
    containers = _containers_ready(state, phase)
    if not containers[0]:
        return containers
    given: Mapping[str, str] = {
        condition["type"]: condition["status"] for condition in state.pod.get("status", {}).get("conditions") or ()
    }
    gates = [gate["conditionType"] for gate in state.pod["spec"].get("readinessGates") or ()]
    closed = [gate for gate in gates if given.get(gate) != "True"]
    if closed:
        message = ", ".join(f'the status of pod readiness gate "{gate}" is not "True"' for gate in closed)
        return False, "ReadinessGatesNotReady", message
    return True, "", ""


def _init_container(record: ContainerRecord) -> Object:
    """An init container is ready when its work is done."""
    return _container(record) | ({} if record.is_sidecar else {"ready": record.succeeded})


def _container(record: ContainerRecord) -> Object:
    return {
        "name": record.name,
        "image": record.spec["image"],
        "imageID": record.image_id,
        **({"containerID": record.container_id} if record.container_id else {}),
        "restartCount": record.restarts,
        "ready": record.ready,
        "started": record.started,
        "state": _state(record.state, record.container_id),
        "lastState": _state(record.last, "") if record.last else {},
    }


def _state(state: State, container_id: str) -> Object:
    match state:
        case Waiting(reason, message):
            return {"waiting": {"reason": reason, **({"message": message} if message else {})}}
        case Running(since):
            return {"running": {"startedAt": timestamp(since)}}
        case Terminated():
            return {
                "terminated": {
                    "exitCode": state.exit_code,
                    "reason": state.reason,
                    **({"message": state.message} if state.message else {}),
                    "startedAt": timestamp(state.started),
                    "finishedAt": timestamp(state.finished),
                    **({"containerID": container_id} if container_id else {}),
                }
            }
