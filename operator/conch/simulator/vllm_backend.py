"""How Triton's vLLM backend starts an engine from a model's folder, and why it does not.

The checks are those that the backend's `model.py` (2026-02) and vLLM make before weights are read, with their words:
`StartError` carries the exception as Triton's log shows it. The memory of a GPU is not simulated; whether a model fits
is the planner's business.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tritonclient.grpc import model_config_pb2

from conch.simulator.batch import Limits
from conch.simulator.latency import LatencyModel
from conch.simulator.model_repository import ModelFolder
from conch.simulator.vllm_release import engine_argument_names

NAME: Final = "vllm"

_DEFAULT_MODEL: Final = "Qwen/Qwen3-0.6B"


class StartError(Exception):
    """The engine did not start; the text is the Python exception of the backend."""


@dataclass(frozen=True, slots=True)
class Machine:
    """Where the engine starts."""

    image: str
    env: Mapping[str, str]
    gpus: int | None
    """GPUs of the container; None: as many as it takes."""
    root: Callable[[str], Path]
    """Maps a path of the container to one of this host."""
    completes_configuration: bool
    """Whether the server lets the backend complete config.pbtxt."""


@dataclass(frozen=True, slots=True)
class StartedEngine:
    """What the engine runs with."""

    limits: Limits
    max_model_length_tokens: int
    gpus: int
    """That it uses."""
    adapters: tuple[str, ...] | None
    """Names of the LoRA adapters; None when LoRA is off."""
    reports_metrics: bool


def start(folder: ModelFolder, version: str, machine: Machine, latency: LatencyModel) -> StartedEngine:
    """Starts the engine of a model. Raises StartError."""
    if not (machine.completes_configuration or folder.is_decoupled):
        raise StartError(
            "AssertionError: vLLM Triton backend must be configured to use decoupled model transaction policy"
        )
    arguments = _engine_arguments(folder, version, machine)
    gpus = _check_parallelism(folder, arguments, machine)
    model = _model_config(str(arguments.get("model", _DEFAULT_MODEL)), machine)
    _check_heads(model, int(arguments.get("tensor_parallel_size", 1)))
    _check_instances(folder.config)
    return StartedEngine(
        limits=_limits(arguments, latency),
        max_model_length_tokens=_longest_tokens(arguments, model, latency),
        gpus=gpus,
        adapters=_adapters(folder, version, arguments),
        reports_metrics=folder.is_true("REPORT_CUSTOM_METRICS") and not arguments.get("disable_log_stats"),
    )


def _engine_arguments(folder: ModelFolder, version: str, machine: Machine) -> dict[str, Any]:
    file, container_folder = folder.path / version / "model.json", f"{folder.container_path}/{version}"
    if not file.is_file():
        raise StartError(
            f"AssertionError: 'model.json' containing vllm engine args must be provided in '{container_folder}'"
        )
    try:
        arguments = json.loads(file.read_text())
    except json.JSONDecodeError as error:
        raise StartError(f"JSONDecodeError: {error}") from None
    if not isinstance(arguments, dict):
        raise StartError(f"AttributeError: '{type(arguments).__name__}' object has no attribute 'get'")
    _check_names(arguments, machine.image)
    return arguments


def _adapters(folder: ModelFolder, version: str, arguments: Mapping[str, Any]) -> tuple[str, ...] | None:
    if str(arguments.get("enable_lora")).lower() != "true":
        return None
    try:
        return tuple(json.loads((folder.path / version / "multi_lora.json").read_text()))
    except FileNotFoundError:
        path = f"{folder.container_path}/{version}/multi_lora.json"
        raise StartError(f"FileNotFoundError: Triton backend cannot find {path}.") from None
    except json.JSONDecodeError as error:
        raise StartError(f"JSONDecodeError: {error}") from None


def _check_names(arguments: Mapping[str, Any], image: str) -> None:
    known = engine_argument_names(image)
    for name in arguments:
        if known is not None and name not in known:
            raise StartError(f"TypeError: AsyncEngineArgs.__init__() got an unexpected keyword argument '{name}'")


def _check_parallelism(folder: ModelFolder, arguments: Mapping[str, Any], machine: Machine) -> int:
    world_size = int(arguments.get("tensor_parallel_size", 1)) * int(arguments.get("pipeline_parallel_size", 1))
    if world_size > 1 and _kind(folder.config) == model_config_pb2.ModelInstanceGroup.KIND_GPU:
        raise StartError(
            "ValueError: KIND_GPU is currently for single-GPU models, please specify KIND_MODEL in the model's "
            "config.pbtxt for multi-GPU models"
        )
    if machine.gpus is not None and world_size > machine.gpus:
        raise StartError(
            f"ValueError: World size ({world_size}) is larger than the number of available GPUs ({machine.gpus}) in "
            "this node."
        )
    return world_size


def _kind(config: model_config_pb2.ModelConfig) -> int:
    kinds = {group.kind for group in config.instance_group}
    automatic = model_config_pb2.ModelInstanceGroup.KIND_AUTO
    # Without a kind, Triton makes an instance of KIND_GPU on every GPU.
    return int(model_config_pb2.ModelInstanceGroup.KIND_GPU if kinds <= {automatic} else max(kinds))


def _model_config(model: str, machine: Machine) -> dict[str, Any]:
    """The model's config.json; empty for a model that the engine would fetch from the Hub itself."""
    if not model.startswith("/"):
        if machine.env.get("HF_HUB_OFFLINE") == "1":
            raise StartError(
                f"OSError: We couldn't connect to 'https://huggingface.co' to load the files of {model}, and couldn't "
                "find them in the cached files."
            )
        return {}
    try:
        config = json.loads((machine.root(model) / "config.json").read_text())
    except (OSError, json.JSONDecodeError):
        raise StartError(
            f"ValueError: Invalid repository ID or local directory specified: '{model}'. Please verify the following "
            "requirements: 1. Provide a valid Hugging Face repository ID. 2. Specify a local directory that contains "
            "a recognized configuration file: for Hugging Face models, ensure the presence of a 'config.json'."
        ) from None
    return config.get("text_config", config) if isinstance(config, dict) else {}


