"""A TCP port that speaks HTTP, with the life that Triton's ports have: open, refusing newcomers, closed."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

_LARGEST_BODY_BYTES: Final = 64 * 2**20
"""Triton's default for --http-max-input-size."""

_KEEP_ALIVE_SECONDS: Final = 24 * 3600.0
"""Triton never closes an idle connection; a day is as good as never."""


class HTTPPort:
    """One listening port. Nothing is opened before `open`."""

    def __init__(self, handler: Handler, address: str, port: int) -> None:
        """Needs a running event loop."""
        self._address = address
        self._port = port
        self._accepting = True
        self._listener: asyncio.Server | None = None
        self._http = web.Server(
            handler,
            request_factory=_request,
            access_log=None,
            keepalive_timeout=_KEEP_ALIVE_SECONDS,
            handler_cancellation=True,  # a client that goes away aborts its generation
        )

    @property
    def connections(self) -> int:
        """Open connections, idle ones included."""
        return len(self._http.connections)

    async def open(self) -> None:
        """Starts to listen. Raises OSError."""
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(self._connection, self._address, self._port)

    def refuse_newcomers(self) -> None:
        """Resets every new connection from now on; those that are open are still served."""
        self._accepting = False

    def close(self) -> None:
        """Stops to listen and cuts every connection, at once."""
        if self._listener is not None:
            self._listener.close()
        for connection in self._http.connections:
            if connection.transport is not None:
                connection.transport.abort()

    def _connection(self) -> asyncio.BaseProtocol:
        return self._http() if self._accepting else _Refusal()


class _Refusal(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.abort()


def _request(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=_LARGEST_BODY_BYTES)
