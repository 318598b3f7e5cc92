"""Loading: what becomes of each folder of the model repositories, told in the server's log as Triton tells it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from conch.simulator import vllm_backend
from conch.simulator.latency import LatencyModel
from conch.simulator.model_repository import ModelFolder, NoVersionError, PollError, folders, read
from conch.simulator.server_log import ServerLog
from conch.simulator.vllm_backend import Machine, StartedEngine, StartError


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model that serves."""

    folder: ModelFolder
    version: str
    engine: StartedEngine

    @property
    def name(self) -> str:
        """The model's name."""
        return self.folder.name


@dataclass(frozen=True, slots=True)
class FailedModel:
    """A model that does not. Without a version it never got as far as being listed."""

    name: str
    version: str
    reason: str


@dataclass(frozen=True, slots=True)
class Repository:
    """Outcome of loading everything at start-up."""

    loaded: tuple[LoadedModel, ...]
    failed: tuple[FailedModel, ...]

    @property
    def table(self) -> tuple[tuple[str, str, str], ...]:
        """Rows of the table that the server prints: model, version, status."""
        loaded = [(model.name, model.version, "READY") for model in self.loaded]
        failed = [
            (model.name, model.version or "-", f"UNAVAILABLE: {model.reason}" if model.version else model.reason)
            for model in self.failed
        ]
        return tuple(sorted(loaded + failed))


class Loader:
    """Loads models onto one machine."""

    def __init__(self, repositories: Sequence[str], machine: Machine, latency: LatencyModel, log: ServerLog) -> None:
        """`repositories` are paths inside the container. Reads nothing yet."""
        self._repositories = repositories
        self._machine = machine
        self._latency = latency
        self._log = log

    def load(self) -> Repository:
        """Reads all repositories and starts their models. Raises FileNotFoundError when one is not there."""
        outcomes = list(self._outcomes())
        return Repository(
            tuple(outcome for outcome in outcomes if isinstance(outcome, LoadedModel)),
            tuple(outcome for outcome in outcomes if isinstance(outcome, FailedModel)),
        )

    def fail_all(self, repository: Repository, reason: str) -> Repository:
        """The same repository with every model that was loaded failing for that reason after all."""
        failed = tuple(self._failed(model.name, model.version, reason) for model in repository.loaded)
        return Repository((), (*repository.failed, *failed))

    def _outcomes(self) -> Iterator[LoadedModel | FailedModel]:
        for container_root in self._repositories:
            for path in folders(self._machine.root(container_root)):
                yield self._outcome(path, container_root)

    def _outcome(self, path: Path, container_root: str) -> LoadedModel | FailedModel:
        try:
            folder = read(path, container_root)
            version = folder.version(self._log)
        except PollError as error:
            self._error("model_repository_manager.cc:1460", f"Poll failed for model directory '{path.name}': {error}")
            return FailedModel(path.name, "", f"Not loaded: {error}")
        except NoVersionError as error:
            self._error("model_repository_manager.cc:724", f"failed to load model '{path.name}': {error}")
            return FailedModel(path.name, "", "Not loaded: No model version was found")
        return self._started(folder, version)

    def _started(self, folder: ModelFolder, version: str) -> LoadedModel | FailedModel:
        self._log.line("I", "model_lifecycle.cc:472", f"loading: {folder.name}:{version}")
        if folder.config.backend != vllm_backend.NAME:
            return self._failed(
                folder.name,
                version,
                f"Invalid argument: unable to find backend library for backend '{folder.config.backend}', try "
                "specifying runtime on the model configuration.",
            )
        try:
            engine = vllm_backend.start(folder, version, self._machine, self._latency)
        except StartError as error:
            return self._failed(folder.name, version, f"Internal: {error}")
        return LoadedModel(folder, version, engine)

    def _failed(self, name: str, version: str, reason: str) -> FailedModel:
        self._error("model_lifecycle.cc:642", f"failed to load '{name}' version {version}: {reason}")
        self._log.line("I", "model_lifecycle.cc:777", f"failed to load '{name}'")
        return FailedModel(name, version, reason)

    def _error(self, source: str, message: str) -> None:
        self._log.line("E", source, message)
