"""One HTTP exchange as the bytes have it: what the server really sent, with its chunks apart."""

import asyncio
import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, Final

from triton.engines import HTTP_PORT, Engine

_OF_THE_LIBRARY: Final = ("Date", "Server")
"""Headers that the simulator's HTTP library adds and Triton does not send."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A response."""

    status: str
    """Such as `200 OK`."""
    headers: dict[str, str]
    """As written, without those that say nothing about the engine."""
    body: bytes
    chunks: tuple[bytes, ...] = ()
    """Of a chunked body, without the last, empty one."""

    @property
    def code(self) -> int:
        return int(self.status.split()[0])

    @property
    def document(self) -> Any:
        return json.loads(self.body)


async def exchange(engine: Engine, method: str, path: str, body: object = None, port: int = HTTP_PORT) -> Answer:
    """Sends one request on a connection of its own; `body` is a text or becomes JSON."""
    reader, writer = await asyncio.open_connection(engine.address, port)
    try:
        await send(writer, method, path, body)
        return await receive(reader)
    finally:
        writer.close()


async def send(writer: asyncio.StreamWriter, method: str, path: str, body: object = None) -> None:
    """Writes a request."""
    text = body if isinstance(body, str) else "" if body is None else json.dumps(body)
    head = f"{method} {path} HTTP/1.1\r\nHost: engine\r\nContent-Length: {len(text.encode())}\r\n\r\n"
    writer.write((head + text).encode())
    await writer.drain()


async def receive(reader: asyncio.StreamReader) -> Answer:
    """Reads a whole response. Raises asyncio.IncompleteReadError when it is cut, ConnectionError when it is reset."""
    status, headers = await receive_head(reader)
    if headers.get("Transfer-Encoding") == "chunked":
        chunks = [chunk async for chunk in receive_chunks(reader)]
        return Answer(status, headers, b"".join(chunks), tuple(chunks))
    return Answer(status, headers, await reader.readexactly(int(headers["Content-Length"])))


async def receive_head(reader: asyncio.StreamReader) -> tuple[str, dict[str, str]]:
    """Status and headers."""
    lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines[1:] if line)
    return lines[0].removeprefix("HTTP/1.1 "), {name: headers[name] for name in headers if name not in _OF_THE_LIBRARY}


async def receive_chunks(reader: asyncio.StreamReader) -> AsyncGenerator[bytes, None]:
    """The chunks of a body as they come."""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        yield await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readexactly(2)
