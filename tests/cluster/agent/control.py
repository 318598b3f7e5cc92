"""Faults on live pods and nodes: one line of JSON each way over a Unix socket in the agent's state folder.

python -m cluster.agent.control --state DIR crash default/llama-0 engine
python -m cluster.agent.control --state DIR lose gpu-h100-0
"""

import argparse
import asyncio
import contextlib
import json
import os
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from cluster.agent.agent import Agent
    from cluster.agent.pod import Pod

SOCKET: Final = "control.sock"
_ANSWER_SECONDS: Final = 30.0


class Refused(Exception):
    """What was asked for cannot be done; the text says why."""


class ControlServer:
    """Does to the agent's pods and nodes what is asked for."""

    def __init__(self, agent: "Agent") -> None:
        self._agent = agent
        self._verbs: Mapping[str, Callable[..., Awaitable[Any]]] = {
            "crash": self._crash,
            "oom": self._oom,
            "unready": self._unready,
            "ready": self._ready,
            "freeze": self._freeze,
            "thaw": self._thaw,
            "lose": self._agent.lose,
            "back": self._agent.bring_back,
            "pods": self._pods,
        }

    async def run(self) -> None:
        """For ever. The socket lies in the working folder, as its path may be too long for the kernel."""
        _remove_stale_socket()
        server = await asyncio.start_unix_server(self._converse, SOCKET)
        await server.serve_forever()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            verb, *arguments = json.loads(await reader.readline())
            writer.write(json.dumps(await self._obey(verb, arguments)).encode() + b"\n")
            await writer.drain()
        writer.close()

    async def _obey(self, verb: str, arguments: list[str]) -> dict[str, Any]:
        try:
            return {"result": await self._verbs[verb](*arguments)}
        except KeyError as error:
            return {"refusal": f"{verb} {' '.join(arguments)}: nothing is called {error}"}
        except (Refused, TypeError) as error:
            return {"refusal": f"{verb} {' '.join(arguments)}: {error}"}

    async def _crash(self, pod: str, container: str = "") -> None:
        self._container(pod, container).crash()

    async def _oom(self, pod: str, container: str = "") -> None:
        self._container(pod, container).run_out_of_memory()

    async def _unready(self, pod: str) -> None:
        self._set_unready(self._pod(pod), unready=True)

    async def _ready(self, pod: str) -> None:
        self._set_unready(self._pod(pod), unready=False)

    async def _freeze(self, pod: str) -> None:
        await self._pod(pod).freeze()

    async def _thaw(self, pod: str) -> None:
        await self._pod(pod).thaw()

    async def _pods(self) -> dict[str, str]:
        return {
            f"{pod.pod['metadata']['namespace']}/{pod.pod['metadata']['name']}": pod.address
            for pod in self._agent.pods()
        }

    def _set_unready(self, pod: "Pod", *, unready: bool) -> None:
        pod.faults.unready = unready
        for container in pod.containers:
            container.recheck()

    def _pod(self, name: str) -> "Pod":
        namespace, _, bare = name.partition("/")
        pod = self._agent.find(namespace, bare)
        if pod is None:
            raise Refused("no such pod runs here")
        return pod

    def _container(self, pod: str, name: str) -> Any:
        found = self._pod(pod)
        return found.container(name) if name else found.containers[0]


def _remove_stale_socket() -> None:
    Path(SOCKET).unlink(missing_ok=True)


class NodeAgent:
    """The agent whose state folder this is, for tests. Each method raises `Refused` with the reason."""

    def __init__(self, state: Path) -> None:
        self._state = state

    def crash(self, pod: str, container: str = "") -> None:
        """Kills the program of a container (`namespace/name`; the first container unless named)."""
        self.ask("crash", pod, *filter(None, [container]))

    def run_out_of_memory(self, pod: str, container: str = "") -> None:
        """Kills it as the kernel does at the memory limit."""
        self.ask("oom", pod, *filter(None, [container]))

    def make_unready(self, pod: str) -> None:
        """Its readiness fails until `make_ready`."""
        self.ask("unready", pod)

    def make_ready(self, pod: str) -> None:
        """Takes `make_unready` back, or the fault never-ready."""
        self.ask("ready", pod)

    def freeze(self, pod: str) -> None:
        """It neither answers nor refuses: packets from and to it vanish until `thaw`."""
        self.ask("freeze", pod)

    def thaw(self, pod: str) -> None:
        """Takes `freeze` back."""
        self.ask("thaw", pod)

    def lose(self, node: str) -> None:
        """A node dies with its pods, silently."""
        self.ask("lose", node)

    def bring_back(self, node: str) -> None:
        """It starts again."""
        self.ask("back", node)

    def pods(self) -> dict[str, str]:
        """Addresses of the pods on living nodes, by `namespace/name`."""
        found: dict[str, str] = self.ask("pods")
        return found

    def ask(self, *words: str) -> Any:
        """One request; its result."""
        folder = os.open(self._state, os.O_PATH | os.O_DIRECTORY)
        try:
            with socket.socket(socket.AF_UNIX) as connection, connection.makefile("rb") as lines:
                connection.settimeout(_ANSWER_SECONDS)
                connection.connect(f"/proc/self/fd/{folder}/{SOCKET}")
                connection.sendall(json.dumps(words).encode() + b"\n")
                answer = json.loads(lines.readline())
        finally:
            os.close(folder)
        if "refusal" in answer:
            raise Refused(answer["refusal"])
        return answer["result"]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m cluster.agent.control", description=__doc__)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("words", nargs="+", help="a verb, and the pod, container or node it concerns")
    given = parser.parse_args()
    try:
        result = NodeAgent(given.state).ask(*given.words)
    except (Refused, OSError) as error:
        sys.exit(str(error))
    if result is not None:
        print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
