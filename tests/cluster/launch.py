"""Starts a cluster in namespaces of its own, and ends it.

`up` leaves it running until `down`; `running` ends it with the block, or with this process however that ends.
"""

import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from cluster import binaries, credentials, prerequisites
from cluster.cache import locked
from cluster.cluster import Cluster
from cluster.control import Control
from cluster.credentials import Credentials
from cluster.failure import ClusterFailure
from cluster.helm import helm
from cluster.namespaces import TIED, new_namespaces
from cluster.state import REPOSITORY, Options, Settings, StateFolder

_START_SECONDS: Final = 180.0
_END_SECONDS: Final = 30.0


def up(state: StateFolder, options: Options) -> Cluster:
    """A cluster that outlives this process; the one that runs already, if there is one."""
    state.root.parent.mkdir(parents=True, exist_ok=True)
    with locked(state.root.with_name(f"{state.root.name}.lock"), f"another process starts {state.root}"):
        if Control(state.control_socket).supervisor() is None:
            _start(state, options, outer=())
    return Cluster.ours(state)


def down(state: StateFolder) -> bool:
    """Ends the cluster of that folder; the logs stay. False if none ran."""
    supervisor = Control(state.control_socket).supervisor()
    if supervisor is None:
        return False
    # The kernel reports its end when all processes of its process namespace are gone.
    watched = os.pidfd_open(supervisor)
    try:
        signal.pidfd_send_signal(watched, signal.SIGKILL)
        if not select.select([watched], [], [], _END_SECONDS)[0]:
            raise ClusterFailure(f"The cluster of {state.root} does not end (process {supervisor}).")
    finally:
        os.close(watched)
    return True


@contextmanager
def running(state: StateFolder, options: Options) -> Iterator[Cluster]:
    """A cluster for as long as the block runs. Call from the main thread: the kernel ties it to the thread."""
    if Control(state.control_socket).supervisor() is not None:
        raise ClusterFailure(f"A cluster runs in {state.root} already: `down` ends it, --state names another folder.")
    process = _start(state, options, outer=TIED)
    try:
        yield Cluster.ours(state)
    finally:
        down(state)
        process.wait()


def _start(state: StateFolder, options: Options, outer: tuple[str, ...]) -> subprocess.Popen[bytes]:
    """Returns when the cluster is ready. `outer` decides whether its life is tied to this process."""
    prerequisites.ensure_programs()
    isolated = new_namespaces()
    control_plane, helm_program = binaries.control_plane(), helm()
    state.clear()
    (state.programs / "kubectl").symlink_to(control_plane / "kubectl")
    (state.programs / "helm").symlink_to(helm_program)
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        credentials.issue(Credentials(state.credentials), int(listener.getsockname()[1]), state.kubeconfig)
        Settings(control_plane, listener.fileno(), options).write(state.settings)
        supervisor = (sys.executable, "-m", "cluster.supervisor", str(state.root))
        process = _spawn((*outer, *isolated, *supervisor), state.logs / "supervisor.log", listener)
    try:
        _wait_until_ready(state, process)
    except BaseException:
        down(state)
        process.kill()
        process.wait()
        raise
    return process


def _spawn(command: tuple[str, ...], log: Path, listener: socket.socket) -> subprocess.Popen[bytes]:
    """In a session of its own, so that Ctrl-C reaches this process first and alone."""
    environment = {
        **os.environ,
        "PATH": prerequisites.search_path(),
        "PYTHONPATH": str(REPOSITORY / "tests"),
        "PYTHONUNBUFFERED": "1",
    }
    with log.open("wb") as output:
        return subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=[listener.fileno()],
            start_new_session=True,
        )


def _wait_until_ready(state: StateFolder, process: subprocess.Popen[bytes]) -> None:
    control = Control(state.control_socket)
    log = state.logs / "supervisor.log"
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None:
        if control.supervisor() is not None:
            answer = control.status()
            if answer.phase == "ready":
                return
            if answer.phase == "failed":
                raise ClusterFailure("\n".join(["The cluster does not start.", *answer.failures]))
        if time.monotonic() > deadline:
            raise ClusterFailure(f"The cluster is not ready after {_START_SECONDS:.0f} s; see {state.logs}.")
        time.sleep(0.1)
    raise ClusterFailure(f"The cluster does not start:\n{log.read_text(encoding='utf-8', errors='replace')}")
