"""The text of the metrics page, and how it moves: the same checks on the real server and on the simulator.

The real server here is 2.51 on a machine without a GPU: its page has no `nv_gpu_*`, and not yet the histogram of first
responses.
"""

import asyncio
import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from triton.engines import HTTP_PORT, METRICS_PORT, Engine
from triton.exchange import exchange, receive_chunks, receive_head, send

pytestmark = pytest.mark.asyncio(loop_scope="module")

NEWER_OR_GPU = re.compile(r"nv_(gpu|energy)_|nv_inference_first_response_")
LABELS = '{model="llama",version="1"}'

TIME_TO_FIRST_TOKEN = "0.001 0.005 0.01 0.02 0.04 0.06 0.08 0.1 0.25 0.5 0.75 1 2.5 5 7.5 10 +Inf"
TIME_PER_OUTPUT_TOKEN = "0.01 0.025 0.05 0.075 0.1 0.15 0.2 0.3 0.4 0.5 0.75 1 2.5 +Inf"
END_TO_END = "1 2.5 5 10 15 20 30 40 50 60 +Inf"
LENGTHS = "1 2 5 10 20 50 100 200 500 1000 2000 +Inf"
PARAMETER_N = "1 2 5 10 20 +Inf"


async def page(engine: Engine) -> str:
    answer = await exchange(engine, "GET", "/metrics", port=METRICS_PORT)
    assert (answer.code, answer.headers["Content-Type"]) == (200, "text/plain; charset=utf-8")
    return answer.body.decode()


async def samples(engine: Engine) -> dict[str, float]:
    """Values of the page by name and labels as they are written."""
    lines = [line for line in (await page(engine)).splitlines() if not line.startswith("#")]
    values = (line.rsplit(" ", 1) for line in lines if not NEWER_OR_GPU.match(line))
    return {name: float(value) for name, value in values}


async def test_families_in_order_with_help_and_type(served: Engine) -> None:
    heads = [line for line in (await page(served)).splitlines() if line.startswith("#")]
    assert [line for line in heads if not NEWER_OR_GPU.search(line)] == HEADS


async def test_the_page_ends_with_a_newline_and_has_no_empty_lines(served: Engine) -> None:
    text = await page(served)
    assert text.endswith("\n")
    assert "\n\n" not in text


async def test_prometheus_reads_it(served: Engine) -> None:
    families = {family.name: family for family in text_string_to_metric_families(await page(served))}
    assert families["vllm:time_to_first_token_seconds"].type == "histogram"
    assert families["vllm:generation_tokens"].type == "counter"


@pytest.mark.parametrize(
    ("name", "bounds"),
    [
        ("vllm:time_to_first_token_seconds", TIME_TO_FIRST_TOKEN),
        ("vllm:time_per_output_token_seconds", TIME_PER_OUTPUT_TOKEN),
        ("vllm:e2e_request_latency_seconds", END_TO_END),
        ("vllm:request_prompt_tokens", LENGTHS),
        ("vllm:request_generation_tokens", LENGTHS),
        ("vllm:request_params_n", PARAMETER_N),
    ],
)
async def test_text_of_a_histogram(served: Engine, name: str, bounds: str) -> None:
    lines = [line for line in (await page(served)).splitlines() if line.startswith(name)]
    assert [line.rsplit(" ", 1)[0] for line in lines] == [
        f"{name}_count{LABELS}",
        f"{name}_sum{LABELS}",
        *(f'{name}_bucket{{model="llama",version="1",le="{bound}"}}' for bound in bounds.split()),
    ]


