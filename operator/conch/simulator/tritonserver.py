"""The program `tritonserver`: it loads, opens its ports, serves until SIGTERM, drains.

- While it loads, every port is closed, and SIGTERM finds no handler: PID 1 never hears of it, any other process dies.
- Then it serves. On SIGTERM, new HTTP connections are reset and open ones are served on. As long as any is open, an
  idle one of a keep-alive client included, the server waits, looking once a second, at most `--exit-timeout-secs`;
  metrics stay up meanwhile. Then the models are unloaded and the process exits with 0.
- When that time is spent, everything is cut: with requests in flight the process dies of a segmentation fault; with
  idle connections only it exits with 1, because nothing is left of the time that unloading needs.

All of this was seen on tritonserver 2.51. The gRPC port stays closed: no honest part of that API is cheap to offer.
"""

import asyncio
from typing import Final, NoReturn

from conch.simulator.command_line import Options, UsageError, parse
from conch.simulator.endpoints import Endpoints, ServerState
from conch.simulator.hardware_metrics import gpu_uuids
from conch.simulator.http_port import Handler, HTTPPort
from conch.simulator.loading import Loader, Repository
from conch.simulator.metrics import InferenceMetrics, ModelInferenceMetrics
from conch.simulator.metrics_page import MetricsPage
from conch.simulator.process import SEGMENTATION_FAULT, ContainerSpec, Exit, UnhandledSigterm
from conch.simulator.served_model import ServedModel
from conch.simulator.server_log import ServerLog
from conch.simulator.settings import Settings
from conch.simulator.vllm_backend import Machine
from conch.simulator.vllm_release import release_of

_UNKNOWN_VERSION: Final = "2.51.0"
"""What the server says of itself in an image that the catalogue does not know."""

_UNLOAD_SECONDS: Final = 1.0

_VISIBLE_DEVICES: Final = "NVIDIA_VISIBLE_DEVICES"


