"""The init container: a cache that the engine can start from, once, whole or not at all."""

import asyncio
import json

from simulator.simulated_pods import COMMAND, Pod, mount

COMMIT = "0e9e39f249a16976918f6564b8830bc894c89659"
FETCH = (
    "python3",
    "/opt/conch/fetch/fetch_weights.py",
    "--repo=meta-llama/Llama-3.1-8B",
    f"--revision={COMMIT}",
    "--cache-dir=/weights",
    "--token-file=/opt/conch/hub-token/token",
)
SNAPSHOT = f"weights/models--meta-llama--Llama-3.1-8B/snapshots/{COMMIT}"


async def test_the_engine_starts_from_what_was_downloaded(pod: Pod) -> None:
    assert await pod.start(*FETCH, weights_seconds=0).wait() == 0
    config = json.loads((pod.root / SNAPSHOT / "config.json").read_text())
    assert config["num_attention_heads"] % 8 == 0
    assert (pod.root / SNAPSHOT / "model.safetensors").is_file()
    pod.write_model(model=f"/{SNAPSHOT}", tensor_parallel_size=8, max_model_len=2048)
    pod.start(*COMMAND)
    await pod.until_open()


async def test_a_commit_is_downloaded_once(pod: Pod) -> None:
    assert await pod.start(*FETCH, weights_seconds="0.05").wait() == 0
    assert await asyncio.wait_for(pod.start(*FETCH, weights_seconds=60).wait(), 1) == 0
    assert "is in the cache" in pod.log


async def test_a_download_that_is_cut_leaves_nothing(pod: Pod) -> None:
    container = pod.start(*FETCH, weights_seconds=60)
    await asyncio.sleep(0.05)
    container.terminate()
    assert await container.wait() == 143
    assert not (pod.root / SNAPSHOT).exists()


async def test_pid_one_ignores_sigterm(pod: Pod) -> None:
    container = pod.start(*FETCH, weights_seconds=0.2, is_pid_one=True)
    await asyncio.sleep(0.05)
    container.terminate()
    assert await container.wait() == 0


async def test_sigkill(pod: Pod) -> None:
    container = pod.start(*FETCH, weights_seconds=60)
    await asyncio.sleep(0.05)
    container.kill()
    assert await container.wait() == 137


async def test_missing_arguments(pod: Pod) -> None:
    assert await pod.start("python3", "-c", "print()").wait() == 2
    assert "the following arguments are required: --repo, --revision, --cache-dir" in pod.log


async def test_a_crash_of_the_program_is_an_exit_code(pod: Pod) -> None:
    mount(pod.root / "weights", {"file": ""})
    blocked = pod.root / "weights/models--meta-llama--Llama-3.1-8B"
    blocked.write_text("")
    assert await pod.start(*FETCH, weights_seconds=0).wait() == 1
    assert "NotADirectoryError" in pod.log
