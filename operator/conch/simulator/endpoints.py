"""Triton's HTTP API for models of the vLLM backend, with model control off.

Paths, codes and texts were compared with tritonserver 2.51. Not simulated, and answered as unknown paths are: model
configuration and statistics, shared memory, trace and log settings. There is no gRPC port.
"""

import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import orjson
from aiohttp import web

from conch.simulator.generate_request import BOOLEAN_INPUTS, STRING_INPUTS, BackendError, Refusal, parse
from conch.simulator.loading import FailedModel
from conch.simulator.served_model import Response, ServedModel

_EXTENSIONS: Final = (
    "classification",
    "sequence",
    "model_repository",
    "model_repository(unload_dependents)",
    "schedule_policy",
    "model_configuration",
    "system_shared_memory",
    "cuda_shared_memory",
    "binary_tensor_data",
    "parameters",
    "statistics",
    "trace",
    "logging",
)

_OUTPUTS: Final = (
    ("text_output", "BYTES", -1),
    ("finish_reason", "BYTES", -1),
    ("cumulative_logprob", "FP32", -1),
    ("logprobs", "BYTES", -1),
    ("num_input_tokens", "UINT32", 1),
    ("num_output_tokens", "UINT32", -1),
)

_INPUT_DIMENSION: Final = {"image": -1}

_SEVERAL_RESPONSES: Final = (
    "generate expects model to produce exactly 1 response, use generate stream for model that generates various number "
    "of responses"
)
_NO_MODEL_CONTROL: Final = "explicit model load / unload is not allowed if polling is enabled"
_DECOUPLED: Final = "HTTP end point doesn't support models with decoupled transaction policy"


@dataclass(frozen=True, slots=True)
class ServerState:
    """What the server knows of itself once it has loaded."""

    server_id: str
    version: str
    models: Mapping[str, ServedModel]
    failed: Sequence[FailedModel]
    strict_readiness: bool

    @property
    def is_ready(self) -> bool:
        """Whether `/v2/health/ready` says so."""
        return not (self.failed and self.strict_readiness)


