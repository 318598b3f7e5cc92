"""The families of Triton's metrics page with the vLLM backend, and how they move.

Two sources, as in the real server. Triton's own `nv_inference_*` know a request only until its dispatch to the backend,
which returns at once: `request_success` counts arrivals, nothing is ever pending, durations are those of the dispatch.
The backend re-exports eight families of vLLM: prompt tokens are counted in one lump at the first token, generated
tokens and the gaps between them as they come, everything about a request as a whole when it finishes, and nothing of an
aborted one.

Names, help texts, labels and order were compared with tritonserver 2.51 and with `utils/metrics.py` of the vLLM
backend (2026-01).
"""

from collections.abc import Sequence
from typing import Final

from conch.simulator.batch import Token
from conch.simulator.engine import Latencies
from conch.simulator.exposition import Family, Histogram, Value

DEFAULT_FIRST_RESPONSE_BUCKETS_MILLISECONDS: Final = (100.0, 500.0, 2000.0, 5000.0)

_TIME_TO_FIRST_TOKEN_SECONDS: Final = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75),
    *(1.0, 2.5, 5.0, 7.5, 10.0),
)
_TIME_PER_OUTPUT_TOKEN_SECONDS: Final = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)
_END_TO_END_SECONDS: Final = (1.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0)
_PARAMETER_N: Final = (1, 2, 5, 10, 20)

_FAILURE_REASONS: Final = ("OTHER", "BACKEND", "CANCELED", "REJECTED")

_COUNTERS: Final = {
    "request_success": "Number of successful inference requests, all batch sizes",
    "request_failure": "Number of failed inference requests, all batch sizes",
    "count": "Number of inferences performed (does not include cached requests)",
    "exec_count": "Number of model executions performed (does not include cached requests)",
    "request_duration_us": "Cumulative inference request duration in microseconds (includes cached requests)",
    "queue_duration_us": "Cumulative inference queuing duration in microseconds (includes cached requests)",
    "compute_input_duration_us": (
        "Cumulative compute input duration in microseconds (does not include cached requests)"
    ),
    "compute_infer_duration_us": (
        "Cumulative compute inference duration in microseconds (does not include cached requests)"
    ),
    "compute_output_duration_us": (
        "Cumulative inference compute output duration in microseconds (does not include cached requests)"
    ),
}

_DISPATCH: Final = {
    "request_success": 1,
    "count": 1,
    "exec_count": 1,
    "request_duration_us": 1010,
    "queue_duration_us": 45,
    "compute_input_duration_us": 65,
    "compute_infer_duration_us": 830,
    "compute_output_duration_us": 70,
}
"""What one request adds. The durations are what tritonserver 2.51 took to hand a request to a decoupled Python backend:
constants, for they say nothing about the model."""


def one_two_five(limit: int) -> tuple[int, ...]:
    """Buckets of vLLM for numbers of tokens: 1, 2, 5, 10, 20, 50 ... up to the limit."""
    buckets: list[int] = []
    power = 1
    while True:
        for mantissa in (1, 2, 5):
            if mantissa * power > limit:
                return tuple(buckets)
            buckets.append(mantissa * power)
        power *= 10


class InferenceMetrics:
    """Triton's own families of all models, `nv_inference_*`."""

    def __init__(self) -> None:
        """Families without a model show nothing."""
        self.counters = {name: Family(f"nv_inference_{name}", text, "counter") for name, text in _COUNTERS.items()}
        self.pending = Family(
            "nv_inference_pending_request_count",
            "Instantaneous number of pending requests awaiting execution per-model.",
            "gauge",
        )
        self.first_response = Family(
            "nv_inference_first_response_histogram_ms",
            "Duration from request to first response in milliseconds",
            "histogram",
        )

    @property
    def families(self) -> tuple[Family, ...]:
        """In Triton's order."""
        return (*self.counters.values(), self.pending, self.first_response)


