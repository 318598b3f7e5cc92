"""Lets the world outside reach the API server inside.

A socket belongs to the network namespace that made it: this process runs inside, accepts on a loopback socket that it
inherited from outside, and connects to the API server inside. Bytes are passed on as they are, so TLS is end to end.

    python -m cluster.relay LISTENER HOST PORT
"""

import asyncio
import contextlib
import socket
import sys
from typing import Final

_CHUNK_BYTES: Final = 1 << 16


async def serve(listener: socket.socket, host: str, port: int) -> None:
    """Relays every connection on `listener` to host:port, for ever."""

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            other_reader, other_writer = await asyncio.open_connection(host, port)
        except OSError:
            # The API server is down, which the client shall learn at once.
            writer.transport.abort()
            return
        await asyncio.gather(_copy(reader, other_writer), _copy(other_reader, writer))

    server = await asyncio.start_server(relay, sock=listener)
    await server.serve_forever()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until one side ends; then the other learns of it."""
    with contextlib.suppress(ConnectionError):
        while chunk := await reader.read(_CHUNK_BYTES):
            writer.write(chunk)
            await writer.drain()
    writer.close()


if __name__ == "__main__":
    asyncio.run(serve(socket.socket(fileno=int(sys.argv[1])), sys.argv[2], int(sys.argv[3])))
