"""The metrics page, read by prometheus-client's parser: families and labels, and that every count is accounted for."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from conch.simulator.metrics import one_two_five
from conch.simulator.words import count_tokens
from simulator.simulated_pods import COMMAND, CONFIG, PACE, Pod

MODEL = {"model": "llama", "version": "1"}
VLLM_FAMILIES = {
    "vllm:prompt_tokens_total",
    "vllm:generation_tokens_total",
    "vllm:time_to_first_token_seconds",
    "vllm:time_per_output_token_seconds",
    "vllm:e2e_request_latency_seconds",
    "vllm:request_prompt_tokens",
    "vllm:request_generation_tokens",
    "vllm:request_params_n",
}
TRITON_FAMILIES = {
    "nv_inference_request_success",
    "nv_inference_request_failure",
    "nv_inference_count",
    "nv_inference_exec_count",
    "nv_inference_request_duration_us",
    "nv_inference_queue_duration_us",
    "nv_inference_compute_input_duration_us",
    "nv_inference_compute_infer_duration_us",
    "nv_inference_compute_output_duration_us",
    "nv_energy_consumption",
    "nv_inference_pending_request_count",
    "nv_pinned_memory_pool_total_bytes",
    "nv_pinned_memory_pool_used_bytes",
    "nv_gpu_utilization",
    "nv_gpu_memory_total_bytes",
    "nv_gpu_memory_used_bytes",
    "nv_gpu_power_usage",
    "nv_gpu_power_limit",
    "nv_cpu_utilization",
    "nv_cpu_memory_total_bytes",
    "nv_cpu_memory_used_bytes",
    "nv_inference_first_response_histogram_ms",
}


class Page:
    """One scrape. The parser appends `_total` to the name of every counter that lacks it; here names are the page's."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.families = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE ")]
        self._samples = {
            (self._shown(sample.name), frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def _shown(self, name: str) -> str:
        plain = name.removesuffix("_total")
        return plain if plain in self.families else name

    def __call__(self, name: str, **labels: str) -> float:
        return self._samples[name, frozenset((labels or MODEL).items())]

    def buckets(self, name: str) -> dict[float, float]:
        found = {}
        for (sample, labels), value in self._samples.items():
            if sample == f"{name}_bucket":
                found[float(dict(labels)["le"])] = value
        return found


async def scrape(pod: Pod, http: aiohttp.ClientSession) -> Page:
    async with http.get(pod.url("/metrics", 8002)) as response:
        assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
        return Page(await response.text())


async def generate(pod: Pod, http: aiohttp.ClientSession, prompt: str, max_tokens: int, **more: Any) -> None:
    body = {"text_input": prompt, "parameters": {"max_tokens": max_tokens}, **more}
    path = "/v2/models/llama/generate_stream" if more.get("stream") else "/v2/models/llama/generate"
    async with http.post(pod.url(path), data=json.dumps(body).encode()) as response:
        await response.read()


async def test_families_before_the_first_request(served: Pod, http: aiohttp.ClientSession) -> None:
    page = await scrape(served, http)
    assert set(page.families) == TRITON_FAMILIES | VLLM_FAMILIES
    assert len(page.families) == len(set(page.families))
    assert page("vllm:prompt_tokens_total") == 0
    assert page("vllm:e2e_request_latency_seconds_count") == 0
    for reason in ("OTHER", "BACKEND", "CANCELED", "REJECTED"):
        assert page("nv_inference_request_failure", **MODEL, reason=reason) == 0
    assert 'nv_inference_request_failure{model="llama",reason="OTHER",version="1"} 0\n' in page.text


async def test_everything_is_accounted_for(served: Pod, http: aiohttp.ClientSession) -> None:
    asked = [(f"{'word ' * number}", 3 * number) for number in range(1, 13)]
    await asyncio.gather(
        *(generate(served, http, *request, stream=number % 2 == 0) for number, request in enumerate(asked))
    )
    page = await scrape(served, http)
    prompts = sum(count_tokens(prompt) for prompt, _ in asked)
    outputs = sum(tokens for _, tokens in asked)
    assert page("nv_inference_request_success") == len(asked)
    assert page("nv_inference_pending_request_count") == 0
    assert page("vllm:prompt_tokens_total") == page("vllm:request_prompt_tokens_sum") == prompts
    assert page("vllm:generation_tokens_total") == page("vllm:request_generation_tokens_sum") == outputs
    for name in ("time_to_first_token_seconds", "e2e_request_latency_seconds", "request_prompt_tokens"):
        assert page(f"vllm:{name}_count") == len(asked)
    assert page("nv_inference_first_response_histogram_ms_count") == len(asked)
    assert page("vllm:time_per_output_token_seconds_count") == outputs - len(asked)
    # a request's time is its first token's and all gaps after it
    assert page("vllm:e2e_request_latency_seconds_sum") == pytest.approx(
        page("vllm:time_to_first_token_seconds_sum") + page("vllm:time_per_output_token_seconds_sum")
    )


async def test_one_request_shows_the_closed_form(served: Pod, http: aiohttp.ClientSession) -> None:
    a, b = PACE["base_seconds"], PACE["per_prefill_token_seconds"]
    g, d = PACE["per_decoding_sequence_seconds"], PACE["per_kv_token_seconds"]
    await generate(served, http, "x" * 400, 5)
    page = await scrape(served, http)
    assert page("vllm:time_to_first_token_seconds_sum") == pytest.approx(a + b * 100)
    assert page("vllm:time_per_output_token_seconds_sum") == pytest.approx(4 * (a + g) + d * (101 + 102 + 103 + 104))


async def test_counters_move_as_the_request_moves(served: Pod, http: aiohttp.ClientSession) -> None:
    request = asyncio.create_task(generate(served, http, "x" * 4000, 60))  # the prompt takes four iterations
    async with asyncio.timeout(5):
        while (page := await scrape(served, http))("nv_inference_request_success") == 0:
            pass
    assert page("vllm:prompt_tokens_total") == page("vllm:generation_tokens_total") == 0
    assert page("nv_gpu_utilization", gpu_uuid=_gpu(page)) > 0.9
    async with asyncio.timeout(5):
        while (page := await scrape(served, http))("vllm:generation_tokens_total") < 2:
            assert page("vllm:prompt_tokens_total") == (1000 if page("vllm:generation_tokens_total") else 0)
    assert page("vllm:prompt_tokens_total") == 1000  # in one lump
    assert page("vllm:generation_tokens_total") < 60
    assert page("vllm:time_to_first_token_seconds_count") == 1
    assert page("vllm:e2e_request_latency_seconds_count") == 0
    await request
    page = await scrape(served, http)
    assert page("vllm:e2e_request_latency_seconds_count") == 1
    assert page("nv_gpu_utilization", gpu_uuid=_gpu(page)) == 0


def _gpu(page: Page) -> str:
    return page.text.split('nv_gpu_utilization{gpu_uuid="')[1].split('"')[0]


async def test_an_aborted_request_never_finishes(served: Pod, http: aiohttp.ClientSession) -> None:
    body = json.dumps({"text_input": "hi", "stream": True, "parameters": {"max_tokens": 1000}}).encode()
    async with http.post(served.url("/v2/models/llama/generate_stream"), data=body) as response:
        await response.content.readline()
    await asyncio.sleep(0.05)
    page = await scrape(served, http)
    assert page("nv_inference_request_success") == page("vllm:time_to_first_token_seconds_count") == 1
    assert page("vllm:e2e_request_latency_seconds_count") == 0


async def test_an_error_of_the_backend_is_a_success_to_triton(served: Pod, http: aiohttp.ClientSession) -> None:
    await generate(served, http, "hi", 0)
    await generate(served, http, "", 1, bogus=[1])  # refused before its dispatch
    page = await scrape(served, http)
    assert page("nv_inference_request_success") == 1
    assert page("vllm:time_to_first_token_seconds_count") == 0


async def test_buckets(served: Pod, http: aiohttp.ClientSession) -> None:
    page = await scrape(served, http)
    assert list(page.buckets("vllm:request_prompt_tokens"))[-3:] == [1000, 2000, float("inf")]
    assert list(page.buckets("vllm:time_per_output_token_seconds"))[:3] == [0.01, 0.025, 0.05]
    assert list(page.buckets("nv_inference_first_response_histogram_ms")) == [100, 500, 2000, 5000, float("inf")]
    await generate(served, http, "12345", 5)  # two tokens; a value at a bound counts below it
    page = await scrape(served, http)
    assert list(page.buckets("vllm:request_prompt_tokens").values())[:3] == [0, 1, 1]
    assert list(page.buckets("vllm:request_generation_tokens").values())[:3] == [0, 0, 1]
    assert one_two_five(50) == (1, 2, 5, 10, 20, 50)
    assert one_two_five(49) == (1, 2, 5, 10, 20)


async def test_first_response_buckets_come_from_the_configuration(pod: Pod, http: aiohttp.ClientSession) -> None:
    metrics = """
    model_metrics { metric_control [ {
      metric_identifier { family: "nv_inference_first_response_histogram_ms" }
      histogram_options { buckets: [ 5, 30 ] }
    } ] }
    """
    pod.write_weights()
    pod.write_model(config=CONFIG + metrics)
    pod.start()
    await pod.until_open()
    await generate(pod, http, "hi", 1)
    await generate(pod, http, "hi", 9)  # one response, at the end
    page = await scrape(pod, http)
    assert page.buckets("nv_inference_first_response_histogram_ms") == {5: 0, 30: 1, float("inf"): 2}


@pytest.mark.parametrize(
    ("config", "arguments"),
    [('backend: "vllm" instance_group [ { kind: KIND_MODEL } ]', {}), (CONFIG, {"disable_log_stats": True})],
)
async def test_vllm_families_have_to_be_asked_for(
    pod: Pod, http: aiohttp.ClientSession, config: str, arguments: dict[str, Any]
) -> None:
    pod.write_weights()
    pod.write_model(config=config, **arguments)
    pod.start()
    await pod.until_open()
    await generate(pod, http, "hi", 1)
    page = await scrape(pod, http)
    assert set(page.families) == TRITON_FAMILIES
    assert page("nv_inference_request_success") == 1


async def test_families_by_flags(pod: Pod, http: aiohttp.ClientSession) -> None:
    pod.write_weights()
    pod.write_model()
    pod.start(*COMMAND[:2], "--allow-gpu-metrics=false", "--allow-cpu-metrics=false")
    await pod.until_open()
    families = set((await scrape(pod, http)).families) - VLLM_FAMILIES
    assert not {name for name in families if name.startswith(("nv_gpu", "nv_cpu", "nv_energy"))}
    assert "nv_inference_first_response_histogram_ms" not in families


async def test_two_models_share_their_families(pod: Pod, http: aiohttp.ClientSession) -> None:
    pod.write_weights()
    pod.write_model()
    pod.write_model("qwen")
    pod.start()
    await pod.until_open()
    await generate(pod, http, "hi", 7)
    page = await scrape(pod, http)
    assert len(page.families) == len(set(page.families))
    assert page("vllm:generation_tokens_total") == 7
    assert page("vllm:generation_tokens_total", model="qwen", version="1") == 0


async def test_gpus_are_those_of_the_container(pod: Pod, http: aiohttp.ClientSession) -> None:
    pod.write_weights()
    pod.write_model(tensor_parallel_size=2)
    pod.start(env={"NVIDIA_VISIBLE_DEVICES": "GPU-aaa,GPU-bbb"})
    await pod.until_open()
    page = await scrape(pod, http)
    assert page("nv_gpu_memory_total_bytes", gpu_uuid="GPU-aaa") > page("nv_gpu_memory_used_bytes", gpu_uuid="GPU-bbb")
