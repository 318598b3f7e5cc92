"""A stand-in for the vLLM backend of Triton: a Python-based backend that needs no GPU and no vLLM.

NVIDIA's backend cannot start without a GPU. This one runs in the same place, a real tritonserver, and copies how that
backend meets the server: the completed model configuration; what of a model's folder it reads, checks and refuses, in
which order; dispatch that returns at once; one response per token or one per request; custom metrics through the
server's own API; `finalize` that waits for requests in flight.

It cannot show anything of vLLM itself: texts are numbered words, a token takes a fixed time, nothing is batched, and
no memory runs out. Errors of vLLM beyond unknown arguments do not occur.

It runs in the server's own Python, which has numpy and the standard library. Settings come as JSON in the variable
STAND_IN_VLLM: load_seconds, token_seconds, and arguments, the names that AsyncEngineArgs takes.
"""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from dataclasses import make_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils  # type: ignore[import-not-found]

INPUTS = (
    ("text_input", "TYPE_STRING", [1], False),
    ("image", "TYPE_STRING", [-1], True),
    ("stream", "TYPE_BOOL", [1], True),
    ("sampling_parameters", "TYPE_STRING", [1], True),
    ("exclude_input_in_output", "TYPE_BOOL", [1], True),
    ("return_finish_reason", "TYPE_BOOL", [1], True),
    ("return_cumulative_logprob", "TYPE_BOOL", [1], True),
    ("return_logprobs", "TYPE_BOOL", [1], True),
    ("return_num_input_tokens", "TYPE_BOOL", [1], True),
    ("return_num_output_tokens", "TYPE_BOOL", [1], True),
    ("embedding_request", "TYPE_STRING", [1], True),
)
OUTPUTS = (
    ("text_output", "TYPE_STRING", [-1]),
    ("finish_reason", "TYPE_STRING", [-1]),
    ("cumulative_logprob", "TYPE_FP32", [-1]),
    ("logprobs", "TYPE_STRING", [-1]),
    ("num_input_tokens", "TYPE_UINT32", [1]),
    ("num_output_tokens", "TYPE_UINT32", [-1]),
)
SETTINGS = json.loads(os.environ["STAND_IN_VLLM"])


class TritonPythonModel:
    @staticmethod
    def auto_complete_config(config: Any) -> Any:
        """Adds what a config.pbtxt may leave out."""
        given = config.as_dict()
        inputs, outputs = ({tensor["name"] for tensor in given[kind]} for kind in ("input", "output"))
        for name, data_type, dims, optional in INPUTS:
            if name not in inputs:
                config.add_input({"name": name, "data_type": data_type, "dims": dims, "optional": optional})
        for name, data_type, dims in OUTPUTS:
            if name not in outputs:
                config.add_output({"name": name, "data_type": data_type, "dims": dims})
        config.set_model_transaction_policy({"decoupled": True})
        config.set_max_batch_size(0)
        return config

    def initialize(self, args: dict[str, str]) -> None:
        config = json.loads(args["model_config"])
        assert pb_utils.using_decoupled_model_transaction_policy(config), (
            "vLLM Triton backend must be configured to use decoupled model transaction policy"
        )
        arguments = engine_arguments(Path(pb_utils.get_model_dir()))
        check_device(args["model_instance_kind"], arguments)
        make_dataclass("AsyncEngineArgs", [(name, object, None) for name in SETTINGS["arguments"]])(**arguments)
        time.sleep(SETTINGS["load_seconds"])
        reports = config["parameters"].get("REPORT_CUSTOM_METRICS", {}).get("string_value", "").lower() == "true"
        longest = arguments.get("max_model_len") or 2048
        metrics = Metrics(args, longest) if reports and not arguments.get("disable_log_stats") else None
        self.engine = Engine(metrics)

    def execute(self, requests: list[Any]) -> None:
        for request in requests:
            self.engine.dispatch(request)

    def finalize(self) -> None:
        if hasattr(self, "engine"):
            self.engine.shut_down()


def engine_arguments(folder: Path) -> dict[str, Any]:
    """The contents of model.json."""
    file = folder / "model.json"
    assert file.is_file(), f"'model.json' containing vllm engine args must be provided in '{folder}'"
    arguments: dict[str, Any] = json.loads(file.read_text())
    return arguments


def check_device(kind: str, arguments: dict[str, Any]) -> None:
    """An instance of KIND_GPU gets one GPU, so it cannot be parallel."""
    size = int(arguments.get("tensor_parallel_size", 1)) * int(arguments.get("pipeline_parallel_size", 1))
    if kind == "GPU" and size > 1:
        raise ValueError(
            "KIND_GPU is currently for single-GPU models, please specify KIND_MODEL in the model's config.pbtxt for "
            "multi-GPU models"
        )


