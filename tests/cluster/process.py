"""One component's process: started, signalled, waited for, its log.

The supervisor is the first process of its process namespace, so orphans of others become its children. It therefore
waits for all children in one place, `reap`, and tells each `Process` how it ended.
"""

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from cluster.components import Component
from cluster.failure import ClusterFailure

_STOP_SECONDS: Final = 10.0
_TAIL_LINES: Final = 15


class Process:
    """A component that has been started at least once."""

    def __init__(self, component: Component, log: Path) -> None:
        self.component = component
        self.log = log
        self.exit_code: int | None = None
        self.asked_to_end = False
        self._ended = asyncio.Event()
        self._popen: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def process_id(self) -> int:
        assert self._popen is not None
        return self._popen.pid

    @property
    def running(self) -> bool:
        return not self._ended.is_set()

    @property
    def state(self) -> str:
        """In words."""
        if self.running:
            return "running"
        return "stopped" if self.asked_to_end else f"dead (exit code {self.exit_code})"

    def start(self) -> None:
        """Runs the component's command; its output goes to the end of the log."""
        self.asked_to_end = False
        self.exit_code = None
        self._ended.clear()
        with self.log.open("ab") as output:
            self._popen = subprocess.Popen(
                self.component.command,
                env={**os.environ, **self.component.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=self.component.inherits,
            )

    def ended(self, exit_code: int) -> None:
        """Called by `reap`; as with subprocess, minus a signal's number when a signal ended it."""
        assert self._popen is not None
        # `reap` was faster than the Popen object, which must not ask the kernel again.
        self._popen.returncode = exit_code
        self.exit_code = exit_code
        self._ended.set()

    def send(self, number: signal.Signals) -> None:
        """Sends a signal that does not end the process."""
        if not self.running:
            raise ClusterFailure(f"{self.component.name} is {self.state}.")
        os.kill(self.process_id, number)

    async def end(self, number: signal.Signals) -> None:
        """Sends the signal and waits; what does not listen to it is killed."""
        self.asked_to_end = True
        if self.running:
            os.kill(self.process_id, number)
        try:
            await asyncio.wait_for(self._ended.wait(), _STOP_SECONDS)
        except TimeoutError:
            os.kill(self.process_id, signal.SIGKILL)
            await self._ended.wait()

    def tail(self) -> str:
        """The last lines of the log."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(f"    {line}" for line in lines[-_TAIL_LINES:])


def reap(processes: Iterable[Process]) -> list[Process]:
    """Waits for every child that has ended, orphans included; returns the components among them."""
    by_id = {process.process_id: process for process in processes if process.running}
    ended: list[Process] = []
    while True:
        try:
            process_id, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if process_id == 0:
            return ended
        process = by_id.get(process_id)
        if process is not None:
            process.ended(os.waitstatus_to_exitcode(status))
            ended.append(process)
