"""The one catalogue of versions: which Triton releases Conch runs, what each holds and what of it was verified.

Source of the table: NVIDIA's container matrix for `tritonserver:YY.MM-vllm-python-py3`. Releases before 26.04 hold
vLLM older than 0.18, where `trust_remote_code=False` could be bypassed (CVE-2025-66448, CVE-2026-22807,
CVE-2026-27893); they are left out on purpose.
"""

from dataclasses import dataclass
from typing import Final, Literal

ReleaseName = Literal["26.04", "26.05", "26.06", "26.07", "26.08"]


@dataclass(frozen=True, slots=True)
class EngineRelease:
    """One release of Triton with its vLLM backend, and what Conch's own tests have shown of it."""

    name: ReleaseName
    vllm: str
    triton: str
    verified: str

    @property
    def image(self) -> str:
        """The image NVIDIA publishes for this release."""
        return f"nvcr.io/nvidia/tritonserver:{self.name}-vllm-python-py3"


_KEYS_CHECKED = (
    "model.json is checked against the AsyncEngineArgs of this vLLM release, read from its source archive; "
    "config.pbtxt is loaded by the real tritonserver 2.51 with a stand-in backend, but without model_metrics, the "
    "buckets of the first-response histogram, which no real Triton has loaded here; the image itself was not run"
)

RELEASES: Final[tuple[EngineRelease, ...]] = (
    EngineRelease(name="26.04", vllm="0.19.0", triton="2.68.0", verified=_KEYS_CHECKED),
    EngineRelease(name="26.05", vllm="0.19.0", triton="2.69.0", verified=_KEYS_CHECKED),
    EngineRelease(name="26.06", vllm="0.22.1", triton="2.70.0", verified=_KEYS_CHECKED),
    EngineRelease(name="26.07", vllm="0.24.0", triton="2.71.0", verified=_KEYS_CHECKED),
    EngineRelease(name="26.08", vllm="0.27.1", triton="2.72.0", verified=_KEYS_CHECKED),
)
"""Oldest first."""

NEWEST: Final = RELEASES[-1]
"""What an unset `engine.release` means on the day a revision is made; the revision keeps it."""


def release(name: str) -> EngineRelease:
    """The catalogue's entry of that name; raises KeyError for a name that is not in it."""
    for entry in RELEASES:
        if entry.name == name:
            return entry
    raise KeyError(name)


EXTRA_ARGUMENTS: Final[tuple[str, ...]] = (
    "async_scheduling",
    "block_size",
    "calculate_kv_scales",
    "disable_cascade_attn",
    "disable_custom_all_reduce",
    "disable_sliding_window",
    "enable_chunked_prefill",
    "enable_prefix_caching",
    "enforce_eager",
    "limit_mm_per_prompt",
    "long_prefill_token_threshold",
    "max_logprobs",
    "max_parallel_loading_workers",
    "num_gpu_blocks_override",
    "scheduling_policy",
    "seed",
    "skip_mm_profiling",
    "stream_interval",
)
"""Engine arguments that users may set untyped. An argument is here only if it can neither load code, nor read or
write a path, nor reach the network, nor contradict a typed field of the resource."""
