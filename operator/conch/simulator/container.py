"""A container of an engine's image, run inside this process: what a node agent starts, signals and waits for.

The same image serves two commands: `tritonserver ...` serves the model, `python3 ...` (the init container of a pod)
brings the weights. Which one runs is read from the command, as the kernel would.

A container has its own address, its own file system (`root` maps a path inside it to one of this host) and its own
log. Hundreds of them share one event loop; an idle one holds its sockets and no timer.
"""

import asyncio
import traceback
from pathlib import Path
from typing import Protocol

from conch.simulator.process import KILLED, SEGMENTATION_FAULT, ContainerSpec, Exit
from conch.simulator.settings import Settings
from conch.simulator.tritonserver import TritonServer
from conch.simulator.weights import WeightsDownload

__all__ = ["ContainerSpec", "Program", "RunningContainer", "run_container"]


class Program(Protocol):
    """One program of the image."""

    async def run(self) -> int:
        """Runs until the program exits by itself, and returns its exit code; raises `Exit` from anywhere inside."""

    def terminate(self) -> None:
        """What SIGTERM does to this program now."""

    def close(self) -> None:
        """Gives back every socket at once, as the kernel does for a killed process."""


class RunningContainer:
    """A started container. Signals return at once; `wait` tells when it has ended."""

    def __init__(self, program: Program, spec: ContainerSpec, settings: Settings) -> None:
        """Starts the program on the running event loop."""
        self._program = program
        self._log = spec.log
        self._task = asyncio.create_task(self._run(settings.crash_after_seconds), name=f"container {spec.address}")

    async def wait(self) -> int:
        """The exit code, once the program has ended: 137 when killed, 143 when SIGTERM found no handler."""
        await asyncio.wait([self._task])
        return KILLED if self._task.cancelled() else self._task.result()

    def terminate(self) -> None:
        """Sends SIGTERM."""
        if not self._task.done():
            self._program.terminate()

    def kill(self) -> None:
        """Sends SIGKILL: every connection ends here and now, and `wait` returns 137."""
        if self._task.done():
            return
        self._program.close()
        self._task.cancel()

    async def _run(self, crash_after_seconds: float | None) -> int:
        try:
            async with asyncio.timeout(crash_after_seconds) as crash:
                return await self._program.run()
        except Exit as exit_:
            return exit_.code
        except Exception:  # a crash of the program is an exit code and a log to the node, never an exception
            if crash.expired():
                self._log("Signal (11) received.")  # what Triton prints before it dumps its stack
                return SEGMENTATION_FAULT
            for line in traceback.format_exc().splitlines():
                self._log(line)
            return 1
        finally:
            self._program.close()


def run_container(spec: ContainerSpec) -> RunningContainer:
    """Starts the container on the running event loop.

    Raises FileNotFoundError for a program the image does not have (a node agent reports StartError for that), and
    ValueError for settings that cannot be understood.
    """
    settings = Settings.of(spec.settings)
    program = Path(spec.command[0]).name
    if program == "tritonserver":
        return RunningContainer(TritonServer(spec, settings), spec, settings)
    if program.startswith("python3"):
        return RunningContainer(WeightsDownload(spec, settings), spec, settings)
    raise FileNotFoundError(f"exec: {spec.command[0]!r}: executable file not found in $PATH")