class ModelInferenceMetrics:
    """`nv_inference_*` of one model."""

    def __init__(
        self, families: InferenceMetrics, model: str, version: str, first_response_buckets: Sequence[float] | None
    ) -> None:
        """Starts at zero; without buckets there is no histogram of first responses, as by default.

        Failures show every reason, and stay at zero: an error of the backend is a response like any other.
        """
        labels = {"model": model, "version": version}
        self._dispatched = []
        for name, family in families.counters.items():
            if name == "request_failure":
                for reason in _FAILURE_REASONS:
                    family.value(model=model, reason=reason, version=version)
            else:
                self._dispatched.append((family.value(**labels), _DISPATCH[name]))
        families.pending.value(**labels)
        self._first_response = (
            families.first_response.histogram(first_response_buckets, **labels) if first_response_buckets else None
        )

    def dispatched(self) -> None:
        """A request was handed to the backend: for Triton that is its success."""
        for value, amount in self._dispatched:
            value.add(amount)

    def responded(self, seconds: float) -> None:
        """The first response to a request left the backend, so long after its arrival."""
        if self._first_response is not None:
            self._first_response.observe(seconds * 1000)


class VLLMMetrics:
    """The families of vLLM that the backend reports for one model."""

    def __init__(self, model: str, version: str, max_model_length_tokens: int) -> None:
        """All of them show zero from the start."""
        self._labels = {"model": model, "version": version}
        self._families: list[Family] = []
        tokens = one_two_five(max_model_length_tokens)
        self._prompt_tokens = self._counter("prompt_tokens_total", "Number of prefill tokens processed.")
        self._generation_tokens = self._counter("generation_tokens_total", "Number of generation tokens processed.")
        self._time_to_first_token = self._histogram(
            "time_to_first_token_seconds", "Histogram of time to first token in seconds.", _TIME_TO_FIRST_TOKEN_SECONDS
        )
        # The backend keeps vLLM's old name but feeds it with every gap between two tokens.
        self._gaps = self._histogram(
            "time_per_output_token_seconds",
            "Histogram of time per output token in seconds.",
            _TIME_PER_OUTPUT_TOKEN_SECONDS,
        )
        self._end_to_end = self._histogram(
            "e2e_request_latency_seconds",
            "Histogram of end to end request latency in seconds.",
            _END_TO_END_SECONDS,
        )
        self._request_prompt_tokens = self._histogram(
            "request_prompt_tokens", "Number of prefill tokens processed.", tokens
        )
        self._request_generation_tokens = self._histogram(
            "request_generation_tokens", "Number of generation tokens processed.", tokens
        )
        self._parameter_n = self._histogram("request_params_n", "Histogram of the n request parameter.", _PARAMETER_N)

    @property
    def families(self) -> tuple[Family, ...]:
        """In the backend's order."""
        return tuple(self._families)

    def token(self, token: Token, latencies: Latencies) -> None:
        """A token has appeared; a first one brings its prompt, a last one its request."""
        self._generation_tokens.add(1)
        if latencies.time_to_first_token is not None:
            self._prompt_tokens.add(token.request.prompt_tokens)
            self._time_to_first_token.observe(latencies.time_to_first_token)
        if latencies.gap is not None:
            self._gaps.observe(latencies.gap)
        if latencies.end_to_end is not None:
            self._end_to_end.observe(latencies.end_to_end)
            self._request_prompt_tokens.observe(token.request.prompt_tokens)
            self._request_generation_tokens.observe(token.request.output_tokens)
            self._parameter_n.observe(1)

    def _counter(self, name: str, help_: str) -> Value:
        family = Family(f"vllm:{name}", help_, "counter")
        self._families.append(family)
        return family.value(**self._labels)

    def _histogram(self, name: str, help_: str, bounds: Sequence[float]) -> Histogram:
        family = Family(f"vllm:{name}", help_, "histogram")
        self._families.append(family)
        return family.histogram(bounds, **self._labels)
