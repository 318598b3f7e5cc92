"""A model that serves: its engine, its metrics, and the responses that the vLLM backend makes of generated tokens."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from conch.simulator.batch import Iteration, Token
from conch.simulator.engine import Engine, Latencies
from conch.simulator.generate_request import GenerateRequest
from conch.simulator.latency import LatencyModel
from conch.simulator.loading import LoadedModel
from conch.simulator.metrics import ModelInferenceMetrics, VLLMMetrics
from conch.simulator.words import count_tokens, word

Response = dict[str, Any]
"""The outputs of one response, by name."""


class ServedModel:
    """One loaded model at work. It observes its own engine."""

    def __init__(self, model: LoadedModel, latency: LatencyModel, inference: ModelInferenceMetrics) -> None:
        """Needs a running event loop."""
        self.name = model.name
        self.version = model.version
        self.busy_seconds = 0.0
        self.engine = Engine(model.engine.limits, latency, self)
        self._longest_tokens = model.engine.max_model_length_tokens
        self._adapters = model.engine.adapters
        self._inference = inference
        self.vllm = (
            VLLMMetrics(model.name, model.version, self._longest_tokens) if model.engine.reports_metrics else None
        )

    def token(self, token: Token, latencies: Latencies) -> None:
        """A token has appeared."""
        if self.vllm is not None:
            self.vllm.token(token, latencies)

    def worked(self, iteration: Iteration) -> None:
        """An iteration has ended."""
        self.busy_seconds += iteration.ends_at - iteration.starts_at

    async def respond(self, request: GenerateRequest) -> AsyncGenerator[Response, None]:
        """Dispatches the request to the backend, and yields its responses. Raises BackendError before the first."""
        loop = asyncio.get_running_loop()
        arrived_at = loop.time()
        self._inference.dispatched()
        is_first = True
        async with aclosing(self._responses(request)) as responses:
            async for response in responses:
                if is_first:
                    self._inference.responded(loop.time() - arrived_at)
                    is_first = False
                yield {"model_name": self.name, "model_version": self.version, **response}

    async def _responses(self, request: GenerateRequest) -> AsyncGenerator[Response, None]:
        request.check_adapter(self._adapters)
        prompt = request.prompt
        prompt_tokens = count_tokens(prompt)
        echo = prompt if request.echoes_prompt() else ""
        output_tokens = request.output_tokens(prompt_tokens, self._longest_tokens)
        words: list[str] = []
        async with aclosing(self.engine.generate(prompt_tokens, output_tokens)) as tokens:
            async for token in tokens:
                words.append(word(prompt, token.number))
                if request.streams or token.is_last:
                    text = echo + "".join(words)
                    yield {"text_output": text, **_extras(request, token, prompt_tokens, len(words))}
                    words.clear()


def _extras(request: GenerateRequest, token: Token, prompt_tokens: int, new_tokens: int) -> Response:
    outputs = {
        "finish_reason": "length" if token.is_last else "None",
        "cumulative_logprob": 0.0,
        "logprobs": "null",
        "num_input_tokens": prompt_tokens,
        "num_output_tokens": new_tokens,
    }
    return {name: value for name, value in outputs.items() if request.wants(name)}