class Engine:
    """Generates on an event loop of its own."""

    def __init__(self, metrics: Metrics | None) -> None:
        self.metrics = metrics
        self.in_flight = 0
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()

    def dispatch(self, request: Any) -> None:
        """Takes a request and returns at once."""
        self.in_flight += 1
        asyncio.run_coroutine_threadsafe(self.serve(request), self.loop)

    async def serve(self, request: Any) -> None:
        sender = request.get_response_sender()
        try:
            await self.generate(Generation(request), sender)
        except Exception as error:
            response = pb_utils.InferenceResponse(error=pb_utils.TritonError(f"Error generating stream: {error}"))
            sender.send(response, flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
        finally:
            self.in_flight -= 1

    async def generate(self, generation: Generation, sender: Any) -> None:
        arrived_at = before = time.monotonic()
        for number in range(1, generation.output_tokens + 1):
            await asyncio.sleep(SETTINGS["token_seconds"])
            if sender.is_cancelled():
                sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
                return
            now, is_last = time.monotonic(), number == generation.output_tokens
            if self.metrics:
                self.metrics.token(generation, number, now - arrived_at, now - before)
            before = now
            if generation.streams or is_last:
                flags = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL if is_last else 0
                sender.send(generation.response(number, is_last=is_last), flags=flags)

    def shut_down(self) -> None:
        while self.in_flight:
            time.sleep(0.01)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()


class Generation:
    """What a request asks for, and its responses. A word is a token."""

    def __init__(self, request: Any) -> None:
        self.request = request
        self.prompt = self.value("text_input", b"").decode()
        self.prompt_tokens = len(self.prompt.split())
        self.streams = bool(self.value("stream", False))
        excluded = self.value("exclude_input_in_output", None)
        if self.streams and excluded is not None and not excluded:
            raise ValueError("When streaming, `exclude_input_in_output` = False is not allowed.")
        self.prefix = "" if self.streams or excluded else self.prompt
        given = self.value("sampling_parameters", None)
        sampling = json.loads(given if given is not None else request.parameters())
        self.output_tokens = int(sampling.get("max_tokens", 16))

    def value(self, name: str, default: Any) -> Any:
        tensor = pb_utils.get_input_tensor_by_name(self.request, name)
        return default if tensor is None else tensor.as_numpy().flatten()[0]

    def response(self, number: int, *, is_last: bool) -> Any:
        numbers = range(number if self.streams else 1, number + 1)
        text = self.prefix + "".join(f" word{word}" for word in numbers)
        outputs = [tensor("text_output", text, np.object_)]
        for name, value, kind in (
            ("finish_reason", "length" if is_last else "None", np.object_),
            ("cumulative_logprob", 0.0, np.float32),
            ("logprobs", "null", np.object_),
            ("num_input_tokens", self.prompt_tokens, np.uint32),
            ("num_output_tokens", len(numbers), np.uint32),
        ):
            if self.value(f"return_{name}", False):
                outputs.append(tensor(name, value, kind))
        return pb_utils.InferenceResponse(output_tensors=outputs)


def tensor(name: str, value: Any, kind: Any) -> Any:
    return pb_utils.Tensor(name, np.asarray([value], dtype=kind))


class Metrics:
    """The families that the backend re-exports of vLLM; each metric starts at zero."""

    def __init__(self, args: dict[str, str], longest_tokens: int) -> None:
        labels = {"model": args["model_name"], "version": args["model_version"]}
        lengths = [
            digit * 10**power for power in range(10) for digit in (1, 2, 5) if digit * 10**power <= longest_tokens
        ]
        self.families: list[Any] = []
        counter, histogram = pb_utils.MetricFamily.COUNTER, pb_utils.MetricFamily.HISTOGRAM

        def metric(name: str, description: str, kind: Any, **options: Any) -> Any:
            family = pb_utils.MetricFamily(name=f"vllm:{name}", description=description, kind=kind)
            self.families.append(family)  # a family that nobody holds takes its metrics off the page
            return family.Metric(labels=labels, **options)

        self.prompt_tokens = metric("prompt_tokens_total", "Number of prefill tokens processed.", counter)
        self.generation_tokens = metric("generation_tokens_total", "Number of generation tokens processed.", counter)
        self.first_token = metric(
            "time_to_first_token_seconds",
            "Histogram of time to first token in seconds.",
            histogram,
            buckets=[0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0],
        )
        self.gap = metric(
            "time_per_output_token_seconds",
            "Histogram of time per output token in seconds.",
            histogram,
            buckets=[0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5],
        )
        self.end_to_end = metric(
            "e2e_request_latency_seconds",
            "Histogram of end to end request latency in seconds.",
            histogram,
            buckets=[1.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0],
        )
        self.request_prompt_tokens = metric(
            "request_prompt_tokens", "Number of prefill tokens processed.", histogram, buckets=lengths
        )
        self.request_generation_tokens = metric(
            "request_generation_tokens", "Number of generation tokens processed.", histogram, buckets=lengths
        )
        self.parameter_n = metric(
            "request_params_n", "Histogram of the n request parameter.", histogram, buckets=[1, 2, 5, 10, 20]
        )

    def token(self, generation: Generation, number: int, since_arrival_seconds: float, gap_seconds: float) -> None:
        """Counts a generated token; with the first comes the prompt, with the last the request."""
        self.generation_tokens.increment(1)
        if number == 1:
            self.prompt_tokens.increment(generation.prompt_tokens)
            self.first_token.observe(since_arrival_seconds)
        else:
            self.gap.observe(gap_seconds)
        if number == generation.output_tokens:
            self.end_to_end.observe(since_arrival_seconds)
            self.request_prompt_tokens.observe(generation.prompt_tokens)
            self.request_generation_tokens.observe(number)
            self.parameter_n.observe(1)
