"""What the HTTP port answers, exactly: the same checks on the real server and on the simulator."""

import asyncio
from typing import Any

import pytest

from triton.engines import HTTP_PORT, METRICS_PORT, Engine
from triton.exchange import exchange, receive, receive_chunks, receive_head, send

pytestmark = pytest.mark.asyncio(loop_scope="module")

GENERATE = "/v2/models/llama/generate"
STREAM = "/v2/models/llama/generate_stream"
TEXT, JSON = "text/plain", "application/json"
NO_MODEL_CONTROL = "explicit model load / unload is not allowed if polling is enabled"
UNKNOWN_MODEL = "Request for unknown model: 'nope' is not found"
NOT_JSON_TYPE = "has invalid type. It should be either 'int', 'bool', or 'string'."
NO_TEXT = (
    "[request id: <id_unknown>] expected number of inputs between 1 and 11 but got 0 inputs for model 'llama'. Got "
    "input(s) [], but missing required input(s) ['text_input']. Please provide all required input(s)."
)


INPUTS: list[dict[str, Any]] = [
    {"name": "text_input", "datatype": "BYTES", "shape": [1]},
    {"name": "image", "datatype": "BYTES", "shape": [-1]},
    {"name": "stream", "datatype": "BOOL", "shape": [1]},
    {"name": "sampling_parameters", "datatype": "BYTES", "shape": [1]},
    {"name": "exclude_input_in_output", "datatype": "BOOL", "shape": [1]},
    {"name": "return_finish_reason", "datatype": "BOOL", "shape": [1]},
    {"name": "return_cumulative_logprob", "datatype": "BOOL", "shape": [1]},
    {"name": "return_logprobs", "datatype": "BOOL", "shape": [1]},
    {"name": "return_num_input_tokens", "datatype": "BOOL", "shape": [1]},
    {"name": "return_num_output_tokens", "datatype": "BOOL", "shape": [1]},
    {"name": "embedding_request", "datatype": "BYTES", "shape": [1]},
]
OUTPUTS: list[dict[str, Any]] = [
    {"name": "text_output", "datatype": "BYTES", "shape": [-1]},
    {"name": "finish_reason", "datatype": "BYTES", "shape": [-1]},
    {"name": "cumulative_logprob", "datatype": "FP32", "shape": [-1]},
    {"name": "logprobs", "datatype": "BYTES", "shape": [-1]},
    {"name": "num_input_tokens", "datatype": "UINT32", "shape": [1]},
    {"name": "num_output_tokens", "datatype": "UINT32", "shape": [-1]},
]


@pytest.mark.parametrize(
    "path",
    ["/v2/health/live", "/v2/health/ready", "/v2/models/llama/ready", "/v2/models/llama/versions/1/ready"],
)
async def test_health(served: Engine, path: str) -> None:
    answer = await exchange(served, "GET", path)
    assert (answer.code, answer.headers, answer.body) == (200, {"Content-Type": TEXT, "Content-Length": "0"}, b"")


