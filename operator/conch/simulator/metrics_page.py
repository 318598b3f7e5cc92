"""The metrics port: one page of everything, made when it is asked for."""

import asyncio
from collections.abc import Mapping, Sequence
from http import HTTPStatus

from aiohttp import web

from conch.simulator.command_line import Options
from conch.simulator.exposition import Family, page
from conch.simulator.hardware_metrics import cpu_families, gpu_families, pinned_pool_families
from conch.simulator.metrics import InferenceMetrics
from conch.simulator.served_model import ServedModel


class MetricsPage:
    """Answers the requests of the metrics port."""

    def __init__(
        self, options: Options, inference: InferenceMetrics, models: Mapping[str, ServedModel], gpus: Sequence[str]
    ) -> None:
        """`gpus` are UUIDs. Uptime counts from here."""
        self._options = options
        self._inference = inference
        self._models = models
        self._gpus = gpus
        self._started_at = asyncio.get_running_loop().time()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """The page at `/metrics`, and nothing at any other path, as Triton does."""
        if request.method != "GET":
            return web.Response(status=HTTPStatus.METHOD_NOT_ALLOWED, text='{"error":"Method Not Allowed"}')
        text = page(self._families()) if request.path == "/metrics" else ""
        return web.Response(text=text, content_type="text/plain", charset="utf-8")

    def _families(self) -> list[Family]:
        vllm = [family for model in self._models.values() if model.vllm for family in model.vllm.families]
        gpu = self._gpu_families() if self._options.gpu_metrics else []
        cpu = cpu_families() if self._options.cpu_metrics else []
        return [*self._inference.families, *pinned_pool_families(), *gpu, *cpu, *vllm]

    def _gpu_families(self) -> list[Family]:
        models = self._models.values()
        return gpu_families(
            self._gpus,
            busy=any(model.engine.in_flight for model in models),
            uptime_seconds=asyncio.get_running_loop().time() - self._started_at,
            busy_seconds=sum(model.busy_seconds for model in models),
        )
