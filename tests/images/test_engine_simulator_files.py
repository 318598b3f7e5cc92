"""What the image of the engine simulator adds to the package, run from the checkout."""

import os
import subprocess
import sys
from pathlib import Path

from images.dockerfile import IMAGES
from images.engine_pod import EnginePod

FOLDER = IMAGES["engine-simulator"]


def run(*command: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Runs a command with the image's search paths."""
    surroundings = {
        "PATH": f"{FOLDER}/bin:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": f"{FOLDER}/python",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return subprocess.run(command, env={**surroundings, **env}, capture_output=True, text=True, timeout=60, check=False)


def download(pod: EnginePod, **env: str) -> subprocess.CompletedProcess[str]:
    """The init container's command, with its folders on this machine."""
    python, script, *arguments = pod.download
    local = {"--cache-dir=/weights": f"--cache-dir={pod.volumes['weights']}"}
    return run(
        python, str(pod.volumes["fetch"] / Path(script).name), *(local.get(word, word) for word in arguments), **env
    )


def test_the_pod_s_own_download_script_finds_weights_without_a_network(tmp_path: Path) -> None:
    pod = EnginePod.rendered(tmp_path)
    outcome = download(pod, CONCH_SIMULATOR_WEIGHTS_SECONDS="0")
    assert outcome.returncode == 0, outcome.stderr
    (snapshot,) = pod.volumes["weights"].glob("models--Qwen--Qwen3-8B/snapshots/*")
    assert {file.name for file in snapshot.iterdir()} == {"config.json", "model.safetensors"}
    assert outcome.stdout.strip() == f"Qwen/Qwen3-8B is at {snapshot}"


def test_a_download_that_fails_fails_the_pod(tmp_path: Path) -> None:
    pod = EnginePod.rendered(tmp_path)
    outcome = download(pod, CONCH_SIMULATOR_WEIGHTS_SECONDS="soon")
    assert outcome.returncode == 2
    assert "weights_seconds" in outcome.stderr
    assert not list(pod.volumes["weights"].iterdir())


def test_tritonserver_is_the_simulator(tmp_path: Path) -> None:
    outcome = run("tritonserver", f"--model-repository={tmp_path}", "--no-such-flag")
    assert outcome.returncode == 1
    assert "--no-such-flag" in outcome.stderr
