"""A real API server and one that misbehaves; clients for both."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer
from prometheus_client import CollectorRegistry

from conch.kube.backoff import Backoff
from conch.kube.client import Client
from conch.kube.credentials import Kubeconfig, login
from conch.kube.metrics import KubeMetrics
from conch.kube.retries import RetryPolicy
from conch.kube.transport import Transport
from kube.control_plane import ADMIN_TOKEN, ControlPlane, binaries, complete, control_plane
from kube.stand_in import StandIn


@dataclass(frozen=True, slots=True)
class Measured:
    """The metrics of a test and a way to read them."""

    registry: CollectorRegistry
    metrics: KubeMetrics

    def value(self, name: str, **labels: str) -> float:
        """A sample's value; 0 if there is none yet."""
        return self.registry.get_sample_value(name, labels) or 0.0


async def until(condition: Callable[[], bool]) -> None:
    """Returns once the condition holds; fails after some seconds."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event to wait on
            await asyncio.sleep(0.01)


@pytest.fixture
def measured() -> Measured:
    """Fresh metrics in a registry of their own."""
    registry = CollectorRegistry()
    return Measured(registry, KubeMetrics(registry))


@pytest.fixture
async def stand_in() -> AsyncIterator[StandIn]:
    """A server on loopback that answers as scripted."""
    stand_in = StandIn()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", stand_in.handle)
    async with TestServer(app) as server:
        stand_in.server = str(server.make_url("/")).rstrip("/")
        yield stand_in


@pytest.fixture
async def faulty(stand_in: StandIn, measured: Measured) -> AsyncIterator[Client]:
    """A client of the stand-in with short waits."""
    retry = RetryPolicy(attempts=4, patience_seconds=5, backoff=Backoff(0.01, 0.02))
    async with aiohttp.ClientSession() as session:
        transport = Transport(session, stand_in.server, measured.metrics, retry=retry, request_timeout_seconds=1)
        yield Client(transport, watch_silence_seconds=0.3)


@pytest.fixture(scope="session")
def control_plane_binaries() -> Path:
    """The folder with etcd's `server` and `kube-apiserver`."""
    folder = binaries()
    if folder is None or not complete(folder):
        pytest.skip("CONCH_CONTROL_PLANE_BIN names no folder with etcd's `server` and `kube-apiserver`")
    return folder


@pytest.fixture(scope="session")
def api_server(control_plane_binaries: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A real etcd and kube-apiserver."""
    with control_plane(control_plane_binaries, tmp_path_factory.mktemp("control-plane")) as plane:
        yield plane


def kubeconfig(plane: ControlPlane, user: dict[str, object]) -> str:
    """A kubeconfig for the API server with the given user section."""
    cluster = {"server": plane.server, "certificate-authority": str(plane.ca_file)}
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "here",
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me", "namespace": "team-a"}}],
            "clusters": [{"name": "here", "cluster": cluster}],
            "users": [{"name": "me", "user": user}],
        }
    )


@pytest.fixture
async def client(
    api_server: ControlPlane, measured: Measured, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Client]:
    """A client of the real API server with every permission."""
    path = tmp_path_factory.mktemp("kubeconfig") / "config"
    path.write_text(kubeconfig(api_server, {"token": ADMIN_TOKEN}))
    async with login(Kubeconfig(str(path))) as logged_in:
        yield Client(Transport(logged_in.session, logged_in.server, measured.metrics))
