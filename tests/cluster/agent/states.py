"""What a container is doing, as values. `status` turns them into what the API server is told."""

from dataclasses import dataclass
from datetime import datetime
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
