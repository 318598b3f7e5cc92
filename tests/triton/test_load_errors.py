"""Why a model does not load, and what the process makes of it: the same checks on the real server and on the simulator.

The real server without a GPU refuses KIND_GPU itself, before the backend can: what is the same is that it refuses.
"""

import re
from pathlib import Path

import pytest

from triton.engines import COMMAND, Start, StartEngine, until_ready
from triton.exchange import exchange
from triton.repository import CONFIG, MODEL, model_files, mount, write_weights

NOT_STARTED = "error: creating server: Internal - failed to load all models"
NO_MODEL_JSON = "Internal: AssertionError: 'model.json' containing vllm engine args must be provided in '{folder}'"
UNKNOWN_ARGUMENT = "Internal: TypeError: AsyncEngineArgs.__init__() got an unexpected keyword argument 'swap_space'"
NOT_DECOUPLED = (
    "Internal: AssertionError: vLLM Triton backend must be configured to use decoupled model transaction policy"
)


def without_model_json() -> dict[str, str]:
    return {"config.pbtxt": CONFIG, "1/other.json": "{}"}


@pytest.mark.parametrize(
    ("files", "options", "reason"),
    [
        (without_model_json(), (), NO_MODEL_JSON),
        (model_files(swap_space=4), (), UNKNOWN_ARGUMENT),
        (model_files(), ("--disable-auto-complete-config",), NOT_DECOUPLED),
        (
            model_files(CONFIG.replace("vllm", "nothing")),
            (),
            "Invalid argument: unable to find backend library for backend 'nothing', try specifying runtime on the "
            "model configuration.",
        ),
    ],
    ids=["no model.json", "unknown argument", "not decoupled", "unknown backend"],
)
async def test_a_model_that_does_not_load_ends_the_server(
    start: StartEngine, tmp_path: Path, files: dict[str, str], options: tuple[str, ...], reason: str
) -> None:
    write_weights(tmp_path)
    mount(tmp_path / "models" / MODEL, files)
    engine = await start(Start(tmp_path, (*COMMAND, *options)))
    assert await engine.wait() == 1
    because = reason.format(folder=engine.path("/models/llama/1"))
    assert re.search(rf"^E.*\] \"failed to load 'llama' version 1: {re.escape(because)}", engine.log, re.MULTILINE)
    assert re.search(rf"^\| llama \| 1 +\| UNAVAILABLE: {re.escape(because)} *\|$", engine.log, re.MULTILINE)
    assert NOT_STARTED in engine.log


async def test_kind_gpu_with_tensor_parallelism(start: StartEngine, tmp_path: Path) -> None:
    write_weights(tmp_path)
    files = model_files(CONFIG.replace("KIND_MODEL", "KIND_GPU"), tensor_parallel_size=2)
    mount(tmp_path / "models" / MODEL, files)
    engine = await start(Start(tmp_path))
    assert await engine.wait() == 1
    assert re.search(r"failed to load 'llama' version 1: .*KIND_GPU", engine.log)
    assert NOT_STARTED in engine.log


async def test_no_repository(start: StartEngine, tmp_path: Path) -> None:
    engine = await start(Start(tmp_path))
    assert await engine.wait() == 1
    assert f"failed to stat file {engine.path('/models')}" in engine.log


async def test_without_exit_on_error_it_lives_and_says_why(start: StartEngine, tmp_path: Path) -> None:
    write_weights(tmp_path)
    mount(tmp_path / "models/good", model_files())
    mount(tmp_path / "models/bad", model_files(swap_space=4))
    engine = await start(Start(tmp_path, (*COMMAND, "--exit-on-error=false")))
    await until_ready(engine)
    assert (await exchange(engine, "GET", "/v2/health/live")).code == 200
    assert (await exchange(engine, "GET", "/v2/health/ready")).code == 400
    assert (await exchange(engine, "GET", "/v2/models/good/ready")).code == 200
    assert (await exchange(engine, "GET", "/v2/models/bad/ready")).code == 400
    index = {model["name"]: model for model in (await exchange(engine, "POST", "/v2/repository/index")).document}
    assert index["good"]["state"] == "READY"
    assert index["bad"]["state"] == "UNAVAILABLE"
    assert index["bad"]["reason"].startswith(UNKNOWN_ARGUMENT)
