"""Signs that the cluster works, waited for at start."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any, Final

import aiohttp

from cluster.components import CONTROL_PLANE_NODE
from cluster.failure import ClusterFailure

PATIENCE: Final = timedelta(seconds=60)
_POLL_SECONDS: Final = 0.1


async def wait_until(what: str, is_so: Callable[[], Awaitable[bool]]) -> None:
    """Raises `ClusterFailure` that says `what` when it is not so after `PATIENCE`."""
    async for _ in _polls():
        if await is_so():
            return
    raise ClusterFailure(f"After {PATIENCE.seconds} s still not so: {what}.")


async def answers(session: aiohttp.ClientSession, url: str) -> bool:
    """Whether there is an answer, and it is 200."""
    try:
        async with session.get(url) as response:
            return response.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False


async def nodes_are_ready(api: aiohttp.ClientSession) -> bool:
    """Whether there are nodes that take pods, and all of them are ready."""
    async with api.get("/api/v1/nodes") as response:
        response.raise_for_status()
        nodes = (await response.json())["items"]
    workers = [node for node in nodes if node["metadata"]["name"] != CONTROL_PLANE_NODE]
    return bool(workers) and all(map(_is_ready, workers))


def _is_ready(node: dict[str, Any]) -> bool:
    conditions = node.get("status", {}).get("conditions", [])
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


async def _polls() -> AsyncIterator[None]:
    end = time.monotonic() + PATIENCE.total_seconds()
    while time.monotonic() < end:
        yield
        await asyncio.sleep(_POLL_SECONDS)
