"""Triton Inference Server with the vLLM backend: a plan becomes a command line and a model repository.

One pod runs one Triton with one model. Tensor and pipeline parallelism need `KIND_MODEL` with one instance: `KIND_GPU`
is refused by the backend, and more instances of `KIND_MODEL` would all sit on GPU 0 (triton-inference-server/server
#6855). The repository is `<root>/<served name>/{config.pbtxt,1/model.json}`; the model's own folder is what is mounted,
because Triton takes every folder at the root for a model, kubelet's `..data` included.
"""

import json
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, Final

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from conch.api.engine import DataType, Engine, KVCacheDataType, Quantization
from conch.catalogue import EngineRelease
from conch.engines.launch import HealthPaths, Launch, Ports
from conch.engines.vllm_fields import problems, typed_value
from conch.models.source import ResolvedModel
from conch.planning.plan import Plan

REPOSITORY: Final = PurePosixPath("/models")
PORTS: Final = Ports(http=8000, grpc=8001, metrics=8002)

_DATA_TYPES: Final = {
    DataType.BFLOAT16: "bfloat16",
    DataType.FLOAT16: "float16",
    DataType.FLOAT32: "float32",
}
_QUANTIZATIONS: Final = {Quantization.FROM_CHECKPOINT: None, Quantization.FP8: "fp8"}
_KV_CACHE_DATA_TYPES: Final = {
    KVCacheDataType.AUTO: None,
    KVCacheDataType.FP8_E4M3: "fp8_e4m3",
    KVCacheDataType.FP8_E5M2: "fp8_e5m2",
}

FIRST_RESPONSE_BUCKETS_MILLISECONDS: Final = tuple(round(10 * 1.3**step) for step in range(37))
"""10 ms to 126 s, each 1.3 times the last: any objective between lies within 30 % of a bound. They are fixed, never
the objectives themselves, so that an edit of an objective restarts no engine."""


class InvalidEngineArguments(ValueError):
    """The release does not know an argument, or not with this value; `problems` says which, in words for the user."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def launch(engine: Engine, release: EngineRelease, plan: Plan, model: ResolvedModel) -> Launch:
    """How Triton serves `model` by `plan`. Raises InvalidEngineArguments for what the release would refuse."""
    return Launch(
        command=_command(engine),
        environment=_environment(plan),
        files={
            "config.pbtxt": text_format.MessageToString(model_configuration()),
            "1/model.json": json.dumps(engine_arguments(engine, release, plan, model), indent=2, sort_keys=True) + "\n",
        },
        files_folder=REPOSITORY / model.served_name,
        ports=PORTS,
        health=HealthPaths(
            startup="/v2/health/ready",
            readiness=f"/v2/models/{model.served_name}/ready",
            liveness="/v2/health/live",
        ),
        drain_seconds=engine.drain_seconds,
    )


def _command(engine: Engine) -> tuple[str, ...]:
    return (
        "tritonserver",
        f"--model-repository={REPOSITORY}",
        "--model-control-mode=none",
        "--strict-readiness=true",
        f"--http-port={PORTS.http}",
        f"--grpc-port={PORTS.grpc}",
        f"--metrics-port={PORTS.metrics}",
        "--metrics-config=histogram_latencies=true",
        f"--exit-timeout-secs={engine.drain_seconds}",
    )


def _environment(plan: Plan) -> Mapping[str, str]:
    return {
        "DO_NOT_TRACK": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_OFFLINE": "1",
        "VLLM_ENGINE_READY_TIMEOUT_S": str(plan.startup_seconds),
        "VLLM_NO_USAGE_STATS": "1",
    }


def model_configuration() -> model_config_pb2.ModelConfig:
    """The config.pbtxt; inputs and outputs are completed by the backend itself."""
    config = model_config_pb2
    control = config.ModelMetrics.MetricControl
    return config.ModelConfig(
        backend="vllm",
        instance_group=[config.ModelInstanceGroup(count=1, kind=config.ModelInstanceGroup.KIND_MODEL)],
        parameters={"REPORT_CUSTOM_METRICS": config.ModelParameter(string_value="true")},
        model_metrics=config.ModelMetrics(
            metric_control=[
                control(
                    metric_identifier=control.MetricIdentifier(family="nv_inference_first_response_histogram_ms"),
                    histogram_options=control.HistogramOptions(buckets=FIRST_RESPONSE_BUCKETS_MILLISECONDS),
                )
            ]
        ),
    )


def engine_arguments(engine: Engine, release: EngineRelease, plan: Plan, model: ResolvedModel) -> dict[str, Any]:
    """The model.json: keyword arguments of vLLM's AsyncEngineArgs in this release."""
    utilization_percent = engine.gpu_memory_utilization_percent
    arguments = {
        "model": str(model.path),
        "load_format": "safetensors",
        "trust_remote_code": False,
        "disable_log_stats": False,
        "tensor_parallel_size": plan.tensor,
        "pipeline_parallel_size": plan.pipeline,
        "max_model_len": engine.max_model_length,
        "dtype": _DATA_TYPES[engine.data_type] if engine.data_type else None,
        "quantization": _QUANTIZATIONS[engine.quantization],
        "kv_cache_dtype": _KV_CACHE_DATA_TYPES[engine.kv_cache_data_type],
        "max_num_seqs": engine.max_concurrent_sequences,
        "max_num_batched_tokens": engine.max_batched_tokens,
        "gpu_memory_utilization": utilization_percent / 100 if utilization_percent else None,
    }
    document = {name: value for name, value in arguments.items() if value is not None}
    return _checked(document | _extra_arguments(engine, release), release)


def _extra_arguments(engine: Engine, release: EngineRelease) -> dict[str, Any]:
    values, wrong = {}, []
    for argument in engine.extra_args:
        try:
            values[argument.name] = typed_value(release.vllm, argument.name, argument.value)
        except ValueError as error:
            wrong.append(f"spec.engine.extraArgs {argument.name}: {error}")
    if wrong:
        raise InvalidEngineArguments(tuple(wrong))
    return values


def _checked(document: dict[str, Any], release: EngineRelease) -> dict[str, Any]:
    wrong = problems(release.vllm, document)
    if wrong:
        raise InvalidEngineArguments(tuple(f"Triton {release.name} (vLLM {release.vllm}): {text}" for text in wrong))
    return document
