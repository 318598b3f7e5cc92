"""What starts a container, and what is then held of it. `simulated` and `process` are the two kinds."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from cluster.agent.mounts import Mounts
from cluster.agent.objects import Object


class StartError(Exception):
    """The container cannot be started; the text says why, as containerd would."""


@dataclass(frozen=True, slots=True)
class Launch:
    """Everything that a container is started with. `network`: the pod's network namespace, if it has its own."""

    pod: Object
    container: Object
    command: tuple[str, ...]
    environment: Mapping[str, str]
    address: str
    network: int | None
    mounts: Mounts
    log: Callable[[str], None]
    settings: Mapping[str, Any]
    folder: Path


class RunningContainer(Protocol):
    """A started container. Signals return at once."""

    async def wait(self) -> int:
        """The exit code, once it has ended; 128 and more when a signal ended it."""

    def terminate(self) -> None:
        """SIGTERM."""

    def kill(self) -> None:
        """SIGKILL."""

    async def execute(self, command: Sequence[str]) -> int:
        """Runs a command inside and returns its exit code; cancelled, the command is killed."""


class Runtime(Protocol):
    """Starts containers of one kind. `has_network`: whether pods get a network namespace of their own."""

    has_network: bool

    async def start(self, launch: Launch) -> RunningContainer:
        """Raises `StartError`."""