class Endpoints:
    """Answers the requests of the HTTP port."""

    def __init__(self, state: ServerState) -> None:
        """`state` does not change: with model control off, what is loaded at the start stays."""
        self._state = state

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answers any request."""
        for method, pattern, refuse, answer in _ROUTES:
            match = pattern.fullmatch(request.path)
            if match is None:
                continue
            if request.method != method:
                return refuse(HTTPStatus.METHOD_NOT_ALLOWED, "Method Not Allowed")
            try:
                return await answer(self, request, match)
            except Refusal as refusal:
                return refuse(refusal.status, str(refusal))
        return _text(HTTPStatus.NOT_FOUND, "Not Found")

    async def _server(self, _request: web.BaseRequest, _match: re.Match[str]) -> web.StreamResponse:
        state = self._state
        return _json({"name": state.server_id, "version": state.version, "extensions": _EXTENSIONS})

    async def _live(self, _request: web.BaseRequest, _match: re.Match[str]) -> web.StreamResponse:
        return _text(HTTPStatus.OK)

    async def _ready(self, _request: web.BaseRequest, _match: re.Match[str]) -> web.StreamResponse:
        return _text(HTTPStatus.OK if self._state.is_ready else HTTPStatus.BAD_REQUEST)

    async def _model_ready(self, _request: web.BaseRequest, match: re.Match[str]) -> web.StreamResponse:
        try:
            self._model(match)
        except Refusal:
            return _text(HTTPStatus.BAD_REQUEST, "Model version not ready")
        return _text(HTTPStatus.OK)

    async def _model_metadata(self, _request: web.BaseRequest, match: re.Match[str]) -> web.StreamResponse:
        model = self._model(match)
        return _json(
            {
                "name": model.name,
                "versions": [model.version],
                "platform": "vllm",
                "inputs": [_tensor(name, "BYTES", _INPUT_DIMENSION.get(name, 1)) for name in STRING_INPUTS]
                + [_tensor(name, "BOOL", 1) for name in BOOLEAN_INPUTS],
                "outputs": [_tensor(*output) for output in _OUTPUTS],
            }
        )

    async def _infer(self, _request: web.BaseRequest, match: re.Match[str]) -> web.StreamResponse:
        self._model(match)
        return _text(HTTPStatus.NOT_IMPLEMENTED, _DECOUPLED)

    async def _index(self, _request: web.BaseRequest, _match: re.Match[str]) -> web.StreamResponse:
        ready = [{"name": model.name, "version": model.version, "state": "READY"} for model in self._models]
        failed = [
            {"name": model.name, "version": model.version, "state": "UNAVAILABLE", "reason": model.reason}
            for model in self._state.failed
            if model.version
        ]
        return _json(ready + failed)

    async def _model_control(self, _request: web.BaseRequest, _match: re.Match[str]) -> web.StreamResponse:
        return _json_error(HTTPStatus.SERVICE_UNAVAILABLE, _NO_MODEL_CONTROL)

    async def _generate(self, request: web.BaseRequest, match: re.Match[str]) -> web.StreamResponse:
        model = self._model(match)
        asked = parse(await request.read(), model.name)
        try:
            responses = [response async for response in model.respond(asked)]
        except BackendError as error:
            return await _whole(request, HTTPStatus.BAD_REQUEST, {"error": str(error)})
        # The server has sent its head by then: the code stays 200.
        answer = responses[0] if len(responses) == 1 else {"error": _SEVERAL_RESPONSES}
        return await _whole(request, HTTPStatus.OK, {**({"id": asked.id} if asked.id else {}), **answer})

    async def _generate_stream(self, request: web.BaseRequest, match: re.Match[str]) -> web.StreamResponse:
        model = self._model(match)
        asked = parse(await request.read(), model.name)
        head = {"id": asked.id} if asked.id else {}
        async with aclosing(model.respond(asked)) as responses:
            try:
                first = await anext(responses)
            except BackendError as error:
                return await _stream(request, HTTPStatus.BAD_REQUEST, _once({"error": str(error)}))
            return await _stream(request, HTTPStatus.OK, _chain(head, first, responses))

    @property
    def _models(self) -> Sequence[ServedModel]:
        return tuple(self._state.models.values())

    def _model(self, match: re.Match[str]) -> ServedModel:
        model, version = self._state.models.get(match["model"]), match["version"]
        if model is None:
            raise Refusal(HTTPStatus.NOT_FOUND, f"Request for unknown model: '{match['model']}' is not found")
        if version not in (None, model.version):
            raise Refusal(
                HTTPStatus.NOT_FOUND, f"Request for unknown model: '{model.name}' version {version} is not found"
            )
        return model


def _tensor(name: str, datatype: str, dimension: int) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": [dimension]}


def _text(status: HTTPStatus, error: str | None = None) -> web.Response:
    body = b"" if error is None else orjson.dumps({"error": error})
    return web.Response(status=status, body=body, headers={"Content-Type": "text/plain"})


def _json(document: Any) -> web.Response:
    return web.Response(body=orjson.dumps(document), content_type="application/json")


def _json_error(status: HTTPStatus, error: str) -> web.Response:
    return web.Response(status=status, body=orjson.dumps({"error": error}), content_type="application/json")


_Refuse = Callable[[HTTPStatus, str], web.Response]
_Answer = Callable[[Endpoints, web.BaseRequest, re.Match[str]], Awaitable[web.StreamResponse]]

_MODEL: Final = r"/v2/models/(?P<model>[^/]+)(?:/versions/(?P<version>\d+))?"

_ROUTES: Final[tuple[tuple[str, re.Pattern[str], _Refuse, _Answer], ...]] = tuple(
    (method, re.compile(pattern), refuse, answer)
    for method, pattern, refuse, answer in (
        ("GET", r"/v2", _json_error, Endpoints._server),
        ("GET", r"/v2/health/live", _text, Endpoints._live),
        ("GET", r"/v2/health/ready", _text, Endpoints._ready),
        ("GET", f"{_MODEL}/ready", _text, Endpoints._model_ready),
        ("GET", _MODEL, _json_error, Endpoints._model_metadata),
        ("POST", f"{_MODEL}/infer", _text, Endpoints._infer),
        ("POST", f"{_MODEL}/generate", _json_error, Endpoints._generate),
        ("POST", f"{_MODEL}/generate_stream", _json_error, Endpoints._generate_stream),
        ("POST", r"/v2/repository/index", _json_error, Endpoints._index),
        ("POST", r"/v2/repository/models/[^/]+/(?:load|unload)", _json_error, Endpoints._model_control),
    )
)
"""Method, path, form of a refusal (Triton uses two, by endpoint), answer."""


async def _whole(request: web.BaseRequest, status: HTTPStatus, document: Response) -> web.StreamResponse:
    response = web.StreamResponse(status=status, headers={"Content-Type": "application/json"})
    response.enable_chunked_encoding()
    await response.prepare(request)
    await response.write(orjson.dumps(document))
    await response.write_eof()
    return response


async def _stream(
    request: web.BaseRequest, status: HTTPStatus, documents: AsyncGenerator[Response, None]
) -> web.StreamResponse:
    """Server-sent events, one per response of the model."""
    response = web.StreamResponse(status=status, headers={"Content-Type": "text/event-stream; charset=utf-8"})
    response.enable_chunked_encoding()
    await response.prepare(request)
    async with aclosing(documents):
        async for document in documents:
            await response.write(b"data: " + orjson.dumps(document) + b"\n\n")
    await response.write_eof()
    return response


async def _once(document: Response) -> AsyncGenerator[Response, None]:
    yield document


async def _chain(
    head: Response, first: Response, rest: AsyncGenerator[Response, None]
) -> AsyncGenerator[Response, None]:
    yield {**head, **first}
    async for response in rest:
        yield {**head, **response}
