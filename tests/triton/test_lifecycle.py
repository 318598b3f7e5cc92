"""From the start of the process to its end: the same checks on the real server and on the simulator.

As in the pods that Conch renders, the server is not the first process of its PID namespace.
"""

import asyncio
from pathlib import Path

import pytest

from triton.engines import COMMAND, HTTP_PORT, METRICS_PORT, Engine, Start, StartEngine, is_open, until_ready
from triton.exchange import exchange, receive, receive_chunks, receive_head, send

STREAM = "/v2/models/llama/generate_stream"
TERMINATED, SEGMENTATION_FAULT = 143, 139


class Stream:
    """A request that streams on a connection of its own."""

    def __init__(self, engine: Engine, tokens: int) -> None:
        self.engine = engine
        self.tokens = tokens
        self.got = 0

    async def begin(self) -> "Stream":
        """Waits for the first token."""
        self.reader, self.writer = await asyncio.open_connection(self.engine.address, HTTP_PORT)
        body = {"text_input": "a", "stream": True, "max_tokens": self.tokens}
        await send(self.writer, "POST", STREAM, body)
        assert (await receive_head(self.reader))[0] == "200 OK"
        self.chunks = receive_chunks(self.reader)
        await anext(self.chunks)
        self.got = 1
        return self

    async def finish(self) -> int:
        """Reads to the end. Returns how many tokens came; raises as `receive` does when the stream is cut."""
        async for _ in self.chunks:
            self.got += 1
        return self.got

    def close(self) -> None:
        self.writer.close()


async def begin(start: StartEngine, root: Path, exit_timeout_seconds: int = 5, token_seconds: float = 0.02) -> Engine:
    """A ready engine."""
    command = (*COMMAND, f"--exit-timeout-secs={exit_timeout_seconds}")
    engine = await start(Start(root, command, token_seconds=token_seconds))
    await until_ready(engine)
    return engine


async def test_ports_are_closed_while_it_loads(start: StartEngine, root: Path) -> None:
    engine = await start(Start(root, load_seconds=1.5))
    loop = asyncio.get_running_loop()
    ready = asyncio.ensure_future(until_ready(engine))
    begun = loop.time()
    while loop.time() - begun < 1.2:
        assert not ready.done()
        assert not await is_open(engine, HTTP_PORT)
        assert not await is_open(engine, METRICS_PORT)
        await asyncio.sleep(0.1)
    await ready
    assert (await exchange(engine, "GET", "/v2/health/ready")).code == 200


async def test_sigterm_ends_it_at_once_while_it_loads(start: StartEngine, root: Path) -> None:
    engine = await start(Start(root, load_seconds=20))
    await asyncio.sleep(1.5)
    assert "loading: llama:1" in engine.log
    engine.terminate()
    async with asyncio.timeout(2):
        assert await engine.wait() == TERMINATED


async def test_sigterm_when_idle(start: StartEngine, root: Path) -> None:
    engine = await begin(start, root)
    engine.terminate()
    async with asyncio.timeout(5):
        assert await engine.wait() == 0
    assert "Signal (15) received." in engine.log
    assert "Waiting for in-flight requests to complete." in engine.log
    assert "successfully unloaded 'llama' version 1" in engine.log


async def test_sigterm_lets_requests_finish(start: StartEngine, root: Path) -> None:
    engine = await begin(start, root, token_seconds=0.1)
    stream = await Stream(engine, tokens=20).begin()
    engine.terminate()
    await asyncio.sleep(0.3)
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await exchange(engine, "GET", "/v2/health/live")
    page = await exchange(engine, "GET", "/metrics", port=METRICS_PORT)
    assert b'nv_inference_request_success{model="llama",version="1"} 1\n' in page.body
    assert await stream.finish() == 20
    stream.close()
    assert await engine.wait() == 0
    assert not await is_open(engine, METRICS_PORT)


async def test_an_open_connection_is_served_on_after_sigterm(start: StartEngine, root: Path) -> None:
    engine = await begin(start, root)
    reader, writer = await asyncio.open_connection(engine.address, HTTP_PORT)
    await send(writer, "GET", "/v2/health/ready")
    assert (await receive(reader)).code == 200
    engine.terminate()
    await asyncio.sleep(0.2)
    await send(writer, "POST", "/v2/models/llama/generate", {"text_input": "a", "max_tokens": 1})
    assert (await receive(reader)).code == 200
    writer.close()
    assert await engine.wait() == 0


async def test_a_request_longer_than_the_exit_timeout_is_cut(start: StartEngine, root: Path) -> None:
    engine = await begin(start, root, exit_timeout_seconds=1, token_seconds=0.1)
    stream = await Stream(engine, tokens=100).begin()
    engine.terminate()
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await stream.finish()
    assert 5 < stream.got < 30
    stream.close()
    assert await engine.wait() == SEGMENTATION_FAULT


async def test_an_idle_connection_holds_the_server_for_the_whole_exit_timeout(start: StartEngine, root: Path) -> None:
    engine = await begin(start, root, exit_timeout_seconds=1)
    reader, writer = await asyncio.open_connection(engine.address, HTTP_PORT)
    await send(writer, "GET", "/v2/health/ready")
    await receive(reader)
    engine.terminate()
    assert await engine.wait() == 1
    writer.close()
    assert "failed to stop server: Internal - Exit timeout expired. Exiting immediately." in engine.log


async def test_a_second_sigterm_changes_nothing(start: StartEngine, root: Path) -> None:
    engine = await begin(start, root, token_seconds=0.1)
    stream = await Stream(engine, tokens=10).begin()
    engine.terminate()
    await asyncio.sleep(0.1)
    engine.terminate()
    assert await stream.finish() == 10
    stream.close()
    assert await engine.wait() == 0
