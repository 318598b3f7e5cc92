"""Every way in which Triton refuses to start, with the reason in the log, the same last line and exit code 1."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from simulator.simulated_pods import COMMAND, CONFIG, Pod, mount

LAST_LINE = "error: creating server: Internal - failed to load all models"
KIND_GPU = CONFIG.replace("KIND_MODEL", "KIND_GPU")
LLAMA = "models/llama"


def files(root: Path, model_json: str | None, config: str | None = CONFIG) -> None:
    wanted = {"config.pbtxt": config, "1/model.json": model_json, "1/empty": ""}
    mount(root / LLAMA, {name: text for name, text in wanted.items() if text is not None})


BAD_REPOSITORIES: dict[str, tuple[Callable[[Path], None], str]] = {
    "config missing": (lambda root: files(root, "{}", None), "Could not determine backend for model 'llama'"),
    "config broken": (lambda root: files(root, "{}", 'backend: "vllm'), "failed to read text proto from /models/llama"),
    "config field unknown": (lambda root: files(root, "{}", CONFIG + "bogus: 3"), "failed to read text proto"),
    "config names another": (lambda root: files(root, "{}", CONFIG + 'name: "other"'), "unexpected directory name"),
    "backend unknown": (
        lambda root: files(root, "{}", 'backend: "nope"'),
        "failed to load 'llama' version 1: Invalid argument: unable to find backend library for backend 'nope'",
    ),
    "model.json missing": (
        lambda root: files(root, None),
        "AssertionError: 'model.json' containing vllm engine args must be provided in '/models/llama/1'",
    ),
    "model.json broken": (lambda root: files(root, "{"), "JSONDecodeError: Expecting property name"),
    "model.json no object": (lambda root: files(root, "[]"), "AttributeError: 'list' object has no attribute 'get'"),
    "no version": (
        lambda root: mount(root / LLAMA, {"config.pbtxt": CONFIG}),
        "at least one version must be available",
    ),
}


@pytest.mark.parametrize("name", BAD_REPOSITORIES)
async def test_bad_repository(pod: Pod, name: str) -> None:
    write, reason = BAD_REPOSITORIES[name]
    pod.write_weights()
    write(pod.root)
    assert await pod.start(load_seconds=60).wait() == 1  # refused before anything is loaded
    assert reason in pod.log
    assert pod.lines[-1] == LAST_LINE


BAD_ENGINES: dict[str, tuple[dict[str, Any], str, int | None, str]] = {
    "tensor on KIND_GPU": ({"tensor_parallel_size": 2}, KIND_GPU, None, "ValueError: KIND_GPU is currently for single"),
    "pipeline on KIND_GPU": ({"pipeline_parallel_size": 2}, KIND_GPU, None, "please specify KIND_MODEL"),
    "tensor without a kind": ({"tensor_parallel_size": 2}, 'backend: "vllm"', None, "please specify KIND_MODEL"),
    "two instances": ({}, CONFIG.replace("count: 1", "count: 2"), None, "torch.OutOfMemoryError"),
    "too few GPUs": (
        {"tensor_parallel_size": 2, "pipeline_parallel_size": 2},
        CONFIG,
        3,
        "World size (4) is larger than the number of available GPUs (3)",
    ),
    "no GPU": ({}, CONFIG, 0, "World size (1) is larger than the number of available GPUs (0)"),
    "heads": (
        {"tensor_parallel_size": 3},
        CONFIG,
        8,
        "Total number of attention heads (32) must be divisible by tensor parallel size (3)",
    ),
    "no weights": ({"model": "/weights/elsewhere"}, CONFIG, None, "Invalid repository ID or local directory specified"),
    "LoRA without adapters": ({"enable_lora": True}, CONFIG, None, "cannot find /models/llama/1/multi_lora.json"),
    "too long": ({"max_model_len": 100_000}, CONFIG, None, "estimated maximum model length is 4096"),
}


@pytest.mark.parametrize("name", BAD_ENGINES)
async def test_bad_engine(pod: Pod, name: str) -> None:
    arguments, config, gpus, reason = BAD_ENGINES[name]
    pod.write_weights()
    pod.write_model(config=config, **arguments)
    assert await pod.start(load_seconds=60, gpus=gpus).wait() == 1
    assert "failed to load 'llama' version 1: Internal: " in pod.log
    assert reason in pod.log
    assert pod.lines[-1] == LAST_LINE


async def test_an_argument_that_the_release_does_not_know(pod: Pod) -> None:
    pod.write_weights()
    pod.write_model(swap_space=4)
    assert await pod.start(load_seconds=60).wait() == 1
    assert "TypeError: AsyncEngineArgs.__init__() got an unexpected keyword argument 'swap_space'" in pod.log


async def test_an_image_that_nobody_knows_takes_any_argument(pod: Pod) -> None:
    pod.write_weights()
    pod.write_model(swap_space=4)
    pod.start(image="registry.example/tritonserver:custom")
    await pod.until_open()


@pytest.mark.parametrize(("devices", "code"), [("GPU-a,GPU-b", None), ("GPU-a", 1), ("void", 1), ("all", None)])
async def test_gpus_are_counted_from_the_environment(pod: Pod, devices: str, code: int | None) -> None:
    pod.write_weights()
    pod.write_model(tensor_parallel_size=2)
    container = pod.start(env={"NVIDIA_VISIBLE_DEVICES": devices})
    if code is None:
        await pod.until_open()
    else:
        assert await container.wait() == code


async def test_a_hub_name_needs_the_hub(pod: Pod) -> None:
    pod.write_model(model="facebook/opt-125m", max_model_len=1024)
    assert await pod.start(env={"HF_HUB_OFFLINE": "1"}).wait() == 1
    assert "We couldn't connect to 'https://huggingface.co'" in pod.log
    pod.start()
    await pod.until_open()


async def test_a_config_map_at_the_root_breaks_the_server(pod: Pod) -> None:
    pod.write_weights()
    mount(pod.root / "models", {"llama/config.pbtxt": CONFIG, "llama/1/model.json": json.dumps({"model": "a/b"})})
    assert await pod.start().wait() == 1
    assert "| ..data" in pod.log
    assert "Not loaded: No model version was found" in pod.log
    assert pod.lines[-1] == LAST_LINE


async def test_a_config_map_at_the_model_only_warns(served: Pod) -> None:
    assert "ignore version directory '..data' which fails to convert to integral number" in served.log
    assert await served.is_open()


async def test_no_repository(pod: Pod) -> None:
    assert await pod.start().wait() == 1
    assert pod.lines[-1] == "error: creating server: Internal - failed to stat file /models"


async def test_a_load_that_fails_in_the_end(pod: Pod) -> None:
    pod.write_weights()
    pod.write_model()
    assert await pod.start(fail_load="RuntimeError: NCCL error").wait() == 1
    assert "failed to load 'llama' version 1: Internal: RuntimeError: NCCL error" in pod.log
    assert pod.lines[-1] == LAST_LINE


async def test_without_exit_on_error_the_good_model_serves(pod: Pod, http: aiohttp.ClientSession) -> None:
    pod.write_weights()
    pod.write_model()
    pod.write_model("broken", config='backend: "nope"')
    pod.start(*COMMAND, "--exit-on-error=false")
    await pod.until_open()
    assert (await http.get(pod.url("/v2/health/live"))).status == 200
    assert (await http.get(pod.url("/v2/health/ready"))).status == 400
    assert (await http.get(pod.url("/v2/models/llama/ready"))).status == 200
    assert (await http.get(pod.url("/v2/models/broken/ready"))).status == 400
    index = await (await http.post(pod.url("/v2/repository/index"))).json()
    assert {entry["name"]: entry["state"] for entry in index} == {"llama": "READY", "broken": "UNAVAILABLE"}


async def test_a_backend_that_may_not_complete_the_configuration(pod: Pod) -> None:
    pod.write_weights()
    pod.write_model()
    assert await pod.start(*COMMAND, "--disable-auto-complete-config").wait() == 1
    assert "must be configured to use decoupled model transaction policy" in pod.log


@pytest.mark.parametrize(
    ("flag", "reason"),
    [
        ("--bogus", "unrecognized arguments: --bogus"),
        ("positional", "unrecognized arguments: positional"),
        ("--http-port=abc", "Invalid option value. Got abc"),
        ("--strict-readiness=maybe", "invalid value for bool option: maybe"),
        ("--metrics-config=xyz", "option format is <setting>=<value>. Got xyz"),
        ("--http-port", "expected one argument"),
        ("--model-control-mode=foo", "invalid choice"),
        ("--model-control-mode=explicit", "is not simulated"),
        ("--load-model=llama", "requires setting '--model-control-mode=explicit'"),
        ("--disable-auto-complete-config=1", "ignored explicit argument"),
    ],
)
async def test_a_wrong_command_line(pod: Pod, flag: str, reason: str) -> None:
    pod.write_weights()
    pod.write_model()
    assert await pod.start(*COMMAND, flag).wait() == 1
    assert reason in pod.log
    assert pod.lines[-1] == "Usage: tritonserver [options]"


async def test_flags_take_their_value_either_way_and_may_be_shortened(pod: Pod) -> None:
    pod.write_weights()
    pod.write_model()
    pod.start("/opt/tritonserver/bin/tritonserver", "--model-store", "/models", "--http-por", "8010")
    await pod.until_open(8010)
