"""The operator as a process: everything put together, started in order and stopped in order."""

import asyncio
import logging
import os
import random
import signal
import socket
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final

import kopf
from prometheus_client import CollectorRegistry

from conch.controller.caches import LLM_DEPLOYMENT, Caches, Key
from conch.controller.health import Listen, health_server
from conch.controller.reconcile import Reconciler
from conch.controller.reporter import Reporter
from conch.controller.shell import settings, shell
from conch.controller.workers import Workers
from conch.controller.writer import Writer
from conch.kube.client import Client
from conch.kube.credentials import Login, find_credentials, login
from conch.kube.errors import KubeError, NotFoundError
from conch.kube.metrics import KubeMetrics
from conch.kube.recorder import Recorder
from conch.kube.transport import Transport
from conch.kube.workqueue import Priority, WorkQueue

logger = logging.getLogger(__name__)

RESYNC_SECONDS: Final = 600.0
"""How often everything is looked at again, and the resources are compared with a full list: deletes that Kopf's watch
has missed, and a watch that went deaf, are healed then at the latest."""
SILENT_SECONDS: Final = 900.0
"""Watches hear at least a bookmark a minute; a quarter of an hour of silence is a broken process."""


class CustomResourceMissingError(Exception):
    """The API server does not know LLMDeployment."""


async def run(listen: Listen) -> None:
    """Runs the operator until SIGTERM. Raises CustomResourceMissingError when the CRD is not installed."""
    async with login(find_credentials()) as session:
        registry = CollectorRegistry()
        metrics = KubeMetrics(registry)
        client = Client(Transport(session.session, session.server, metrics))
        queue: WorkQueue[Key] = WorkQueue(metrics)
        caches = Caches(client, metrics, queue.add)
        recorder = Recorder(client, metrics, controller="conch.dev/operator", instance=_instance())
        reconciler = Reconciler(caches, Writer(client, caches), Reporter(client, caches, recorder), _now)
        workers = Workers(queue, reconciler.reconcile, registry)
        await _list_resources(client, caches)
        work = [
            *(informer.run() for informer in caches.informers.values()),
            recorder.run(),
            _resync(client, caches, queue),
        ]
        async with (
            _background(*work) as tasks,
            health_server(listen, registry, lambda: _trouble(caches), lambda: _not_ready(caches)),
        ):
            await caches.wait_synced()
            stop = asyncio.Event()
            # The workers end before Kopf, which ends by cancelling every task that is younger than itself.
            async with _background(await _kopf(session, caches)) as watching, _background(workers.run()) as working:
                for number in (signal.SIGTERM, signal.SIGINT):
                    asyncio.get_running_loop().add_signal_handler(number, stop.set)
                logger.info("Conch runs against %s", session.server)
                await _until_asked(stop, [*tasks, *watching, *working])


async def _kopf(session: Login, caches: Caches) -> Coroutine[Any, Any, None]:
    """Starts Kopf's tasks; what is returned waits for their end.

    In two parts, because asked to stop by a signal Kopf gives five seconds to whatever still runs in the process.
    """
    # Unless told, Kopf asks the DNS who it is, which takes seconds where there is none. The type is private to Kopf.
    identity: Any = _instance()
    older = asyncio.all_tasks()
    tasks = await kopf.spawn_tasks(
        registry=shell(session, caches.resources), settings=settings(), identity=identity, clusterwide=True
    )
    return kopf.run_tasks(tasks, ignored=older)


async def _until_asked(stop: asyncio.Event, parts: list[asyncio.Task[None]]) -> None:
    """Returns when asked to stop; raises when a part of the operator ends by itself, which none should."""
    asked = asyncio.create_task(stop.wait())
    try:
        ended, _ = await asyncio.wait([asked, *parts], return_when=asyncio.FIRST_COMPLETED)
        for part in ended - {asked}:
            raise RuntimeError("a part of the operator has ended") from part.exception()
        logger.info("Conch stops")
        # Connections that are cut now are cut by us: what TLS has to say of that is no error.
        asyncio.get_running_loop().set_exception_handler(lambda _, context: logger.debug("%s", context["message"]))
    finally:
        asked.cancel()


async def _list_resources(client: Client, caches: Caches) -> None:
    items, version = [], "0"
    try:
        async for page in client.pages(LLM_DEPLOYMENT):
            items += page.items
            version = page.resource_version
    except NotFoundError:
        raise CustomResourceMissingError(
            "the API server does not know LLMDeployment: install the CRD (crds/ of the release, or crds.enabled=true)"
        ) from None
    caches.resources.list_arrived(items, int(version))


async def _resync(client: Client, caches: Caches, queue: WorkQueue[Key]) -> None:
    while True:
        await asyncio.sleep(RESYNC_SECONDS * random.uniform(0.9, 1.1))  # noqa: S311 - spreads load, guards nothing
        try:
            await _list_resources(client, caches)
        except (KubeError, CustomResourceMissingError) as failure:
            logger.warning("Comparing with a full list failed: %s", failure)
        for resource in caches.resources:
            queue.add(Key(resource["metadata"]["namespace"], resource["metadata"]["name"]), Priority.RESYNC)


@asynccontextmanager
async def _background(*work: Coroutine[Any, Any, None]) -> AsyncIterator[list[asyncio.Task[None]]]:
    """Runs coroutines beside the body and cancels them after it."""
    tasks = [asyncio.create_task(item) for item in work]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _trouble(caches: Caches) -> str | None:
    if caches.silent_seconds > SILENT_SECONDS:
        return f"nothing heard from the API server for {caches.silent_seconds:.0f} s"
    return None


def _not_ready(caches: Caches) -> str | None:
    waiting = [kind for kind, informer in caches.informers.items() if not informer.synced]
    return f"waiting for the first list of {', '.join(waiting)}" if waiting else None


def _instance() -> str:
    return os.environ.get("POD_NAME") or socket.gethostname()


def _now() -> datetime:
    return datetime.now(UTC)
