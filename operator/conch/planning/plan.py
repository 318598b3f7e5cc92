"""The plan: how one replica of a model uses GPUs. It stands between the spec and everything rendered from it.

    gpus_per_pod     = tensor * pipeline
    pods_per_replica = data                       (every copy of a dense model is an engine of its own)
    gpus_per_replica = tensor * pipeline * data
    shm_bytes        = 2 GiB * gpus_per_pod       (NCCL and Triton's Python backend; NVIDIA and vLLM use 1 to 2 GiB)
    cpu_millicores   = 4000 * gpus_per_pod        (one core per worker process, tokenizer, Triton, and their reserve)
    memory_bytes     = 24 GiB * gpus_per_pod + shm_bytes   (loading maps one file at a time; /dev/shm counts here)

What the user left out has a fixed value for now, and every such value is a sentence in `reasons`.
"""

from dataclasses import asdict, dataclass, fields
from typing import Any, Final, Self

from conch.api.deployment import LLMDeploymentSpec
from conch.api.model import Model

GIBIBYTE: Final = 1024**3
SHM_BYTES_PER_GPU: Final = 2 * GIBIBYTE
MEMORY_BYTES_PER_GPU: Final = 24 * GIBIBYTE
CPU_MILLICORES_PER_GPU: Final = 4000
STARTUP_SECONDS: Final = 1800
"""Half an hour: the least that image pull, download and load of weights above 30 GB are known to need, which is what
counts before a pod is reported as stalled; the engine's own start, which comes after the download, has it to itself."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How one replica uses GPUs, with a sentence for every value that the user did not choose."""

    tensor: int
    pipeline: int
    data: int
    startup_seconds: int
    cache: str
    reasons: tuple[str, ...] = ()

    @property
    def gpus_per_pod(self) -> int:
        """GPUs that one engine holds."""
        return self.tensor * self.pipeline

    @property
    def pods_per_replica(self) -> int:
        """Pods, each an engine, that serve the model once."""
        return self.data

    @property
    def shm_bytes(self) -> int:
        """Size of /dev/shm; it counts against the pod's memory limit."""
        return SHM_BYTES_PER_GPU * self.gpus_per_pod

    @property
    def memory_bytes(self) -> int:
        """Host memory of one pod, /dev/shm included."""
        return MEMORY_BYTES_PER_GPU * self.gpus_per_pod + self.shm_bytes

    @property
    def cpu_millicores(self) -> int:
        """CPU of one pod, in thousandths of a core."""
        return CPU_MILLICORES_PER_GPU * self.gpus_per_pod

    def as_json(self) -> dict[str, Any]:
        """The plan as it is kept in a revision."""
        return {**asdict(self), "reasons": list(self.reasons)}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Self:
        """The plan that `as_json` wrote, of a later release too; raises TypeError for a document of another shape."""
        known = {field.name: document[field.name] for field in fields(cls) if field.name in document}
        return cls(**{**known, "reasons": tuple(document.get("reasons", ()))})


def plan(spec: LLMDeploymentSpec) -> Plan:
    """The plan for a spec: what the user set as it is, the rest by the fixed values above."""
    parallelism, engine = spec.parallelism, spec.engine
    assumed = [
        f"parallelism.{field} is not set: 1"
        for field in ("tensor", "pipeline", "data")
        if getattr(parallelism, field) is None
    ]
    if engine.startup_seconds is None:
        assumed.append(f"engine.startupSeconds is not set: {STARTUP_SECONDS}")
    if spec.model.hugging_face is not None and spec.model.cache is None:
        assumed.append("model.cache is not set: an emptyDir without a size limit, filled anew by every pod")
    return Plan(
        tensor=parallelism.tensor or 1,
        pipeline=parallelism.pipeline or 1,
        data=parallelism.data or 1,
        startup_seconds=engine.startup_seconds or STARTUP_SECONDS,
        cache=_cache(spec.model),
        reasons=tuple(assumed),
    )


def _cache(model: Model) -> str:
    """Where the weights are kept, in words."""
    if model.persistent_volume_claim is not None:
        return f"none: read from claim {model.persistent_volume_claim.claim_name}"
    cache = model.cache
    if cache is not None and cache.persistent_volume_claim is not None:
        return f"claim {cache.persistent_volume_claim.claim_name}"
    if cache is not None and cache.empty_dir is not None and cache.empty_dir.size_gibibytes is not None:
        return f"emptyDir of {cache.empty_dir.size_gibibytes} GiB"
    return "emptyDir without a size limit"
