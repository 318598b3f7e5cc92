"""The operator's own HTTP: /healthz (is it alive), /readyz (are its caches filled), /metrics (what it does)."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

Check = Callable[[], str | None]
"""Returns what is wrong, or None."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def health_server(port: int, registry: CollectorRegistry, alive: Check, ready: Check) -> AsyncIterator[None]:
    """Serves while the context is open; port 0 turns it off."""
    if port == 0:
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
        await web.TCPSite(runner, "0.0.0.0", port).start()  # noqa: S104 - probes and Prometheus come by the pod address
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
