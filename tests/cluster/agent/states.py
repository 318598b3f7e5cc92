"""What a container is doing, as values. `status` turns them into what the API server is told."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias

from cluster.agent.objects import Object


@dataclass(frozen=True, slots=True)
class Waiting:
    """Not running, and why not."""

    reason: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class Running:
    """Since when."""

    since: datetime


@dataclass(frozen=True, slots=True)
class Terminated:
    """How it ended."""

    exit_code: int
    reason: str
    message: str
    started: datetime
    finished: datetime


State: TypeAlias = Waiting | Running | Terminated


@dataclass(frozen=True, slots=True)
class ContainerRecord:
    """All that is known of one container of a pod. `started`: past its startup probe. `spec` is the pod's."""

    spec: Object
    state: State
    image_id: str = ""
    container_id: str = ""
    restarts: int = 0
    last: Terminated | None = None
    ready: bool = False
    started: bool = False

    @property
    def name(self) -> str:
        return str(self.spec["name"])

    @property
    def is_sidecar(self) -> bool:
        """An init container that goes on running beside the others."""
        return self.spec.get("restartPolicy") == "Always"

    @property
    def succeeded(self) -> bool:
        return isinstance(self.state, Terminated) and self.state.exit_code == 0


def initial_records(pod: Object, specs: str, statuses: str) -> Iterator[ContainerRecord]:
    """The containers under `specs` before they start, with what an earlier agent wrote of them under `statuses`."""
    before = {status["name"]: status for status in pod.get("status", {}).get(statuses) or ()}
    reason = "PodInitializing" if pod["spec"].get("initContainers") else "ContainerCreating"
    for spec in pod["spec"].get(specs) or ():
        known = before.get(spec["name"], {})
        yield ContainerRecord(
            spec=spec,
            state=Waiting(reason),
            container_id=known.get("containerID", ""),
            restarts=known.get("restartCount", 0),
            last=_lost(known),
        )


def _lost(status: Object) -> Terminated | None:
    """How a container ended that ran when an earlier agent, or the node, died."""
    since = (status.get("state", {}).get("running") or {}).get("startedAt")
    if since is None:
        return None
    message = "The container could not be located when the node came back"
    return Terminated(137, "ContainerStatusUnknown", message, datetime.fromisoformat(since), datetime.now(UTC))
