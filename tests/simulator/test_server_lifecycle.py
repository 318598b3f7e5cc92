"""From start to exit, over real sockets: when ports are open, and what SIGTERM and SIGKILL do in each phase."""

import asyncio
import json
import time

import aiohttp
import pytest

from simulator.simulated_pods import COMMAND, Pod

HEALTH = "/v2/health/ready"


def ask(pod: Pod, max_tokens: int, *, stream: bool = False) -> bytes:
    body = json.dumps({"text_input": "hello", "parameters": {"max_tokens": max_tokens, "stream": stream}}).encode()
    path = "/v2/models/llama/generate_stream" if stream else "/v2/models/llama/generate"
    return b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (path.encode(), len(body), body)


async def test_ports_are_closed_until_the_model_is_loaded(pod: Pod, http: aiohttp.ClientSession) -> None:
    pod.write_weights()
    pod.write_model()
    pod.start(load_seconds=0.4)
    await asyncio.sleep(0.2)
    assert [await pod.is_open(port) for port in (8000, 8001, 8002)] == [False, False, False]
    await pod.until_open()
    for path in ("/v2/health/live", HEALTH, "/v2/models/llama/ready", "/v2/models/llama/versions/1/ready"):
        assert (await http.get(pod.url(path))).status == 200
    assert not await pod.is_open(8001)


async def test_hanging_never_gets_ready(pod: Pod) -> None:
    pod.write_weights()
    pod.write_model()
    container = pod.start(hang="true")
    await asyncio.sleep(0.2)
    assert not await pod.is_open()
    container.terminate()
    assert await container.wait() == 143


async def test_sigterm_while_loading_kills_at_once_unless_pid_one(pod: Pod) -> None:
    pod.write_weights()
    pod.write_model()
    container = pod.start(load_seconds=30)
    await asyncio.sleep(0.05)
    container.terminate()
    assert await asyncio.wait_for(container.wait(), 5) == 143


async def test_sigterm_right_after_the_start_is_not_lost(pod: Pod) -> None:
    pod.write_weights()
    pod.write_model()
    container = pod.start()
    container.terminate()
    assert await asyncio.wait_for(container.wait(), 5) == 143


async def test_pid_one_ignores_sigterm_while_loading(pod: Pod, http: aiohttp.ClientSession) -> None:
    pod.write_weights()
    pod.write_model()
    container = pod.start(load_seconds=0.3, is_pid_one=True)
    await asyncio.sleep(0.05)
    container.terminate()
    await pod.until_open()
    assert (await http.get(pod.url(HEALTH))).status == 200
    container.terminate()
    assert await container.wait() == 0


async def test_an_idle_server_exits_soon_after_sigterm(served: Pod) -> None:
    assert served.container
    served.container.terminate()
    assert await asyncio.wait_for(served.container.wait(), 10) == 0
    assert "successfully unloaded 'llama' version 1" in served.log
    assert not await served.is_open(8002)


async def test_a_request_in_flight_finishes_after_sigterm(served: Pod, http: aiohttp.ClientSession) -> None:
    assert served.container
    reader, writer = await asyncio.open_connection(served.address, 8000)
    writer.write(ask(served, 40, stream=True))
    await reader.readuntil(b"data: ")
    served.container.terminate()
    await asyncio.sleep(0.05)
    with pytest.raises(aiohttp.ClientConnectionError):
        await http.get(served.url(HEALTH))
    assert "nv_inference_request_success" in await (await http.get(served.url("/metrics", 8002))).text()
    rest = await asyncio.wait_for(reader.readuntil(b"0\r\n\r\n"), 10)
    assert rest.count(b"data: ") == 39
    writer.close()
    assert await asyncio.wait_for(served.container.wait(), 10) == 0


async def test_an_idle_connection_is_served_on_and_holds_the_exit_until_the_timeout(pod: Pod) -> None:
    """Seen on tritonserver 2.51: a keep-alive client costs the whole exit timeout, and the exit code."""
    pod.write_weights()
    pod.write_model()
    container = pod.start(*COMMAND, "--exit-timeout-secs=2")
    await pod.until_open()
    reader, writer = await asyncio.open_connection(pod.address, 8000)
    writer.write(ask(pod, 1))
    await reader.readuntil(b"0\r\n\r\n")
    before = time.monotonic()
    container.terminate()
    await asyncio.sleep(0.5)
    writer.write(b"GET /v2/health/ready HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await reader.readuntil(b"\r\n")) == b"HTTP/1.1 200 OK\r\n"
    assert await container.wait() == 1
    assert time.monotonic() - before > 1.9
    assert "Exit timeout expired" in pod.log
    writer.close()


async def test_requests_longer_than_the_exit_timeout_die_with_the_server(pod: Pod) -> None:
    pod.write_weights()
    pod.write_model()
    container = pod.start(*COMMAND, "--exit-timeout-secs=1", speed=0.1)
    await pod.until_open()
    reader, writer = await asyncio.open_connection(pod.address, 8000)
    writer.write(ask(pod, 1000, stream=True))
    await reader.readuntil(b"data: ")
    container.terminate()
    assert await asyncio.wait_for(container.wait(), 10) == 139
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await reader.readuntil(b"0\r\n\r\n")
    writer.close()


async def test_sigkill_cuts_everything_at_once(served: Pod) -> None:
    assert served.container
    reader, writer = await asyncio.open_connection(served.address, 8000)
    writer.write(ask(served, 1000, stream=True))
    await reader.readuntil(b"data: ")
    served.container.kill()
    assert not await served.is_open()
    assert await served.container.wait() == 137
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await reader.readuntil(b"0\r\n\r\n")
    writer.close()
    served.container.terminate()  # a late signal finds nobody
    assert await served.container.wait() == 137


async def test_crash_after_seconds(pod: Pod) -> None:
    pod.write_weights()
    pod.write_model()
    container = pod.start(crash_after_seconds="0.5")
    await pod.until_open()
    assert await asyncio.wait_for(container.wait(), 3) == 139
    assert not await pod.is_open()
    assert "Signal (11) received." in pod.log


async def test_waiting_can_be_given_up_without_ending_the_container(served: Pod, http: aiohttp.ClientSession) -> None:
    assert served.container
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(served.container.wait(), 0.05)
    assert (await http.get(served.url(HEALTH))).status == 200


async def test_two_servers_cannot_share_an_address(served: Pod) -> None:
    second = Pod(served.root, served.address)
    assert await second.start().wait() == 1
    assert f"Socket '{served.address}:8000' already in use" in second.log


async def test_an_unknown_program_cannot_be_started(pod: Pod) -> None:
    with pytest.raises(FileNotFoundError, match="nginx"):
        pod.start("/usr/sbin/nginx")


async def test_unknown_settings_are_refused(pod: Pod) -> None:
    with pytest.raises(ValueError, match="lod_seconds"):
        pod.start(lod_seconds="3")
