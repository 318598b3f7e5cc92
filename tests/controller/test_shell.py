"""What we rely on of Kopf: every resource is delivered, deletes too, it writes nothing, and it stops at once."""

import asyncio
import json
import time
from collections.abc import Iterator

import kopf
import pytest

from cluster.cluster import Cluster
from cluster.state import REPOSITORY
from conch.controller.shell import settings, shell
from conch.kube.credentials import Kubeconfig, login
from conch.kube.store import Store
from controller.builders import resource

pytestmark = pytest.mark.cluster


@pytest.fixture
def names(cluster: Cluster) -> Iterator[list[str]]:
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "--filename", str(REPOSITORY / "crds"))
    cluster.kubectl("wait", "crd/llmdeployments.conch.dev", "--for=condition=Established", "--timeout=30s")
    made = ["watched-first", "watched-later"]
    yield made
    cluster.kubectl("delete", "llmdeployment", "--namespace=default", "--ignore-not-found", *made)


def create(cluster: Cluster, name: str) -> None:
    document = resource()
    document["metadata"] = {"name": name, "namespace": "default"}
    cluster.kubectl("create", "--filename", "-", stdin=json.dumps(document))


async def seen(store: Store, names: set[str], seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while {item["metadata"]["name"] for item in store} & {"watched-first", "watched-later"} != names:
            await asyncio.sleep(0.05)


async def test_the_watch_feeds_the_store_and_writes_nothing(cluster: Cluster, names: list[str]) -> None:
    first, later = names
    create(cluster, first)
    mark = cluster.audit().mark() if cluster.state else None
    store, stop = Store(lambda old, new: None), asyncio.Event()
    async with login(Kubeconfig(str(cluster.kubeconfig))) as session:
        registry = shell(session, store)
        running = asyncio.create_task(
            kopf.operator(registry=registry, settings=settings(), clusterwide=True, stop_flag=stop)
        )
        await seen(store, {first})
        await asyncio.to_thread(create, cluster, later)
        await seen(store, {first, later})
        await asyncio.to_thread(cluster.kubectl, "delete", "llmdeployment", "--namespace=default", first)
        await seen(store, {later})
        stop.set()
        asked = time.monotonic()
        await running
        assert time.monotonic() - asked < 4
        assert not session.session.closed
    if mark is not None:
        ours = [event for event in cluster.audit().since(mark) if event.user_agent.startswith("conch/")]
        assert ours
        assert [event.uri for event in ours if event.is_mutating] == []