@pytest.mark.parametrize(
    ("method", "path", "body", "code", "content_type", "error"),
    [
        ("GET", "/v2/models/nope/ready", None, 400, TEXT, "Model version not ready"),
        ("GET", "/v2/models/llama/versions/9/ready", None, 400, TEXT, "Model version not ready"),
        ("GET", "/v2/models/nope", None, 404, JSON, UNKNOWN_MODEL),
        ("POST", "/v2/repository/models/llama/load", {}, 503, JSON, NO_MODEL_CONTROL),
        ("POST", "/v2/repository/models/llama/unload", None, 503, JSON, NO_MODEL_CONTROL),
        ("POST", "/v2/repository/models/nope/load", None, 503, JSON, NO_MODEL_CONTROL),
        (
            *("POST", "/v2/models/llama/infer", {}, 501, TEXT),
            "HTTP end point doesn't support models with decoupled transaction policy",
        ),
        ("POST", "/v2/models/nope/infer", {}, 404, TEXT, UNKNOWN_MODEL),
        ("POST", "/v2/models/nope/generate", {}, 404, JSON, UNKNOWN_MODEL),
        ("POST", "/v2/models/nope/generate_stream", {}, 404, JSON, UNKNOWN_MODEL),
        ("POST", GENERATE, "", 500, JSON, "failed to parse the request JSON buffer: The document is empty. at 0"),
        ("POST", GENERATE, "[]", 500, JSON, "attempt to get members for non-object"),
        ("POST", GENERATE, {}, 400, JSON, NO_TEXT),
        ("POST", STREAM, {}, 400, JSON, NO_TEXT),
        (
            *("POST", GENERATE, {"text_input": 5}, 500, JSON),
            "Unable to parse JSON bytes array: attempt to access JSON non-string as string",
        ),
        (
            *("POST", GENERATE, {"text_input": ["a", "b"]}, 400, JSON),
            "The schema can not convert input 'text_input' to tensor with proper shape",
        ),
        (
            *("POST", GENERATE, {"text_input": "a", "stream": "yes"}, 500, JSON),
            "Unable to parse 'data': attempt to access JSON non-boolean as boolean",
        ),
        (
            *("POST", GENERATE, {"text_input": "a", "parameters": 7}, 500, JSON),
            "Expected JSON object for keyword: 'parameters': attempt to access JSON non-object as object",
        ),
        (
            *("POST", GENERATE, {"text_input": "a", "parameters": {"max_tokens": None}}, 400, JSON),
            f"Converting keyword: 'parameters': parameter 'max_tokens' {NOT_JSON_TYPE}",
        ),
        ("POST", GENERATE, {"text_input": "a", "stop": ["x"]}, 400, JSON, f"parameter 'stop' {NOT_JSON_TYPE}"),
        ("GET", GENERATE, None, 405, JSON, "Method Not Allowed"),
        ("POST", "/v2/health/live", None, 405, TEXT, "Method Not Allowed"),
        ("GET", "/", None, 404, TEXT, "Not Found"),
        ("GET", "/v2/nothing", None, 404, TEXT, "Not Found"),
        ("GET", "/metrics", None, 404, TEXT, "Not Found"),
    ],
)
async def test_refusals(
    served: Engine, method: str, path: str, body: object, code: int, content_type: str, error: str
) -> None:
    answer = await exchange(served, method, path, body)
    assert (answer.code, answer.document) == (code, {"error": error})
    assert answer.headers == {"Content-Type": content_type, "Content-Length": str(len(answer.body))}


async def test_a_body_that_is_not_json(served: Engine) -> None:
    answer = await exchange(served, "POST", GENERATE, "{")
    assert answer.code == 500
    assert answer.document["error"].startswith("failed to parse the request JSON buffer: ")


async def test_the_model_has_the_inputs_and_outputs_that_the_backend_adds(served: Engine) -> None:
    document = (await exchange(served, "GET", "/v2/models/llama")).document
    assert {name: document[name] for name in ("name", "versions", "platform")} == {
        "name": "llama",
        "versions": ["1"],
        "platform": "vllm",
    }
    assert by_name(document["inputs"]) == by_name(INPUTS)
    assert document["outputs"] == OUTPUTS


