"""A process of the simulator: what it is started with, and how it ends."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

SEGMENTATION_FAULT: Final = 139
"""128 + SIGSEGV."""

KILLED: Final = 137
"""128 + SIGKILL."""

TERMINATED: Final = 143
"""128 + SIGTERM, of a process that has no handler for it."""


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """What a node agent knows when it starts a container."""

    image: str
    command: tuple[str, ...]
    """The program and its arguments, with the pod's variables already expanded."""
    env: Mapping[str, str]
    address: str
    """The address of the pod: servers listen here and nowhere else."""
    root: Callable[[str], Path]
    """Maps an absolute path inside the container to the host path that backs it."""
    log: Callable[[str], None]
    """Takes one line of the container's output, without its newline."""
    is_pid_one: bool
    """False when something else reaps and forwards, as with `shareProcessNamespace`: it decides what SIGTERM does."""
    settings: Mapping[str, Any]
    """The simulator's own settings (`settings.Settings`); strings and kebab-case are accepted."""


class Exit(Exception):
    """Ends the program from anywhere inside it."""

    def __init__(self, code: int) -> None:
        """`code`: the exit code of the process."""
        super().__init__(code)
        self.code = code


class UnhandledSigterm:
    """SIGTERM for a program that has no handler (yet): it dies at once, but PID 1 never hears of it."""

    def __init__(self, *, is_pid_one: bool) -> None:
        """`is_pid_one`: whether the process is the first of its PID namespace."""
        self._is_pid_one = is_pid_one
        self._received = asyncio.Event()

    def receive(self) -> None:
        """SIGTERM has come."""
        if not self._is_pid_one:
            self._received.set()

    async def sleep(self, seconds: float | None) -> None:
        """Sleeps that long, for ever when None; raises `Exit(143)` as soon as the signal kills the process."""
        try:
            async with asyncio.timeout(seconds):
                await self._received.wait()
        except TimeoutError:
            return
        raise Exit(TERMINATED)
