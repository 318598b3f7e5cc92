"""`spec.engine`, `spec.parallelism` and `spec.accelerator`: how the model runs, over how many GPUs, of which kind."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from conch.api.objects import ApiObject
from conch.api.rules import Rule
from conch.catalogue import EXTRA_ARGUMENTS, ReleaseName

MAX_GPUS_PER_POD = 16
"""The largest machine sold as one node has 16 GPUs; an engine across nodes needs what Conch does not do yet."""


_PATH_PART = "[a-z0-9]+(([.]|_|__|-+)[a-z0-9]+)*"
_IMAGE = (
    "^([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]+)?/)?"
    f"{_PATH_PART}(/{_PATH_PART})*"
    "(:[A-Za-z0-9_][A-Za-z0-9_.-]*(@sha256:[0-9a-f]{64})?|@sha256:[0-9a-f]{64})$"
)
"""An image reference (github.com/distribution/reference, the grammar in `reference.go`) with a tag or a digest."""


class EngineType(StrEnum):
    """The inference servers that Conch runs."""

    TRITON_VLLM = "TritonVLLM"


class DataType(StrEnum):
    """Number format of weights that are not quantized, and of activations."""

    BFLOAT16 = "BFloat16"
    FLOAT16 = "Float16"
    FLOAT32 = "Float32"


class Quantization(StrEnum):
    """Where the quantization of the weights comes from."""

    FROM_CHECKPOINT = "FromCheckpoint"
    FP8 = "FP8"


class KVCacheDataType(StrEnum):
    """Number format of the KV cache."""

    AUTO = "Auto"
    FP8_E4M3 = "FP8E4M3"
    FP8_E5M2 = "FP8E5M2"


class ExtraArgument(ApiObject):
    """One engine argument that has no field of its own."""

    name: Annotated[
        str,
        Field(
            min_length=1,
            max_length=64,
            description="Name of the argument as vLLM's AsyncEngineArgs spells it. Allowed are those that can neither "
            "load code, nor touch paths or the network, nor contradict a field of this resource: "
            f"{', '.join(EXTRA_ARGUMENTS)}.",
        ),
    ]
    value: Annotated[
        str,
        Field(
            max_length=1024,
            description="Value as text: 'true', '16', 'fcfs', or JSON for objects. It is checked against the "
            "argument's type in the engine's release.",
        ),
    ]

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            f"self.name in {list(EXTRA_ARGUMENTS)!r}",
            f"name must be one of {', '.join(EXTRA_ARGUMENTS)}",
            f"'argument \\'' + self.name + '\\' is not allowed; name must be one of {', '.join(EXTRA_ARGUMENTS)}'",
        ),
    )


class Engine(ApiObject):
    """The inference server and its settings. What is unset is the engine's own default unless stated otherwise."""

    type: Annotated[EngineType, Field(description="The inference server.")] = EngineType.TRITON_VLLM
    release: Annotated[
        ReleaseName | None,
        Field(
            description="Release of Triton from Conch's catalogue. Unset: the newest that the operator knew when "
            "the revision was made; an upgrade of the operator does not change it."
        ),
    ] = None
    image: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=512,
            description="Image to use instead of the catalogue's, with a tag or a digest, for example "
            "'registry.example.com:5000/team/triton:26.08-py3'. It must hold the Triton and vLLM of 'release'.",
        ),
    ] = None
    max_model_length: Annotated[
        int | None,
        Field(
            ge=16,
            le=16777216,
            description="Longest sequence in tokens, prompt and output together. Unset: what the model's "
            "configuration says; the start fails when one such sequence does not fit the KV cache.",
        ),
    ] = None
    data_type: Annotated[
        DataType | None,
        Field(description="Number format of weights and activations. Unset: what the model's configuration says."),
    ] = None
    quantization: Annotated[
        Quantization,
        Field(
            description="FromCheckpoint takes the weights as they are, quantized or not. FP8 quantizes 16-bit weights "
            "to 8 bits while loading."
        ),
    ] = Quantization.FROM_CHECKPOINT
    kv_cache_data_type: Annotated[
        KVCacheDataType,
        Field(description="Number format of the KV cache. Auto: that of the model. FP8 halves it."),
    ] = KVCacheDataType.AUTO
    max_concurrent_sequences: Annotated[
        int | None,
        Field(ge=1, le=65536, description="Most sequences that the engine decodes at once; more wait in its queue."),
    ] = None
    max_batched_tokens: Annotated[
        int | None,
        Field(
            ge=16,
            le=1048576,
            description="Most tokens in one step of the engine. Less gives an even pace of tokens, more gives "
            "throughput.",
        ),
    ] = None
    gpu_memory_utilization_percent: Annotated[
        int | None,
        Field(ge=10, le=98, description="Share of each GPU's memory that the engine may take, in percent."),
    ] = None
    startup_seconds: Annotated[
        int | None,
        Field(
            ge=60,
            le=86400,
            description="How long the engine may take from its own start, when the weights are downloaded, until it "
            "is loaded; an engine that takes longer is restarted. A pod that does not serve for that long, download "
            "included, counts as stalled. Unset: 1800.",
        ),
    ] = None
    drain_seconds: Annotated[
        int,
        Field(
            ge=0,
            le=3600,
            description="How long a pod that is taken out of service may take to finish the requests it has.",
        ),
    ] = 60
    extra_args: Annotated[
        tuple[ExtraArgument, ...],
        Field(max_length=32, description="Engine arguments that have no field here; each name once."),
    ] = ()

    list_map_keys: ClassVar[dict[str, str]] = {"extra_args": "name"}
    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            f"!has(self.image) || self.image.matches('{_IMAGE}')",
            "image must be [registry/]path:tag, [registry/]path@sha256:digest or both, with the path in lower case; an "
            "image without tag and digest could change under a running model",
            "'image \\'' + self.image + '\\' must be [registry/]path:tag, [registry/]path@sha256:digest or both, with "
            "the path in lower case; an image without tag and digest could change under a running model'",
        ),
    )


