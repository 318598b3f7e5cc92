"""The doers of the controller on a real API server: caches that follow it, resources whose pods have no node."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from cluster.cluster import Cluster
from cluster.state import REPOSITORY
from conch.controller.caches import LLM_DEPLOYMENT, Caches, Key
from conch.controller.decision import Decision, decide
from conch.controller.observation import Observation
from conch.controller.reconcile import Reconciler
from conch.controller.reporter import Reporter
from conch.controller.writer import Outcome, Writer
from conch.kube.client import Client
from conch.kube.credentials import Kubeconfig, login
from conch.kube.metrics import KubeMetrics
from conch.kube.recorder import Recorder
from conch.kube.resources import KubeObject, Resource
from conch.kube.transport import Transport
from controller.builders import COMMIT


class Doers:
    """Caches, writer, reporter and reconciler as the operator puts them together, moved by the test alone."""

    def __init__(self, client: Client, namespace: str) -> None:
        self.client = client
        self.namespace = namespace
        self.woken: list[Key] = []
        self.registry = CollectorRegistry()
        metrics = KubeMetrics(self.registry)
        self.caches = Caches(client, metrics, self.woken.append)
        self.writer = Writer(client, self.caches)
        self.recorder = Recorder(client, metrics, controller="conch.dev/operator", instance="test")
        self.reporter = Reporter(client, self.caches, self.recorder)
        self.reconciler = Reconciler(self.caches, self.writer, self.reporter, lambda: datetime.now(UTC))

    def key(self, name: str) -> Key:
        return Key(self.namespace, name)

    async def create(self, name: str, **spec: Any) -> KubeObject:
        """A new LLMDeployment, delivered to the cache as Kopf would."""
        made = await self.client.create(LLM_DEPLOYMENT, deployment(self.namespace, name, **spec))
        self.caches.resources.event_arrived(made, deleted=False)
        return made

    async def refresh(self, name: str) -> KubeObject:
        """Delivers the LLMDeployment as it is on the API server."""
        live = await self.read(LLM_DEPLOYMENT, name)
        self.caches.resources.event_arrived(live, deleted=False)
        return live

    def observe(self, name: str) -> Observation:
        observation = self.caches.observe(self.key(name))
        assert observation is not None
        return observation

    def decide(self, name: str) -> Decision:
        return decide(self.observe(name), (), datetime.now(UTC))

    async def write(self, name: str) -> Outcome:
        """Observes, decides and writes, without the report."""
        return await self.writer.carry_out(self.observe(name), self.decide(name))

    async def reconcile(self, name: str) -> None:
        await self.reconciler.reconcile(self.key(name))

    async def read(self, resource: Resource, name: str) -> KubeObject:
        return await self.client.get(resource, self.namespace, name)

    async def listed(self, resource: Resource, namespace: str | None = None) -> list[KubeObject]:
        pages = self.client.pages(resource, namespace or self.namespace)
        return [item async for page in pages for item in page.items]

    async def cached(self, name: str, holds: Callable[[Observation], bool]) -> Observation:
        """The observation, as soon as the watches have brought what is waited for."""
        await until(lambda: holds(self.observe(name)))
        return self.observe(name)


async def until(holds: Callable[[], bool]) -> None:
    """Returns once something holds; fails after some seconds."""
    async with asyncio.timeout(15):
        while not holds():
            await asyncio.sleep(0.02)


def deployment(namespace: str, name: str, **spec: Any) -> KubeObject:
    """The smallest LLMDeployment, whose pods stay Pending whatever nodes there are."""
    return {
        "apiVersion": LLM_DEPLOYMENT.api_version,
        "kind": LLM_DEPLOYMENT.kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "model": {"huggingFace": {"repo": "Qwen/Qwen3-8B", "revision": COMMIT}},
            "pod": {"nodeSelector": {"conch.test/node": "none"}},
            **spec,
        },
    }


@pytest.fixture(scope="session")
def crd(cluster: Cluster) -> None:
    """The CRD of this checkout on the session's cluster."""
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "--filename", str(REPOSITORY / "crds"))
    cluster.kubectl("wait", "crd/llmdeployments.conch.dev", "--for=condition=Established", "--timeout=30s")


@pytest.fixture
async def client(cluster: Cluster) -> AsyncIterator[Client]:
    """A client of its own beside the operator's, with every permission."""
    async with login(Kubeconfig(str(cluster.kubeconfig))) as logged_in:
        yield Client(Transport(logged_in.session, logged_in.server, KubeMetrics(CollectorRegistry())))


@pytest.fixture
async def doers(crd: None, client: Client, namespace: str) -> AsyncIterator[Doers]:
    """Doers with running informers."""
    doers = Doers(client, namespace)
    work = [*(informer.run() for informer in doers.caches.informers.values()), doers.recorder.run()]
    tasks = [asyncio.create_task(item) for item in work]
    await doers.caches.wait_synced()
    yield doers
    for task in tasks:
        task.cancel()
    for task in tasks:
        with suppress(asyncio.CancelledError):
            await task
