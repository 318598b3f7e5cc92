"""Two engines that must behave alike: the real tritonserver with the stand-in backend, and Conch's simulator.

Both listen on ports 8000 and 8002 of a loopback address of their own and read the same repository.
"""

import asyncio
import contextlib
import itertools
import json
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from conch import catalogue
from conch.simulator.container import ContainerSpec, RunningContainer, run_container
from conch.simulator.vllm_release import engine_argument_names
from triton.installation import Installation

HTTP_PORT: Final = 8000
METRICS_PORT: Final = 8002
COMMAND: Final = ("tritonserver", "--model-repository=/models", "--model-control-mode=none")
_PORTS: Final = (HTTP_PORT, 8001, METRICS_PORT)
_START_SECONDS: Final = 30.0
_SHARED_MEMORY: Final = Path("/dev/shm")
_BACKEND: Final = Path(__file__).with_name("backend")

_addresses = (f"127.{80 + os.getpid() % 40}.{high}.{low}" for high, low in itertools.product(range(256), range(1, 255)))


@dataclass(frozen=True, slots=True)
class Start:
    """How an engine is started."""

    root: Path
    """The container's file system: its repository is at `models`, its weights are below `weights`."""
    command: tuple[str, ...] = COMMAND
    """As the container has it."""
    environment: Mapping[str, str] = field(default_factory=dict)
    image: str = catalogue.NEWEST.image
    load_seconds: float = 0.0
    token_seconds: float = 0.02


class Engine(Protocol):
    """A started engine."""

    address: str

    @property
    def log(self) -> str:
        """Everything it has written so far."""

    def path(self, path: str) -> str:
        """How the engine names that path of the container."""

    def terminate(self) -> None:
        """Sends SIGTERM."""

    async def wait(self) -> int:
        """The exit code, once it has ended."""

    async def stop(self) -> None:
        """Ends it, whatever its state."""


StartEngine = Callable[[Start], Awaitable[Engine]]


class RealEngine:
    """A tritonserver process. `stop` removes what it would leave behind."""

    def __init__(self, start: Start, process: asyncio.subprocess.Process, log: Path, address: str) -> None:
        self.address = address
        self._root = start.root
        self._process = process
        self._log = log
        self._regions: set[Path] = set()

    @classmethod
    async def start(cls, start: Start, installed: Installation) -> "RealEngine":
        """Starts the server; it does not wait for anything."""
        address, log = _free_address(), start.root / "log"
        backends = start.root / "backends"
        backends.mkdir(exist_ok=True)
        for name, folder in (("python", installed.python_backend), ("vllm", _BACKEND)):
            (backends / name).symlink_to(folder)
        settings = {
            "load_seconds": start.load_seconds,
            "token_seconds": start.token_seconds,
            "arguments": sorted(engine_argument_names(start.image) or ()),
        }
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *("setpriv", "--pdeathsig", "KILL", str(installed.server)),
                *(argument.replace("=/models", f"={start.root}/models") for argument in start.command[1:]),
                *(f"--{service}-address={address}" for service in ("http", "grpc", "metrics")),
                f"--backend-directory={backends}",
                "--allow-gpu-metrics=false",
                env={**start.environment, **installed.environment(), "STAND_IN_VLLM": json.dumps(settings)},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )
        return cls(start, process, log, address)

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def path(self, path: str) -> str:
        return f"{self._root}{path}"

    def terminate(self) -> None:
        self._regions |= set(_shared_memory(self._process.pid))
        self._process.send_signal(signal.SIGTERM)

    async def wait(self) -> int:
        code = await self._process.wait()
        return 128 - code if code < 0 else code  # a signal's number, as a container's exit code has it

    async def stop(self) -> None:
        if self._process.returncode is None:
            self._regions |= set(_shared_memory(self._process.pid))
            self._process.kill()
        await self._process.wait()
        with contextlib.suppress(ProcessLookupError):  # the processes of its backends
            os.killpg(self._process.pid, signal.SIGKILL)
        for region in self._regions:
            region.unlink(missing_ok=True)


@dataclass
class SimulatedEngine:
    """A simulated container in this process."""

    address: str
    container: RunningContainer
    lines: list[str] = field(default_factory=list)

    @classmethod
    async def start(cls, start: Start) -> "SimulatedEngine":
        """Starts the container; it does not wait for anything."""
        address, lines = _free_address(), list[str]()
        pace = {
            "base_seconds": start.token_seconds,
            "per_prefill_token_seconds": 0,
            "per_decoding_sequence_seconds": 0,
            "per_kv_token_seconds": 0,
        }
        spec = ContainerSpec(
            image=start.image,
            command=start.command,
            env=start.environment,
            address=address,
            root=lambda path: start.root / path.lstrip("/"),
            log=lines.append,
            is_pid_one=False,
            settings={"load_seconds": start.load_seconds, "latency": pace},
        )
        return cls(address, run_container(spec), lines)

    @property
    def log(self) -> str:
        return "\n".join(self.lines)

    def path(self, path: str) -> str:
        return path

    def terminate(self) -> None:
        self.container.terminate()

    async def wait(self) -> int:
        return await self.container.wait()

    async def stop(self) -> None:
        self.container.kill()
        await self.container.wait()


async def is_open(engine: Engine, port: int) -> bool:
    """Whether the engine accepts connections to that port."""
    try:
        _, writer = await asyncio.open_connection(engine.address, port)
    except OSError:
        return False
    writer.close()
    return True


async def until_ready(engine: Engine) -> None:
    """Waits until HTTP and metrics are open. Raises AssertionError with the log when the engine ends instead."""
    ended = asyncio.ensure_future(engine.wait())
    try:
        async with asyncio.timeout(_START_SECONDS):
            while not (await is_open(engine, HTTP_PORT) and await is_open(engine, METRICS_PORT)):
                assert not ended.done(), f"exit code {ended.result()}\n{engine.log}"
                await asyncio.sleep(0.02)
    finally:
        ended.cancel()


def _free_address() -> str:
    """A loopback address whose ports nobody uses."""
    for address in _addresses:
        try:
            for port in _PORTS:
                with socket.socket() as probe:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind((address, port))
        except OSError:
            continue
        return address
    raise AssertionError("no loopback address is free")


def _shared_memory(process_id: int) -> Iterator[Path]:
    """Regions in /dev/shm that the process has mapped; Triton leaves them there when it does not end by itself."""
    for line in Path(f"/proc/{process_id}/maps").read_text().splitlines():
        _, separator, name = line.partition(f" {_SHARED_MEMORY}/")
        if separator:
            yield _SHARED_MEMORY / name