class Parallelism(ApiObject):
    """How one replica is spread over GPUs. A replica takes tensor x pipeline x data GPUs."""

    tensor: Annotated[
        int | None,
        Field(
            ge=1,
            le=16,
            description="GPUs that each layer is split over. Must divide the model's attention heads. Unset: 1.",
        ),
    ] = None
    pipeline: Annotated[
        int | None,
        Field(ge=1, le=16, description="Stages that the layers are split into, one after the other. Unset: 1."),
    ] = None
    data: Annotated[
        int | None,
        Field(
            ge=1,
            le=64,
            description="Copies of the model in one replica. Each copy is a pod of its own with tensor x pipeline "
            "GPUs. Unset: 1.",
        ),
    ] = None

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            f"(has(self.tensor) ? self.tensor : 1) * (has(self.pipeline) ? self.pipeline : 1) <= {MAX_GPUS_PER_POD}",
            f"tensor x pipeline must be at most {MAX_GPUS_PER_POD}, because one engine runs in one pod on one node; "
            "lower tensor or pipeline, and use data or replicas for more copies",
        ),
    )


Product = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$")]


class Accelerator(ApiObject):
    """Which GPUs the pods run on."""

    products: Annotated[
        tuple[Product, ...],
        Field(
            max_length=8,
            description="Values of the node label nvidia.com/gpu.product that will do, as GPU feature discovery "
            "writes them, for example NVIDIA-H100-80GB-HBM3. Unset: any node that has the resource.",
        ),
    ] = ()
    extended_resource: Annotated[
        str,
        Field(
            max_length=63,
            description="The resource that the device plugin advertises on the nodes, counted per GPU: "
            "nvidia.com/gpu, nvidia.com/gpu.shared (time slices) or nvidia.com/mig-... (partitions, for example "
            "nvidia.com/mig-3g.40gb).",
        ),
    ] = "nvidia.com/gpu"

    list_sets: ClassVar[frozenset[str]] = frozenset({"products"})
    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.extendedResource) || "
            "self.extendedResource.matches('^nvidia[.]com/(gpu|gpu[.]shared|mig-[0-9]+g[.][0-9]+gb([.][0-9a-z.]+)?)$')",
            "extendedResource must be nvidia.com/gpu, nvidia.com/gpu.shared or a partition, for example "
            "nvidia.com/mig-3g.40gb",
        ),
    )
