"""What an engine needs of its pod, in the engine's own terms: the boundary between engines and Kubernetes manifests."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath


@dataclass(frozen=True, slots=True)
class Ports:
    """TCP ports of an engine."""

    http: int
    grpc: int
    metrics: int


@dataclass(frozen=True, slots=True)
class HealthPaths:
    """HTTP paths that answer 200: once loaded, while it can take requests, while the process is sound."""

    startup: str
    readiness: str
    liveness: str


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start one engine and how to know that it works.

    `files` are texts by path relative to `files_folder`, which must hold nothing else.
    `drain_seconds` is how long the engine itself finishes requests after SIGTERM.
    """

    command: tuple[str, ...]
    environment: Mapping[str, str]
    files: Mapping[str, str]
    files_folder: PurePosixPath
    ports: Ports
    health: HealthPaths
    drain_seconds: int
