"""The operator's own HTTP: /healthz (is it alive), /readyz (are its caches filled), /metrics (what it does)."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

Check = Callable[[], str | None]
"""Returns what is wrong, or None."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Listen:
    """Where to serve; port 0 turns it off."""

    address: str
    port: int


@asynccontextmanager
async def health_server(listen: Listen, registry: CollectorRegistry, alive: Check, ready: Check) -> AsyncIterator[None]:
    """Serves while the context is open."""
    if listen.port == 0:
        yield
        return
    app = web.Application()
    app.add_routes(
        [
            web.get("/healthz", _answer(alive)),
            web.get("/readyz", _answer(ready)),
            web.get("/metrics", _metrics(registry)),
        ]
    )
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, listen.address, listen.port).start()
        yield
    finally:
        await runner.cleanup()


def _answer(check: Check) -> Handler:
    async def handler(_: web.Request) -> web.Response:
        trouble = check()
        return web.Response(text=f"{trouble or 'ok'}\n", status=503 if trouble else 200)

    return handler


def _metrics(registry: CollectorRegistry) -> Handler:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return handler