async def test_labels_of_counters_and_gauges(served: Engine) -> None:
    names = [name for name in await samples(served) if "_bucket" not in name]
    assert [name for name in names if name.startswith("nv_")] == [
        f"nv_inference_request_success{LABELS}",
        *(
            f'nv_inference_request_failure{{model="llama",reason="{reason}",version="1"}}'
            for reason in ("OTHER", "BACKEND", "CANCELED", "REJECTED")
        ),
        f"nv_inference_count{LABELS}",
        f"nv_inference_exec_count{LABELS}",
        f"nv_inference_request_duration_us{LABELS}",
        f"nv_inference_queue_duration_us{LABELS}",
        f"nv_inference_compute_input_duration_us{LABELS}",
        f"nv_inference_compute_infer_duration_us{LABELS}",
        f"nv_inference_compute_output_duration_us{LABELS}",
        f"nv_inference_pending_request_count{LABELS}",
        "nv_pinned_memory_pool_total_bytes",
        "nv_pinned_memory_pool_used_bytes",
        "nv_cpu_utilization",
        "nv_cpu_memory_total_bytes",
        "nv_cpu_memory_used_bytes",
    ]


async def test_what_a_request_adds(served: Engine) -> None:
    before = await samples(served)
    await exchange(served, "POST", "/v2/models/llama/generate", {"text_input": "a b c", "max_tokens": 5})
    after = await samples(served)
    assert {name: after[name] - before[name] for name in before if is_a_count(name, LABELS)} == {
        f"nv_inference_request_success{LABELS}": 1,
        f"nv_inference_count{LABELS}": 1,
        f"nv_inference_exec_count{LABELS}": 1,
        f"nv_inference_pending_request_count{LABELS}": 0,
        f"vllm:generation_tokens_total{LABELS}": 5,
        f"vllm:time_to_first_token_seconds_count{LABELS}": 1,
        f"vllm:time_per_output_token_seconds_count{LABELS}": 4,
        f"vllm:e2e_request_latency_seconds_count{LABELS}": 1,
        f"vllm:request_prompt_tokens_count{LABELS}": 1,
        f"vllm:request_generation_tokens_count{LABELS}": 1,
        f"vllm:request_params_n_count{LABELS}": 1,
    }
    assert after[f"vllm:prompt_tokens_total{LABELS}"] > before[f"vllm:prompt_tokens_total{LABELS}"]
    assert after[f"vllm:request_generation_tokens_sum{LABELS}"] - before[
        f"vllm:request_generation_tokens_sum{LABELS}"
    ] == pytest.approx(5)


def is_a_count(name: str, labels: str) -> bool:
    """Whether the sample counts something other than tokens of a prompt, time, or what failed."""
    return name.endswith(labels) and "_sum" not in name and "_us{" not in name and "prompt_tokens_total" not in name


async def test_arrivals_count_at_dispatch_and_tokens_as_they_come(served: Engine) -> None:
    before = await samples(served)
    reader, writer = await asyncio.open_connection(served.address, HTTP_PORT)
    body = {"text_input": "a", "stream": True, "max_tokens": 100}
    await send(writer, "POST", "/v2/models/llama/generate_stream", body)
    await receive_head(reader)
    chunks = receive_chunks(reader)
    for _ in range(5):
        await anext(chunks)
    during = await samples(served)
    writer.close()

    def grown(name: str) -> float:
        return during[f"{name}{LABELS}"] - before[f"{name}{LABELS}"]

    assert grown("nv_inference_request_success") == 1
    assert grown("nv_inference_pending_request_count") == 0
    assert grown("vllm:time_to_first_token_seconds_count") == 1
    assert 5 <= grown("vllm:generation_tokens_total") < 100
    assert grown("vllm:time_per_output_token_seconds_count") == pytest.approx(
        grown("vllm:generation_tokens_total") - 1, abs=1
    )
    assert grown("vllm:e2e_request_latency_seconds_count") == 0


