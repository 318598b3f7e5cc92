"""What the API server asks a kubelet for: the logs of containers, by HTTPS at each node's own address."""

import ssl
from collections.abc import Callable, Iterable
from pathlib import Path

import trustme
from aiohttp import web

from cluster.agent.logs import ContainerLog, LogView
from cluster.agent.node import KUBELET_PORT, NodeSpec
from cluster.agent.pod import Pod


class KubeletServer:
    """Serves all nodes; `find` gives the pod of a namespace and a name."""

    def __init__(self, find: Callable[[str, str], Pod | None]) -> None:
        self._find = find
        application = web.Application()
        application.router.add_get("/healthz", self._healthy)
        application.router.add_get("/containerLogs/{namespace}/{pod}/{container}", self._logs)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)

    async def start(self, nodes: Iterable[NodeSpec], folder: Path) -> None:
        """Listens at every node's address."""
        nodes = tuple(nodes)
        await self._runner.setup()
        context = _certificate([node.address for node in nodes], folder)
        for node in nodes:
            await web.TCPSite(self._runner, node.address, KUBELET_PORT, ssl_context=context).start()

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def _healthy(self, request: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def _logs(self, request: web.Request) -> web.StreamResponse:
        namespace, name, container = (request.match_info[part] for part in ("namespace", "pod", "container"))
        pod = self._find(namespace, name)
        if pod is None:
            return web.Response(status=404, text=f"pod {namespace}/{name} does not run here")
        log = _choose(pod, container, is_previous=_flag(request, "previous"))
        if log is None:
            return web.Response(status=400, text=f'container "{container}" in pod "{name}" has no such log')
        tail = request.query.get("tailLines")
        view = LogView(int(tail) if tail else None, _flag(request, "timestamps"))
        if not _flag(request, "follow"):
            return web.Response(text="".join(view.of(log.lines())))
        return await _stream(request, log, view)


async def _stream(request: web.Request, log: ContainerLog, view: LogView) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/plain"})
    await response.prepare(request)
    skipped = 0 if view.tail is None else max(0, len(log.lines()) - view.tail)
    async for line in log.follow():
        if skipped:
            skipped -= 1
            continue
        await response.write(view.shown(line).encode())
    return response


def _choose(pod: Pod, container: str, *, is_previous: bool) -> ContainerLog | None:
    runs = sorted((run for name, run in pod.logs if name == container), reverse=True)
    wanted = runs[1:2] if is_previous else runs[:1]
    return pod.logs[container, wanted[0]] if wanted else None


def _flag(request: web.Request, name: str) -> bool:
    return request.query.get(name) in ("true", "1")


def _certificate(addresses: Iterable[str], folder: Path) -> ssl.SSLContext:
    """A certificate of its own; the API server does not ask who signed a kubelet's."""
    issued = trustme.CA().issue_cert(*addresses)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with issued.private_key_and_cert_chain_pem.tempfile(dir=str(folder)) as path:
        context.load_cert_chain(path)
    return context
