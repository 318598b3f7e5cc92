"""The HTTP API: answers, refusals and streams, as tritonserver 2.51 gives them to the same requests."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from conch.simulator.words import count_tokens, word
from simulator.simulated_pods import CONFIG, Pod, mount

MODEL = "/v2/models/llama"
SEVERAL = (
    "generate expects model to produce exactly 1 response, use generate stream for model that generates various number "
    "of responses"
)


async def post(http: aiohttp.ClientSession, url: str, body: Any) -> tuple[int, Any]:
    async with http.post(url, data=body if isinstance(body, bytes) else json.dumps(body).encode()) as response:
        return response.status, json.loads(await response.read())


async def events(http: aiohttp.ClientSession, url: str, body: Any) -> tuple[aiohttp.ClientResponse, list[Any]]:
    async with http.post(url, data=json.dumps(body).encode()) as response:
        text = (await response.read()).decode()
    lines = text.split("\n\n")
    assert lines.pop() == ""
    assert all(line.startswith("data: ") for line in lines)
    return response, [json.loads(line.removeprefix("data: ")) for line in lines]


@pytest.mark.parametrize(
    ("method", "path", "status", "body"),
    [
        ("GET", "/v2/health/live", 200, None),
        ("POST", "/v2/health/live", 405, "Method Not Allowed"),
        ("GET", "/v2/", 404, "Not Found"),
        ("GET", "/", 404, "Not Found"),
        ("GET", "/metrics", 404, "Not Found"),
        ("GET", f"{MODEL}/nope", 404, "Not Found"),
        ("GET", f"{MODEL}/versions/2/ready", 400, "Model version not ready"),
        ("GET", "/v2/models/other/ready", 400, "Model version not ready"),
        ("GET", "/v2/models/other", 404, "Request for unknown model: 'other' is not found"),
        ("GET", f"{MODEL}/generate", 405, "Method Not Allowed"),
        (
            "POST",
            f"{MODEL}/infer",
            501,
            "HTTP end point doesn't support models with decoupled transaction policy",
        ),
        ("POST", "/v2/models/other/infer", 404, "Request for unknown model: 'other' is not found"),
        ("POST", "/v2/models/other/generate", 404, "Request for unknown model: 'other' is not found"),
        ("POST", f"{MODEL}/versions/2/generate", 404, "Request for unknown model: 'llama' version 2 is not found"),
        (
            "POST",
            "/v2/repository/models/llama/unload",
            503,
            "explicit model load / unload is not allowed if polling is enabled",
        ),
        (
            "POST",
            "/v2/repository/models/other/load",
            503,
            "explicit model load / unload is not allowed if polling is enabled",
        ),
        ("GET", "/v2/repository/index", 405, "Method Not Allowed"),
    ],
)
async def test_codes_and_errors(
    served: Pod, http: aiohttp.ClientSession, method: str, path: str, status: int, body: str | None
) -> None:
    async with http.request(method, served.url(path)) as response:
        assert response.status == status
        text = await response.text()
    assert (json.loads(text)["error"] if text else None) == body


async def test_metadata(served: Pod, http: aiohttp.ClientSession) -> None:
    server = await (await http.get(served.url("/v2"))).json()
    assert (server["name"], server["version"]) == ("triton", "2.72.0")
    model = await (await http.get(served.url(MODEL))).json()
    assert (model["name"], model["versions"], model["platform"]) == ("llama", ["1"], "vllm")
    assert {"name": "text_input", "datatype": "BYTES", "shape": [1]} in model["inputs"]
    assert model["outputs"][0] == {"name": "text_output", "datatype": "BYTES", "shape": [-1]}
    index = await post(http, served.url("/v2/repository/index"), {})
    assert index == (200, [{"name": "llama", "version": "1", "state": "READY"}])


async def test_generate_answers_with_prompt_and_words(served: Pod, http: aiohttp.ClientSession) -> None:
    asked = {"text_input": "hi there", "parameters": {"max_tokens": 3}}
    first = await post(http, served.url(f"{MODEL}/generate"), asked)
    assert first == (
        200,
        {
            "model_name": "llama",
            "model_version": "1",
            "text_output": "hi there" + "".join(word("hi there", number) for number in (1, 2, 3)),
        },
    )
    assert await post(http, served.url(f"{MODEL}/versions/1/generate"), asked) == first


async def test_generate_returns_what_is_asked_for(served: Pod, http: aiohttp.ClientSession) -> None:
    _, answer = await post(
        http,
        served.url(f"{MODEL}/generate"),
        {
            "id": "abc",
            "text_input": "x" * 41,
            "exclude_input_in_output": True,
            "return_num_input_tokens": True,
            "parameters": {"return_num_output_tokens": True, "return_finish_reason": True},
        },
    )
    assert answer["id"] == "abc"
    assert (answer["num_input_tokens"], answer["num_output_tokens"], answer["finish_reason"]) == (11, 16, "length")
    assert not answer["text_output"].startswith("x")


async def test_generate_cannot_stream(served: Pod, http: aiohttp.ClientSession) -> None:
    asked = {"text_input": "hi", "parameters": {"stream": True, "max_tokens": 2}}
    assert await post(http, served.url(f"{MODEL}/generate"), asked) == (200, {"error": SEVERAL})


async def test_stream_sends_each_token_when_it_is_made(served: Pod, http: aiohttp.ClientSession) -> None:
    loop = asyncio.get_running_loop()
    times, texts = [], []
    body = json.dumps({"text_input": "hi", "stream": True, "parameters": {"max_tokens": 8}}).encode()
    async with http.post(served.url(f"{MODEL}/generate_stream"), data=body) as response:
        assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        async for line in response.content:
            if line.startswith(b"data: "):
                times.append(loop.time())
                texts.append(json.loads(line[6:])["text_output"])
    assert texts == [word("hi", number) for number in range(1, 9)]
    # A decoding iteration takes 10.5 ms; one lump at the end would show no time between first and last.
    assert times[-1] - times[0] > 4 * 0.0105


async def test_stream_without_streaming_is_one_event(served: Pod, http: aiohttp.ClientSession) -> None:
    _, answers = await events(http, served.url(f"{MODEL}/generate_stream"), {"text_input": "hi", "id": "7"})
    assert len(answers) == 1
    assert answers[0]["id"] == "7"
    assert answers[0]["text_output"].startswith("hi ")


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        (b"", 500, "failed to parse the request JSON buffer: The document is empty. at 0"),
        (b"garbage", 500, "failed to parse the request JSON buffer: Invalid value. at 0"),
        (b'{"a":}', 500, "failed to parse the request JSON buffer: Invalid value. at 5"),
        (b"[]", 500, "attempt to get members for non-object"),
        ({"text_input": "a", "id": 5}, 500, "Unable to parse 'id': attempt to access JSON non-string as string"),
        (
            {"stream": True, "parameters": {"stream": True}},
            400,
            "[request id: <id_unknown>] input 'stream' already exists in request",
        ),
        (
            {"max_tokens": 3, "id": "q"},
            400,
            "[request id: q] expected number of inputs between 1 and 11 but got 0 inputs for model 'llama'. Got "
            "input(s) [], but missing required input(s) ['text_input']. Please provide all required input(s).",
        ),
        ({"text_input": 5}, 500, "Unable to parse JSON bytes array: attempt to access JSON non-string as string"),
        (
            {"text_input": "a", "stream": "x"},
            500,
            "Unable to parse 'data': attempt to access JSON non-boolean as boolean",
        ),
        (
            {"text_input": "a", "parameters": 5},
            500,
            "Expected JSON object for keyword: 'parameters': attempt to access JSON non-object as object",
        ),
        (
            {"text_input": ["a", "b"]},
            400,
            "The schema can not convert input 'text_input' to tensor with proper shape",
        ),
        (
            {"text_input": "a", "bogus": {"x": 1}},
            400,
            "parameter 'bogus' has invalid type. It should be either 'int', 'bool', or 'string'.",
        ),
        (
            {"text_input": "a", "parameters": {"x": [1]}},
            400,
            "Converting keyword: 'parameters': parameter 'x' has invalid type. It should be either 'int', 'bool', or "
            "'string'.",
        ),
    ],
)
async def test_requests_that_triton_refuses(
    served: Pod, http: aiohttp.ClientSession, body: Any, status: int, error: str
) -> None:
    assert await post(http, served.url(f"{MODEL}/generate"), body) == (status, {"error": error})


async def test_without_a_prompt_the_backend_fails(served: Pod, http: aiohttp.ClientSession) -> None:
    response, answers = await events(http, served.url(f"{MODEL}/generate_stream"), {"stream": True})
    assert response.status == 400
    assert answers == [{"error": "Error generating stream: 'NoneType' object has no attribute 'as_numpy'"}]


@pytest.mark.parametrize(
    ("parameters", "error"),
    [
        ({"max_tokens": 0}, "'NoneType' object has no attribute 'lora_name'"),
        ({"max_tokens": "many"}, "'NoneType' object has no attribute 'lora_name'"),
        ({"max_tokenz": 3}, "'NoneType' object has no attribute 'lora_name'"),
        ({"n": 2}, "one sequence per request"),
        ({"lora_name": "support"}, "LoRA feature is not enabled."),
        ({"sampling_parameters": "{"}, "Error generating stream: "),
        ({"stream": True, "exclude_input_in_output": False}, "When streaming, `exclude_input_in_output` = False"),
    ],
)
async def test_errors_of_the_backend_are_responses(
    served: Pod, http: aiohttp.ClientSession, parameters: dict[str, Any], error: str
) -> None:
    asked = {"text_input": "hi", "parameters": parameters}
    status, answer = await post(http, served.url(f"{MODEL}/generate"), asked)
    assert status == 400
    assert error in answer["error"]
    response, answers = await events(http, served.url(f"{MODEL}/generate_stream"), asked)
    assert response.status == 400
    assert answers == [answer]


async def test_adapters_are_those_of_multi_lora_json(pod: Pod, http: aiohttp.ClientSession) -> None:
    pod.write_weights()
    arguments = json.dumps({"model": "/weights/model", "enable_lora": True})
    adapters = json.dumps({"support": "/weights/support"})
    files = {"config.pbtxt": CONFIG, "1/model.json": arguments, "1/multi_lora.json": adapters}
    mount(pod.root / "models/llama", files)
    pod.start()
    await pod.until_open()
    asked = {"text_input": "hi", "parameters": {"lora_name": "support", "max_tokens": 1}}
    assert (await post(http, pod.url(f"{MODEL}/generate"), asked))[0] == 200
    asked["parameters"] = {"lora_name": "sales"}
    assert await post(http, pod.url(f"{MODEL}/generate"), asked) == (
        400,
        {"error": "LoRA sales is not supported, we currently support ['support']"},
    )


async def test_sampling_parameters_win_over_parameters(served: Pod, http: aiohttp.ClientSession) -> None:
    asked = {
        "text_input": "hi",
        "sampling_parameters": json.dumps({"max_tokens": 2, "temperature": 0.5}),
        "parameters": {"max_tokens": 9, "return_num_output_tokens": True},
    }
    _, answer = await post(http, served.url(f"{MODEL}/generate"), asked)
    assert answer["num_output_tokens"] == 2


async def test_the_model_length_bounds_prompt_and_answer(served: Pod, http: aiohttp.ClientSession) -> None:
    asked: dict[str, Any] = {"text_input": "four" * 2040, "return_num_output_tokens": True, "max_tokens": 50}
    _, answer = await post(http, served.url(f"{MODEL}/generate"), asked)
    assert answer["num_output_tokens"] == 8
    _, answer = await post(http, served.url(f"{MODEL}/generate"), {"text_input": "four" * 2049})
    assert "(length 2049) is longer than the maximum model length of 2048" in answer["error"]


async def test_a_client_that_leaves_frees_the_engine(served: Pod, http: aiohttp.ClientSession) -> None:
    asked = json.dumps({"text_input": "hi", "stream": True, "parameters": {"max_tokens": 2000}}).encode()
    for _ in range(4):  # all the sequences the engine may run
        async with http.post(served.url(f"{MODEL}/generate_stream"), data=asked) as response:
            await response.content.readline()
    status, _ = await asyncio.wait_for(
        post(http, served.url(f"{MODEL}/generate"), {"text_input": "next", "max_tokens": 1}), 5
    )
    assert status == 200


def test_tokens_of_a_prompt() -> None:
    assert [count_tokens(text) for text in ("", "a", "four", "fives", "ü" * 4)] == [1, 1, 1, 2, 2]