class TritonServer:
    """One server process."""

    def __init__(self, spec: ContainerSpec, settings: Settings) -> None:
        """Reads nothing yet: whatever is wrong is an exit code and a log."""
        self._spec = spec
        self._settings = settings
        self._log = ServerLog(spec.log)
        self._loading = UnhandledSigterm(is_pid_one=spec.is_pid_one)
        self._handles_sigterm = False
        self._terminated = asyncio.Event()
        self._models: dict[str, ServedModel] = {}
        self._ports: list[HTTPPort] = []

    async def run(self) -> int:
        """Serves until SIGTERM, and returns the exit code; raises Exit when it never gets that far."""
        options = self._options()
        repository = await self._load(options)
        self._handles_sigterm = True
        http = await self._serve(options, repository)
        await self._terminated.wait()
        self._log.raw("Signal (15) received.")
        return await self._drain(http, options.exit_timeout_seconds)

    def terminate(self) -> None:
        """SIGTERM."""
        if self._handles_sigterm:
            self._terminated.set()
        else:
            self._loading.receive()

    def close(self) -> None:
        """Gives back every socket and stops every engine."""
        for port in self._ports:
            port.close()
        for model in self._models.values():
            model.engine.close()

    def _options(self) -> Options:
        try:
            return parse(self._spec.command[1:])
        except UsageError as error:
            self._log.raw(f"tritonserver: {error}")
            self._log.raw("Usage: tritonserver [options]")
            raise Exit(1) from None

    async def _load(self, options: Options) -> Repository:
        loader = Loader(options.model_repositories, self._machine(options), self._settings.latency, self._log)
        try:
            repository = loader.load()
        except FileNotFoundError:
            self._stop(f"failed to stat file {options.model_repositories[0]}")
        seconds = self._settings.loading_seconds if repository.loaded else 0
        await self._loading.sleep(None if self._settings.hang else seconds)
        if self._settings.fail_load:
            repository = loader.fail_all(repository, f"Internal: {self._settings.fail_load}")
        for model in repository.loaded:
            self._log.line("I", "model_lifecycle.cc:839", f"successfully loaded '{model.name}'")
        self._log.table(("Model", "Version", "Status"), repository.table)
        if repository.failed and options.exit_on_error:
            self._stop("failed to load all models")
        return repository

    def _stop(self, reason: str) -> NoReturn:
        self._log.raw(f"error: creating server: Internal - {reason}")
        raise Exit(1)

    def _machine(self, options: Options) -> Machine:
        return Machine(
            image=self._spec.image,
            env=self._spec.env,
            gpus=_gpus(self._spec, self._settings),
            root=self._spec.root,
            completes_configuration=options.completes_configuration,
        )

    async def _serve(self, options: Options, repository: Repository) -> HTTPPort | None:
        """Opens the ports; returns the HTTP port unless it is not allowed."""
        inference = InferenceMetrics()
        for model in repository.loaded:
            buckets = model.folder.first_response_buckets if options.first_response_histogram else None
            metrics = ModelInferenceMetrics(inference, model.name, model.version, buckets)
            self._models[model.name] = ServedModel(model, self._settings.pace, metrics)
        http = None
        if options.http_port is not None:
            state = ServerState(
                server_id=options.server_id,
                version=_server_version(self._spec.image),
                models=self._models,
                failed=repository.failed,
                strict_readiness=options.strict_readiness,
            )
            http = await self._open("HTTPService", Endpoints(state).handle, options.http_port)
        if options.metrics_port is not None:
            metrics_page = MetricsPage(options, inference, self._models, self._gpu_uuids(repository))
            await self._open("Metrics Service", metrics_page.handle, options.metrics_port)
        return http

    async def _open(self, what: str, handler: Handler, number: int) -> HTTPPort:
        address = self._spec.address
        port = HTTPPort(handler, address, number)
        try:
            await port.open()
        except OSError:
            self._log.raw(f"error: failed to start {what}: Unavailable - Socket '{address}:{number}' already in use")
            raise Exit(1) from None
        self._ports.append(port)
        self._log.line("I", "http_server.cc:4713", f"Started {what} at {address}:{number}")
        return port

    def _gpu_uuids(self, repository: Repository) -> tuple[str, ...]:
        visible = self._spec.env.get(_VISIBLE_DEVICES, "")
        needed = max((model.engine.gpus for model in repository.loaded), default=0)
        count = _gpus(self._spec, self._settings)
        return gpu_uuids(visible, needed if count is None else count, self._spec.address)

    async def _drain(self, http: HTTPPort | None, timeout_seconds: int) -> int:
        """Returns the exit code."""
        remaining_seconds = timeout_seconds
        if http is not None:
            http.refuse_newcomers()
            while remaining_seconds > 0 and http.connections > 0:
                self._log.line(
                    "I",
                    "http_server.cc:248",
                    f"Timeout {remaining_seconds}: Found {http.connections} HTTP service connections",
                )
                await asyncio.sleep(1)
                remaining_seconds -= 1
            in_flight = any(model.engine.in_flight for model in self._models.values())
            http.close()
            if in_flight:
                self._log.raw("Signal (11) received.")
                return SEGMENTATION_FAULT
        self._log.line("I", "server.cc:305", "Waiting for in-flight requests to complete.")
        if remaining_seconds > 0 or not self._models:
            return await self._unload()
        self._log.line(
            "E", "main.cc:535", "failed to stop server: Internal - Exit timeout expired. Exiting immediately."
        )
        return 1

    async def _unload(self) -> int:
        await asyncio.sleep(_UNLOAD_SECONDS if self._models else 0)
        for model in self._models.values():
            self._log.line(
                "I", "model_lifecycle.cc:624", f"successfully unloaded '{model.name}' version {model.version}"
            )
        return 0


def _gpus(spec: ContainerSpec, settings: Settings) -> int | None:
    """GPUs of the container; None when nothing says how many."""
    visible = spec.env.get(_VISIBLE_DEVICES)
    if settings.gpus is not None or visible is None or visible == "all":
        return settings.gpus
    return len([device for device in visible.split(",") if device not in ("", "none", "void")])


def _server_version(image: str) -> str:
    release = release_of(image)
    return release.triton if release else _UNKNOWN_VERSION
