"""The real API server of the session's cluster and one that misbehaves; clients for both."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import aiohttp
import pytest
import trustme
import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer
from prometheus_client import CollectorRegistry

from cluster.cluster import Cluster
from cluster.credentials import ADMINISTRATOR, Credentials
from conch.kube.backoff import Backoff
from conch.kube.client import Client
from conch.kube.credentials import Kubeconfig, login
from conch.kube.metrics import KubeMetrics
from conch.kube.retries import RetryPolicy
from conch.kube.transport import Transport
from kube.control_plane import ApiServer
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
        while not condition():
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


@pytest.fixture
def api_server(local_cluster: Cluster) -> ApiServer:
    """The local cluster's API server, with what it takes to log in in every way."""
    server = yaml.safe_load(local_cluster.kubeconfig.read_text())["clusters"][0]["cluster"]["server"]
    assert local_cluster.state is not None
    files = Credentials(local_cluster.state.credentials)
    ca = trustme.CA.from_pem(files.authority.read_bytes(), files.authority_key.read_bytes())
    return ApiServer(server, ca, files.authority, local_cluster.token(ADMINISTRATOR))


def kubeconfig(api_server: ApiServer, user: dict[str, object]) -> str:
    """A kubeconfig for the API server with the given user section."""
    cluster = {"server": api_server.server, "certificate-authority": str(api_server.ca_file)}
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
async def client(cluster: Cluster, measured: Measured) -> AsyncIterator[Client]:
    """A client of the session's cluster with every permission."""
    async with login(Kubeconfig(str(cluster.kubeconfig))) as logged_in:
        yield Client(Transport(logged_in.session, logged_in.server, measured.metrics))
