"""The program `tritonserver`: loads, opens its ports, serves until SIGTERM, drains."""

import asyncio

from aiohttp import web

from conch.simulator.process import ContainerSpec, UnhandledSigterm
from conch.simulator.settings import Settings


class TritonServer:
    """One server process."""

    def __init__(self, spec: ContainerSpec, settings: Settings) -> None:
        self._spec = spec
        self._settings = settings
        self._loading = UnhandledSigterm(is_pid_one=spec.is_pid_one)
        self._ready = False
        self._terminated = asyncio.Event()
        self._servers: list[asyncio.Server] = []

    async def run(self) -> int:
        await self._loading.sleep(self._settings.loading_seconds)
        self._ready = True
        app = web.Application()

        async def ok(_request: web.Request) -> web.Response:
            return web.Response()

        for path in ("/v2/health/live", "/v2/health/ready", "/v2/models/{model}/ready"):
            app.router.add_get(path, ok)
        runner = web.AppRunner(app, handle_signals=False)
        await runner.setup()
        assert runner.server is not None
        self._servers = [
            await asyncio.get_running_loop().create_server(runner.server, self._spec.address, port)
            for port in (8000, 8002)
        ]
        await self._terminated.wait()
        return 0

    def terminate(self) -> None:
        if self._ready:
            self._terminated.set()
        else:
            self._loading.receive()

    def close(self) -> None:
        for server in self._servers:
            server.close()