def _check_heads(model: Mapping[str, Any], tensor_parallel_size: int) -> None:
    heads = model.get("num_attention_heads")
    if isinstance(heads, int) and heads % tensor_parallel_size:
        raise StartError(
            f"ValueError: Total number of attention heads ({heads}) must be divisible by tensor parallel size "
            f"({tensor_parallel_size})."
        )


def _check_instances(config: model_config_pb2.ModelConfig) -> None:
    instances = sum(max(1, group.count) for group in config.instance_group)
    if instances > 1 and _kind(config) == model_config_pb2.ModelInstanceGroup.KIND_MODEL:
        # Every instance of KIND_MODEL starts on GPU 0, where the first one holds the memory already.
        raise StartError(
            f"torch.OutOfMemoryError: CUDA out of memory. GPU 0 is shared by {instances} instances of KIND_MODEL."
        )


def _longest_tokens(arguments: Mapping[str, Any], model: Mapping[str, Any], latency: LatencyModel) -> int:
    longest_tokens = int(
        arguments.get("max_model_len")
        or model.get("max_position_embeddings")
        or latency.default_max_model_length_tokens
    )
    if longest_tokens > latency.kv_capacity_tokens:
        raise StartError(
            f"ValueError: To serve at least one request with the models's max seq len ({longest_tokens}), "
            "more KV cache is needed than there is. Based on the available memory, the estimated maximum model length "
            f"is {latency.kv_capacity_tokens}. Try increasing `gpu_memory_utilization` or decreasing `max_model_len` "
            "when initializing the engine."
        )
    return longest_tokens


def _limits(arguments: Mapping[str, Any], latency: LatencyModel) -> Limits:
    return Limits(
        max_sequences=int(arguments.get("max_num_seqs") or latency.default_max_sequences),
        max_batched_tokens=int(arguments.get("max_num_batched_tokens") or latency.default_max_batched_tokens),
        kv_capacity_tokens=latency.kv_capacity_tokens,
    )
