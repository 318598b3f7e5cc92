"""The handlers of probes and hooks: an HTTP request, a TCP connection, a command, a pause.

HTTP is spoken by hand: hundreds of probes a second must cost little, and a probe needs only the status line.
"""

import asyncio
import os
import ssl
from dataclasses import dataclass
from typing import Final

from cluster.agent.objects import Object
from cluster.agent.runtime import RunningContainer

_SUCCESS: Final = range(200, 400)
_INSECURE: Final = ssl._create_unverified_context()


class HandlerFailed(Exception):
    """The handler did not succeed; the text says how, as a kubelet would."""


@dataclass(frozen=True, slots=True)
class Target:
    """The container that a handler concerns."""

    container: Object
    address: str
    running: RunningContainer


async def run(handler: Object, target: Target) -> None:
    """Runs one handler of a probe or hook. Raises `HandlerFailed`."""
    if "httpGet" in handler:
        await _http_get(handler["httpGet"], target)
    elif "tcpSocket" in handler:
        await _tcp_connect(handler["tcpSocket"], target)
    elif "exec" in handler:
        try:
            code = await target.running.execute(handler["exec"]["command"])
        except (OSError, IndexError) as error:
            raise HandlerFailed(f"the container has ended: {error}") from error
        if code != 0:
            raise HandlerFailed(f"command {handler['exec']['command']} exited with {code}")
    elif "sleep" in handler:
        await asyncio.sleep(handler["sleep"]["seconds"])
    else:
        raise HandlerFailed(f"this node knows no handler of kind {', '.join(handler)}")


def port_number(port: int | str, container: Object) -> int:
    """A port that may be given by its name. Raises `HandlerFailed`."""
    if isinstance(port, int):
        return port
    for entry in container.get("ports") or ():
        if entry.get("name") == port:
            return int(entry["containerPort"])
    if port.isdigit():
        return int(port)
    raise HandlerFailed(f"couldn't find port {port!r} in container {container['name']}")


async def _http_get(request: Object, target: Target) -> None:
    host, port = request.get("host") or target.address, port_number(request["port"], target.container)
    secure = request.get("scheme") == "HTTPS"
    path = "/" + request.get("path", "/").lstrip("/")
    headers = {"Host": f"{host}:{port}", "User-Agent": "kube-probe/1.37", "Accept": "*/*", "Connection": "close"}
    headers |= {header["name"]: header["value"] for header in request.get("httpHeaders") or ()}
    lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    url = f"{'https' if secure else 'http'}://{host}:{port}{path}"
    try:
        reader, writer = await asyncio.open_connection(host, port, ssl=_INSECURE if secure else None)
        try:
            writer.write("\r\n".join(lines).encode())
            status_line = await reader.readline()
        finally:
            # Not waited for: a peer that has fallen silent would hold up the next probe.
            writer.close()
    except OSError as error:
        raise HandlerFailed(f'Get "{url}": dial tcp {host}:{port}: connect: {_reason(error)}') from error
    words = status_line.split()
    if len(words) < 2 or not words[1].isdigit():
        raise HandlerFailed(f'Get "{url}": no HTTP answer')
    if int(words[1]) not in _SUCCESS:
        raise HandlerFailed(f"HTTP probe failed with statuscode: {int(words[1])}")


async def _tcp_connect(request: Object, target: Target) -> None:
    host, port = request.get("host") or target.address, port_number(request["port"], target.container)
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError as error:
        raise HandlerFailed(f"dial tcp {host}:{port}: connect: {_reason(error)}") from error
    writer.close()


def _reason(error: OSError) -> str:
    """As Go words it."""
    return os.strerror(error.errno).lower() if error.errno else str(error)
