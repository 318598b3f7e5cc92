"""A TCP relay that cuts every connection after a short, random time."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


@asynccontextmanager
async def cutting_relay(port: int, seconds: tuple[float, float], seed: int) -> AsyncIterator[int]:
    """Relays to `port` on loopback; yields the port to connect to. Connections live for a time from the range."""
    chance = random.Random(seed)
    relaying: set[asyncio.Task[None]] = set()

    async def accept(client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        relaying.add(task)
        server, to_server = await asyncio.open_connection("127.0.0.1", port)
        with suppress(TimeoutError, OSError):
            async with asyncio.timeout(chance.uniform(*seconds)):
                await asyncio.gather(_pump(client, to_server), _pump(server, to_client))
        for writer in (to_client, to_server):
            writer.transport.abort()
        relaying.discard(task)

    async with await asyncio.start_server(accept, "127.0.0.1", 0) as listener:
        yield listener.sockets[0].getsockname()[1]
    await asyncio.gather(*relaying)


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while chunk := await source.read(65536):
        sink.write(chunk)
        await sink.drain()
    raise ConnectionResetError
