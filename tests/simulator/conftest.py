"""Simulated containers on loopback addresses of their own, each with a file system in a temporary folder."""

import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from simulator.simulated_pods import Pod

_addresses = (f"127.77.{high}.{low}" for high, low in itertools.product(range(1, 255), range(1, 255)))


@pytest.fixture
async def pod(tmp_path: Path) -> AsyncIterator[Pod]:
    pod = Pod(tmp_path, next(_addresses))
    yield pod
    if pod.container is not None:
        pod.container.kill()
        await pod.container.wait()


@pytest.fixture
async def served(pod: Pod) -> Pod:
    """A pod whose engine is ready."""
    pod.write_weights()
    pod.write_model()
    pod.start()
    await pod.until_open()
    return pod


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """A client that opens a connection for each request."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:
        yield session