async def test_a_client_that_goes_away_aborts_its_request(served: Engine) -> None:
    reader, writer = await asyncio.open_connection(served.address, HTTP_PORT)
    body = {"text_input": "a", "stream": True, "max_tokens": 1000}
    await send(writer, "POST", "/v2/models/llama/generate_stream", body)
    await receive_head(reader)
    await anext(receive_chunks(reader))
    finished = (await samples(served))[f"vllm:e2e_request_latency_seconds_count{LABELS}"]
    writer.close()
    await asyncio.sleep(0.3)
    generated = await samples(served)
    await asyncio.sleep(0.3)
    later = await samples(served)
    name = f"vllm:generation_tokens_total{LABELS}"
    assert later[name] == generated[name]
    assert later[f"vllm:e2e_request_latency_seconds_count{LABELS}"] == finished


HEADS = """\
# HELP nv_inference_request_success Number of successful inference requests, all batch sizes
# TYPE nv_inference_request_success counter
# HELP nv_inference_request_failure Number of failed inference requests, all batch sizes
# TYPE nv_inference_request_failure counter
# HELP nv_inference_count Number of inferences performed (does not include cached requests)
# TYPE nv_inference_count counter
# HELP nv_inference_exec_count Number of model executions performed (does not include cached requests)
# TYPE nv_inference_exec_count counter
# HELP nv_inference_request_duration_us Cumulative inference request duration in microseconds (includes cached requests)
# TYPE nv_inference_request_duration_us counter
# HELP nv_inference_queue_duration_us Cumulative inference queuing duration in microseconds (includes cached requests)
# TYPE nv_inference_queue_duration_us counter
# HELP nv_inference_compute_input_duration_us Cumulative compute input duration in microseconds (does not include \
cached requests)
# TYPE nv_inference_compute_input_duration_us counter
# HELP nv_inference_compute_infer_duration_us Cumulative compute inference duration in microseconds (does not include \
cached requests)
# TYPE nv_inference_compute_infer_duration_us counter
# HELP nv_inference_compute_output_duration_us Cumulative inference compute output duration in microseconds (does not \
include cached requests)
# TYPE nv_inference_compute_output_duration_us counter
# HELP vllm:prompt_tokens_total Number of prefill tokens processed.
# TYPE vllm:prompt_tokens_total counter
# HELP vllm:generation_tokens_total Number of generation tokens processed.
# TYPE vllm:generation_tokens_total counter
# HELP nv_inference_pending_request_count Instantaneous number of pending requests awaiting execution per-model.
# TYPE nv_inference_pending_request_count gauge
# HELP nv_pinned_memory_pool_total_bytes Pinned memory pool total memory size, in bytes
# TYPE nv_pinned_memory_pool_total_bytes gauge
# HELP nv_pinned_memory_pool_used_bytes Pinned memory pool used memory size, in bytes
# TYPE nv_pinned_memory_pool_used_bytes gauge
# HELP nv_cpu_utilization CPU utilization rate [0.0 - 1.0]
# TYPE nv_cpu_utilization gauge
# HELP nv_cpu_memory_total_bytes CPU total memory (RAM), in bytes
# TYPE nv_cpu_memory_total_bytes gauge
# HELP nv_cpu_memory_used_bytes CPU used memory (RAM), in bytes
# TYPE nv_cpu_memory_used_bytes gauge
# HELP vllm:time_to_first_token_seconds Histogram of time to first token in seconds.
# TYPE vllm:time_to_first_token_seconds histogram
# HELP vllm:time_per_output_token_seconds Histogram of time per output token in seconds.
# TYPE vllm:time_per_output_token_seconds histogram
# HELP vllm:e2e_request_latency_seconds Histogram of end to end request latency in seconds.
# TYPE vllm:e2e_request_latency_seconds histogram
# HELP vllm:request_prompt_tokens Number of prefill tokens processed.
# TYPE vllm:request_prompt_tokens histogram
# HELP vllm:request_generation_tokens Number of generation tokens processed.
# TYPE vllm:request_generation_tokens histogram
# HELP vllm:request_params_n Histogram of the n request parameter.
# TYPE vllm:request_params_n histogram
""".splitlines()