def by_name(tensors: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(tensors, key=lambda tensor: str(tensor["name"]))


async def test_the_repository(served: Engine) -> None:
    answer = await exchange(served, "POST", "/v2/repository/index")
    assert answer.document == [{"name": "llama", "version": "1", "state": "READY"}]


@pytest.mark.parametrize(
    "body",
    [
        {"text_input": "a b c", "parameters": {"max_tokens": 2}},
        {"text_input": "a b c", "max_tokens": 2},
        {"text_input": ["a b c"], "sampling_parameters": '{"max_tokens": 2}'},
        {"text_input": "a b c", "stream": False, "max_tokens": 2, "temperature": 0.5},
    ],
)
async def test_generate_answers_once_and_repeats_the_prompt(served: Engine, body: dict[str, Any]) -> None:
    answer = await exchange(served, "POST", GENERATE, body)
    assert (answer.code, answer.headers) == (200, {"Content-Type": JSON, "Transfer-Encoding": "chunked"})
    assert len(answer.chunks) == 1
    assert list(answer.document) == ["model_name", "model_version", "text_output"]
    assert (answer.document["model_name"], answer.document["model_version"]) == ("llama", "1")
    assert len(answer.document["text_output"].removeprefix("a b c ").split()) == 2


async def test_generate_gives_what_is_asked_for(served: Engine) -> None:
    returns = ("finish_reason", "cumulative_logprob", "logprobs", "num_input_tokens", "num_output_tokens")
    body = {"text_input": "a b", "exclude_input_in_output": True, "max_tokens": 3, "id": "mine"}
    answer = await exchange(served, "POST", GENERATE, body | {f"return_{name}": True for name in returns})
    document = answer.document
    assert set(document) == {"id", "model_name", "model_version", "text_output", *returns}
    assert (document["id"], document["finish_reason"], document["num_output_tokens"]) == ("mine", "length", 3)
    assert document["num_input_tokens"] > 0
    assert len(document["text_output"].split()) == 3


async def test_generate_cannot_stream(served: Engine) -> None:
    answer = await exchange(served, "POST", GENERATE, {"text_input": "a", "stream": True, "max_tokens": 2})
    assert (answer.code, answer.headers) == (200, {"Content-Type": JSON, "Transfer-Encoding": "chunked"})
    assert answer.document == {
        "error": "generate expects model to produce exactly 1 response, use generate stream for model that generates "
        "various number of responses"
    }


async def test_a_stream_of_one_token_is_one_answer(served: Engine) -> None:
    answer = await exchange(served, "POST", GENERATE, {"text_input": "a", "stream": True, "max_tokens": 1})
    assert answer.code == 200
    assert len(answer.document["text_output"].split()) == 1


@pytest.mark.parametrize(
    "parameters", [{"stream": True, "max_tokens": 3}, {"parameters": {"stream": True, "max_tokens": 3}}]
)
async def test_stream_is_server_sent_events(served: Engine, parameters: dict[str, Any]) -> None:
    answer = await exchange(served, "POST", STREAM, {"text_input": "a b"} | parameters)
    assert (answer.code, answer.headers) == (
        200,
        {"Content-Type": "text/event-stream; charset=utf-8", "Transfer-Encoding": "chunked"},
    )
    assert len(answer.chunks) == 3
    for chunk in answer.chunks:
        assert chunk.startswith(b'data: {"model_name":"llama","model_version":"1","text_output":" ')
        assert chunk.endswith(b'"}\n\n')


async def test_stream_of_a_request_that_does_not_stream(served: Engine) -> None:
    answer = await exchange(served, "POST", STREAM, {"text_input": "a b", "max_tokens": 3})
    assert len(answer.chunks) == 1
    assert answer.chunks[0].startswith(b'data: {"model_name":"llama","model_version":"1","text_output":"a b ')


async def test_tokens_come_as_they_are_made(served: Engine) -> None:
    loop = asyncio.get_running_loop()
    reader, writer = await asyncio.open_connection(served.address, HTTP_PORT)
    await send(writer, "POST", STREAM, {"text_input": "a", "stream": True, "max_tokens": 5})
    await receive_head(reader)
    times = [loop.time() async for _ in receive_chunks(reader)]
    writer.close()
    assert len(times) == 5
    assert times[-1] - times[0] > 3 * 0.02


@pytest.mark.parametrize(("path", "content_type"), [(GENERATE, JSON), (STREAM, "text/event-stream; charset=utf-8")])
async def test_an_error_of_the_backend_is_a_400(served: Engine, path: str, content_type: str) -> None:
    body = {"text_input": "a", "stream": True, "exclude_input_in_output": False}
    answer = await exchange(served, "POST", path, body)
    error = b'{"error":"Error generating stream: When streaming, `exclude_input_in_output` = False is not allowed."}'
    assert (answer.code, answer.headers["Content-Type"]) == (400, content_type)
    assert answer.body == (error if path == GENERATE else b"data: " + error + b"\n\n")


async def test_a_connection_is_kept(served: Engine) -> None:
    reader, writer = await asyncio.open_connection(served.address, HTTP_PORT)
    for _ in range(3):
        await send(writer, "POST", GENERATE, {"text_input": "a", "max_tokens": 1})
        assert (await receive(reader)).code == 200
    writer.close()


@pytest.mark.parametrize(
    ("method", "path", "code"), [("GET", "/", 200), ("GET", "/v2", 200), ("POST", "/metrics", 405)]
)
async def test_the_metrics_port_knows_one_page(served: Engine, method: str, path: str, code: int) -> None:
    answer = await exchange(served, method, path, port=METRICS_PORT)
    assert answer.code == code
    assert answer.body == (b"" if code == 200 else b'{"error":"Method Not Allowed"}')
