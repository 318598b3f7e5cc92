"""How a running cluster is asked and told: one line of JSON each way over a Unix socket in the state folder.

Its client is also how a cluster is found: no recorded process ids that could be stale. The kernel says who listens at
the other end, and a dead supervisor listens no more.
"""

import json
import os
import socket
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal

from cluster.failure import ClusterFailure

Verb = Literal["status", "start", "stop", "kill", "pause", "resume"]

# Starting waits until the component works.
_ANSWER_SECONDS: Final = 90.0


@dataclass(frozen=True, slots=True)
class Request:
    """`name` is a component's; `status` takes none."""

    verb: Verb
    name: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """`phase` is starting, ready or failed; `failures` has what died or failed unasked, with its last log lines."""

    phase: str
    components: Mapping[str, str]
    failures: tuple[str, ...]
    refusal: str = ""


def encode(message: Request | Answer) -> bytes:
    """One line."""
    return json.dumps(asdict(message)).encode() + b"\n"


def decode_request(line: bytes) -> Request:
    """The reverse of `encode`."""
    return Request(**json.loads(line))


class Control:
    """Talks to the supervisor of the cluster whose control socket lies at `path`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def status(self) -> Answer:
        """What runs. Raises `ClusterFailure` if there is no cluster."""
        return self._ask(Request("status"))

    def start(self, name: str) -> None:
        """Starts a component that was stopped or died; returns when it works."""
        self._ask(Request("start", name))

    def stop(self, name: str) -> None:
        """Ends a component by SIGTERM; it stays down until started."""
        self._ask(Request("stop", name))

    def kill(self, name: str) -> None:
        """Ends a component by SIGKILL; it stays down until started."""
        self._ask(Request("kill", name))

    def pause(self, name: str) -> None:
        """Freezes a component: its connections stay open and nothing answers."""
        self._ask(Request("pause", name))

    def resume(self, name: str) -> None:
        """Lets a frozen component go on."""
        self._ask(Request("resume", name))

    def supervisor(self) -> int | None:
        """The process id of the supervisor as seen from here, None if there is no cluster."""
        try:
            with self._connected() as connection:
                credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        except OSError:
            return None
        process_id, _, _ = struct.unpack("3i", credentials)
        return int(process_id)

    def _ask(self, request: Request) -> Answer:
        try:
            with self._connected() as connection, connection.makefile("rb") as lines:
                connection.sendall(encode(request))
                content = json.loads(lines.readline())
        except (OSError, ValueError) as error:
            raise ClusterFailure(f"No cluster answers at {self._path} ({error}).") from error
        answer = Answer(**{**content, "failures": tuple(content["failures"])})
        if answer.refusal:
            raise ClusterFailure(answer.refusal)
        return answer

    @contextmanager
    def _connected(self) -> Iterator[socket.socket]:
        # A socket's path has at most 107 bytes; seen through the open folder it is always short.
        folder = os.open(self._path.parent, os.O_PATH | os.O_DIRECTORY)
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(_ANSWER_SECONDS)
                connection.connect(f"/proc/self/fd/{folder}/{self._path.name}")
                yield connection
        finally:
            os.close(folder)
