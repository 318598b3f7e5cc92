"""Triton's command line: the real server's flags are accepted with their types; what matters here becomes `Options`.

The flags are those of `tritonserver --help` of 2.51 without its deprecated ones, and those that newer releases added.
As in the real server, a wrong command line prints the reason and the usage, and the process exits with 1.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn


class UsageError(ValueError):
    """The server would refuse this command line, for the reason in the text."""


@dataclass(frozen=True, slots=True)
class Options:
    """What of the command line the simulator heeds."""

    model_repositories: tuple[str, ...]
    server_id: str
    http_port: int | None
    """None: not opened."""
    metrics_port: int | None
    exit_timeout_seconds: int
    exit_on_error: bool
    strict_readiness: bool
    completes_configuration: bool
    first_response_histogram: bool
    gpu_metrics: bool
    cpu_metrics: bool


def parse(arguments: Sequence[str]) -> Options:
    """The options of a command line without its program name. Raises UsageError."""
    given = _parser().parse_args(arguments)
    if not given.model_repository:
        raise UsageError("--model-repository must be specified")
    if given.model_control_mode != "none":
        raise UsageError(f"--model-control-mode={given.model_control_mode} is not simulated: only 'none' is")
    if given.load_model:
        raise UsageError("Error: Use of '--load-model' requires setting '--model-control-mode=explicit' as well.")
    return Options(
        model_repositories=tuple(given.model_repository),
        server_id=given.id,
        http_port=given.http_port if given.allow_http else None,
        metrics_port=given.metrics_port if given.allow_metrics else None,
        exit_timeout_seconds=given.exit_timeout_secs,
        exit_on_error=given.exit_on_error,
        strict_readiness=given.strict_readiness,
        completes_configuration=not given.disable_auto_complete_config,
        first_response_histogram=dict(given.metrics_config).get("histogram_latencies") == "true",
        gpu_metrics=given.allow_gpu_metrics,
        cpu_metrics=given.allow_cpu_metrics,
    )


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


def _boolean(text: str) -> bool:
    lowered = text.lower()
    if lowered in ("1", "true", "on"):
        return True
    if lowered in ("0", "false", "off"):
        return False
    raise argparse.ArgumentTypeError(f"invalid value for bool option: {text}")


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"Invalid option value. Got {text}") from None


def _setting(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not (name and separator and value):
        raise argparse.ArgumentTypeError(f"option format is <setting>=<value>. Got {text}")
    return name, value


_HEEDED: Final[dict[str, dict[str, Any]]] = {
    "model-repository": {"action": "append"},
    "id": {"default": "triton"},
    "allow-http": {"type": _boolean, "default": True},
    "http-port": {"type": _integer, "default": 8000},
    "allow-metrics": {"type": _boolean, "default": True},
    "metrics-port": {"type": _integer, "default": 8002},
    "exit-timeout-secs": {"type": _integer, "default": 30},
    "exit-on-error": {"type": _boolean, "default": True},
    "strict-readiness": {"type": _boolean, "default": True},
    "disable-auto-complete-config": {"action": "store_true"},
    "metrics-config": {"type": _setting, "action": "append", "default": []},
    "allow-gpu-metrics": {"type": _boolean, "default": True},
    "allow-cpu-metrics": {"type": _boolean, "default": True},
    "model-control-mode": {"choices": ("none", "poll", "explicit"), "default": "none"},
    "load-model": {"action": "append", "default": []},
}

_ACCEPTED: Final[dict[Callable[[str], Any], str]] = {
    _boolean: """
        log-info log-warning log-error model-namespacing enable-peer-access reuse-http-port allow-grpc reuse-grpc-port
        grpc-use-ssl grpc-use-ssl-mutual allow-sagemaker allow-vertex-ai allow-client-shm
    """,
    _integer: """
        log-verbose repository-poll-secs model-load-thread-count model-load-retry-count http-thread-count
        http-max-input-size grpc-port grpc-infer-allocation-pool-size grpc-infer-thread-count grpc-keepalive-time
        grpc-keepalive-timeout grpc-keepalive-permit-without-calls grpc-http2-max-pings-without-data
        grpc-http2-min-recv-ping-interval-without-data grpc-http2-max-ping-strikes grpc-max-connection-age
        grpc-max-connection-age-grace grpc-max-response-pool-size sagemaker-port sagemaker-thread-count vertex-ai-port
        vertex-ai-thread-count pinned-memory-pool-byte-size buffer-manager-thread-count
    """,
    float: "metrics-interval-ms min-supported-compute-capability",
    str: """
        log-format log-file model-config-name http-address http-header-forward-pattern http-restricted-api grpc-address
        grpc-header-forward-pattern grpc-server-cert grpc-server-key grpc-root-cert
        grpc-infer-response-compression-level
        grpc-restricted-protocol sagemaker-safe-port-range vertex-ai-default-model metrics-address trace-config
        backend-directory backend-config repoagent-directory cache-config cache-directory rate-limit rate-limit-resource
        cuda-memory-pool-byte-size cuda-virtual-address-size host-policy model-load-gpu-limit
    """,
}


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="tritonserver", add_help=False, allow_abbrev=True)
    parser.add_argument("--model-store", action="append", dest="model_repository")
    for flag, how in _HEEDED.items():
        parser.add_argument(f"--{flag}", **how)
    for type_, flags in _ACCEPTED.items():
        for flag in flags.split():
            parser.add_argument(f"--{flag}", type=type_, action="append")
    return parser
