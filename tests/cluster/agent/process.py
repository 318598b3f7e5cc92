"""Containers that are processes of this machine, in namespaces of their own (see `sandbox`)."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from cluster.agent.runtime import Launch, RunningContainer, StartError
from cluster.state import REPOSITORY

_SANDBOX: Final = Path(__file__).with_name("sandbox.py")
_LINE_BYTES: Final = 1 << 20
_MODE: Final = 0o600


class ProcessContainer:
    """The outer process of a sandbox."""

    def __init__(self, process: Process, log: Callable[[str], None], environment: dict[str, str]) -> None:
        self._process = process
        self._environment = environment
        self._output = asyncio.create_task(_copy(process, log), name=f"output of process {process.pid}")

    async def wait(self) -> int:
        code = await self._process.wait()
        # A process that left its output to somebody who lives on does not hold up its end.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._output, 1)
        return 128 - code if code < 0 else code

    def terminate(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()

    def kill(self) -> None:
        # The kernel ends what is inside with the process outside.
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def execute(self, command: Sequence[str]) -> int:
        enter = ("nsenter", f"--target={self._inside()}", "--mount", "--net", "--pid", "--ipc", "--uts", "--")
        process = await asyncio.create_subprocess_exec(
            *enter, *command, stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL,
            env=self._environment, start_new_session=True,
        )  # fmt: skip
        try:
            return await process.wait()
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)

    def _inside(self) -> int:
        """The first process inside, by its number out here."""
        outside = self._process.pid
        return int(Path(f"/proc/{outside}/task/{outside}/children").read_text(encoding="ascii").split()[0])


async def _copy(process: Process, log: Callable[[str], None]) -> None:
    assert process.stdout is not None
    while True:
        try:
            line = await process.stdout.readline()
        except ValueError:
            log("(a line of more than 1 MiB was left out)")
            continue
        if not line:
            return
        log(line.decode(errors="replace").rstrip("\n"))


class ProcessRuntime:
    """Starts sandboxes."""

    has_network = True

    async def start(self, launch: Launch) -> RunningContainer:
        if not launch.command:
            raise StartError("no command specified")
        reader, writer = os.pipe()
        try:
            spec = _write_spec(launch, writer)
            inherited = [writer] if launch.network is None else [writer, launch.network]
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-I", "-S", str(_SANDBOX), str(spec),
                stdin=DEVNULL, stdout=PIPE, stderr=STDOUT, pass_fds=inherited, limit=_LINE_BYTES,
            )  # fmt: skip
        finally:
            os.close(writer)
        container = ProcessContainer(process, launch.log, dict(launch.environment))
        try:
            complaint = await _read_all(reader)
        except BaseException:
            container.kill()
            raise
        if complaint:
            await container.wait()
            raise StartError(f"failed to create containerd task: {complaint}")
        return container


def _write_spec(launch: Launch, errors: int) -> Path:
    container = launch.container
    root = launch.folder / "root"
    root.mkdir(parents=True, exist_ok=True)
    content = {
        "root": str(root),
        "mounts": [
            {"path": str(mount.path), "source": str(mount.source), "read_only": mount.read_only}
            for mount in launch.mounts.mounts
        ],
        # What the images of the tests run, wherever the checkout lies, be it below /tmp or a volume's place.
        "shown": str(REPOSITORY),
        "read_only_root": (container.get("securityContext") or {}).get("readOnlyRootFilesystem", False),
        "working_folder": container.get("workingDir") or "/",
        "host_name": launch.pod["spec"].get("hostname") or launch.pod["metadata"]["name"][:63],
        "has_reaper": launch.pod["spec"].get("shareProcessNamespace", False),
        "command": launch.command,
        "environment": dict(launch.environment),
        "network": launch.network,
        "errors": errors,
        "parent": os.getpid(),
    }
    path = launch.folder / "sandbox.json"
    path.touch(mode=_MODE)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


async def _read_all(descriptor: int) -> str:
    """What is written to a pipe until its last writer closes it."""
    stream = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(stream), os.fdopen(descriptor, "rb", buffering=0)
    )
    try:
        return (await stream.read()).decode(errors="replace")
    finally:
        transport.close()
