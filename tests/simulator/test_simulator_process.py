"""`python -m conch.simulator`, as the engine-simulator image runs it."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import aiohttp

from simulator.simulated_pods import Pod


async def start(pod: Pod, *command: str, **env: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "conch.simulator", "--address", pod.address, *command),
        env={**os.environ, **env},
        stderr=asyncio.subprocess.PIPE,
    )


async def test_serves_until_sigterm(pod: Pod, http: aiohttp.ClientSession) -> None:
    pod.write_model(model="facebook/opt-125m")
    settings = pod.root / "settings.yaml"
    settings.write_text("load-seconds: 60\n")
    process = await start(
        pod,
        *("--settings", str(settings), "--", "tritonserver", "--model-repository", str(pod.root / "models")),
        CONCH_SIMULATOR_LOAD_SECONDS="0",
    )
    await pod.until_open(8002, seconds=20)
    assert (await http.get(pod.url("/v2/health/ready"))).status == 200
    process.send_signal(signal.SIGTERM)
    _, log = await process.communicate()
    assert process.returncode == 0
    assert b"Signal (15) received." in log


async def test_mistakes_are_told(pod: Pod, tmp_path: Path) -> None:
    process = await start(pod, "--", "tritonserver", CONCH_SIMULATOR_SPEED="-1")
    _, log = await process.communicate()
    assert process.returncode == 2
    assert b"speed" in log
    process = await start(pod, "--", "nginx")
    _, log = await process.communicate()
    assert process.returncode == 2
    assert b"executable file not found" in log
