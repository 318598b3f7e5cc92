"""Clients that send one request after the other, each on a connection of its own or all on one that is kept."""

import asyncio
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import aiohttp

from load.result import LoadResult


class Connections(StrEnum):
    """What a client does with its connection after an answer."""

    NEW = "new"
    KEPT = "kept"


@dataclass(frozen=True, slots=True)
class Load:
    """What to send, where to, and when to stop."""

    url: str
    model: str
    connections: Connections
    clients: int
    seconds: float
    max_tokens: int
    timeout_seconds: float = 60.0

    @property
    def endpoint(self) -> str:
        """The URL of one generation."""
        return f"{self.url}/v2/models/{self.model}/generate"


async def run(load: Load, result: LoadResult) -> None:
    """All clients until the time is over; `result` grows as they go."""
    end = time.monotonic() + load.seconds
    async with asyncio.TaskGroup() as group:
        for _ in range(load.clients):
            group.create_task(_client(load, result, end))


async def _client(load: Load, result: LoadResult, end: float) -> None:
    connector = aiohttp.TCPConnector(force_close=load.connections is Connections.NEW)
    timeout = aiohttp.ClientTimeout(total=load.timeout_seconds)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        while time.monotonic() < end:
            await _request(session, load, result)


async def _request(session: aiohttp.ClientSession, load: Load, result: LoadResult) -> None:
    body: dict[str, Any] = {"text_input": "The sea is", "parameters": {"max_tokens": load.max_tokens}}
    try:
        async with session.post(load.endpoint, json=body) as response:
            answer = await response.json(content_type=None)
            if response.status == 200 and answer.get("text_output"):
                result.answered += 1
            else:
                result.lost[f"status {response.status}"] += 1
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        result.lost[type(error).__name__] += 1
        await asyncio.sleep(0.1)  # a refused connection answers at once: do not spin
