"""Client and informer against a real API server that goes away, and one behind a network that cuts every connection."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
import trustme

from cluster import binaries
from conch.kube.backoff import Backoff
from conch.kube.client import Client
from conch.kube.credentials import Kubeconfig, login
from conch.kube.errors import NotFoundError
from conch.kube.informer import Informer, InformerOptions, Selection
from conch.kube.resources import CONFIG_MAP, NAMESPACE, KubeObject
from conch.kube.retries import RetryPolicy
from conch.kube.store import uid_of
from conch.kube.transport import Transport
from kube import control_plane
from kube.conftest import Measured, kubeconfig, until
from kube.control_plane import ApiServer
from kube.cutting_relay import cutting_relay

WRITERS = 4
ROUNDS = 60


async def test_cut_connections_lose_no_write_and_no_event(
    api_server: ApiServer, client: Client, measured: Measured, tmp_path: Path
) -> None:
    namespace = f"test-{uuid4().hex[:8]}"
    await client.create(NAMESPACE, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    config = tmp_path / "config"
    mirror: dict[str, KubeObject] = {}
    async with cutting_relay(int(api_server.server.rpartition(":")[2]), (0.03, 0.2), seed=7) as port:
        config.write_text(
            kubeconfig(replace(api_server, server=f"https://127.0.0.1:{port}"), {"token": api_server.token})
        )
        async with login(Kubeconfig(str(config))) as logged_in:
            retry = RetryPolicy(attempts=50, patience_seconds=30, backoff=Backoff(0.01, 0.1))
            shaky = Client(Transport(logged_in.session, logged_in.server, measured.metrics, retry=retry))
            informer = Informer(
                shaky,
                Selection(CONFIG_MAP, namespace),
                measured.metrics,
                on_change=lambda old, new: _reflect(mirror, old, new),
                options=InformerOptions(backoff=Backoff(0.01, 0.1)),
            )
            running = asyncio.create_task(informer.run())
            await informer.wait_synced()
            await asyncio.gather(*(_write_and_read(shaky, informer, namespace, i) for i in range(WRITERS)))
            last = await client.create(CONFIG_MAP, _config_map(namespace, "last", 0))
            await until(lambda: informer.store.by_uid(uid_of(last)) is not None)
            running.cancel()

    truth = {uid_of(item): item["data"] async for page in client.pages(CONFIG_MAP, namespace) for item in page.items}
    assert {uid_of(item): item["data"] for item in informer.store} == truth
    assert {uid: item["data"] for uid, item in mirror.items()} == truth
    assert measured.value("conch_kube_requests_total", verb="apply", resource="configmaps", code="none") > 0
    assert measured.value("conch_informer_watch_ends_total", resource="configmaps", cause="cut") > 0


@pytest.mark.cluster
async def test_an_api_server_that_was_away_tells_what_was_missed(measured: Measured, tmp_path: Path) -> None:
    """While it is down another one of the same cluster deletes an object; back again, it remembers no history."""
    programs, ca, port = binaries.control_plane(), trustme.CA(), control_plane.free_port()
    with control_plane.etcd(programs, tmp_path) as etcd_url:

        def api_server(port: int) -> AbstractContextManager[ApiServer]:
            return control_plane.api_server(programs, tmp_path, etcd_url, ca, port)

        async with AsyncExitStack() as stack:
            with api_server(port) as first:
                client = await stack.enter_async_context(_client(first, tmp_path, measured))
                missed = await client.apply(CONFIG_MAP, _config_map("default", "missed", 0))
                informer = Informer(
                    client,
                    Selection(CONFIG_MAP, "default"),
                    measured.metrics,
                    on_change=lambda old, new: None,
                    options=InformerOptions(backoff=Backoff(0.1, 0.5)),
                )
                running = asyncio.create_task(informer.run())
                await until(lambda: informer.store.by_uid(uid_of(missed)) is not None)
            with api_server(control_plane.free_port()) as other:
                elsewhere = await stack.enter_async_context(_client(other, tmp_path, measured))
                await elsewhere.delete(CONFIG_MAP, "default", "missed", uid=uid_of(missed))
                made = await elsewhere.apply(CONFIG_MAP, _config_map("default", "made", 0))
            assert informer.store.by_uid(uid_of(missed)) is not None
            with api_server(port):
                await until(lambda: informer.store.by_uid(uid_of(made)) is not None)
                assert informer.store.by_uid(uid_of(missed)) is None
                running.cancel()
    assert measured.value("conch_informer_lists_total", resource="configmaps", cause="gone") == 1


@asynccontextmanager
async def _client(api_server: ApiServer, folder: Path, measured: Measured) -> AsyncIterator[Client]:
    config = folder / f"config-{uuid4().hex[:8]}"
    config.write_text(kubeconfig(api_server, {"token": api_server.token}))
    async with login(Kubeconfig(str(config))) as logged_in:
        yield Client(Transport(logged_in.session, logged_in.server, measured.metrics))


def _reflect(mirror: dict[str, KubeObject], old: KubeObject | None, new: KubeObject | None) -> None:
    if new is not None:
        mirror[uid_of(new)] = new
    elif old is not None:
        del mirror[uid_of(old)]


async def _write_and_read(client: Client, informer: Informer, namespace: str, writer: int) -> None:
    chance, name = random.Random(writer), f"writer-{writer}"
    for number in range(ROUNDS):
        made = await client.apply(CONFIG_MAP, _config_map(namespace, name, number))
        informer.observe(made)
        seen = informer.store.get(namespace, name)
        assert seen is not None
        assert seen["data"]["number"] == str(number)
        if chance.random() < 0.3:
            with suppress(NotFoundError):  # carried out by an attempt whose answer was cut off
                assert await client.delete(CONFIG_MAP, namespace, name, uid=uid_of(made)) is None
            informer.observe_deleted(uid_of(made))
            assert informer.store.get(namespace, name) is None


def _config_map(namespace: str, name: str, number: int) -> KubeObject:
    metadata = {"namespace": namespace, "name": name}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"number": str(number)}}
