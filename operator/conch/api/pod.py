"""`spec.pod`: the part of the engine's pods that belongs to the platform team: placement, labels, env, resources."""

from enum import StrEnum
from typing import Annotated, ClassVar, Final

from pydantic import Field

from conch.api.model import Name
from conch.api.objects import ApiObject
from conch.api.rules import Rule

ENVIRONMENT_PATTERN: Final = (
    "^(NCCL_[A-Z0-9_]+|GLOO_SOCKET_IFNAME|UCX_[A-Z0-9_]+|OTEL_[A-Z0-9_]+|OMP_NUM_THREADS|TZ|CUDA_DEVICE_MAX_CONNECTIONS"
    "|VLLM_LOGGING_LEVEL|VLLM_ATTENTION_BACKEND|VLLM_WORKER_MULTIPROC_METHOD|VLLM_USE_[A-Z0-9_]+"
    "|VLLM_EXECUTE_MODEL_TIMEOUT_SECONDS|TORCH_NCCL_[A-Z0-9_]+|PYTORCH_CUDA_ALLOC_CONF)$"
)
"""Variables that tune the engine and cannot make it load code, open endpoints or read files."""

_LABEL_VALUE = r"^([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)?$"
LabelValue = Annotated[str, Field(max_length=63, pattern=_LABEL_VALUE)]
AnnotationValue = Annotated[str, Field(max_length=4096)]
LabelKey = str
Quantity = Annotated[
    int | str,
    Field(
        max_length=20,
        pattern=r"^[0-9]+(\.[0-9]{1,3})?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$",
        json_schema_extra={"x-kubernetes-int-or-string": True},
    ),
]


class TolerationOperator(StrEnum):
    """How a toleration compares."""

    EXISTS = "Exists"
    EQUAL = "Equal"


class TaintEffect(StrEnum):
    """What a taint does."""

    NO_SCHEDULE = "NoSchedule"
    PREFER_NO_SCHEDULE = "PreferNoSchedule"
    NO_EXECUTE = "NoExecute"


class Toleration(ApiObject):
    """A taint that the pods put up with, as in a Pod. The taint nvidia.com/gpu is always tolerated."""

    key: Annotated[str | None, Field(max_length=316, description="Key of the taint; unset: every taint.")] = None
    operator: Annotated[TolerationOperator | None, Field(description="Exists, or Equal (unset) to compare value.")] = (
        None
    )
    value: Annotated[str | None, Field(max_length=63, description="Value of the taint, for Equal.")] = None
    effect: Annotated[TaintEffect | None, Field(description="Effect of the taint; unset: all effects.")] = None
    toleration_seconds: Annotated[
        int | None, Field(ge=0, le=31536000, description="For NoExecute: how long to stay; unset: for ever.")
    ] = None


class ImagePullSecret(ApiObject):
    """A Secret of type kubernetes.io/dockerconfigjson in the resource's own namespace."""

    name: Annotated[Name, Field(description="Name of the Secret.")]


class EnvironmentVariable(ApiObject):
    """A variable of the engine's container, from the list that is known to be harmless."""

    name: Annotated[
        str,
        Field(
            min_length=1,
            max_length=128,
            description="Allowed are NCCL_*, UCX_*, OTEL_*, TORCH_NCCL_*, VLLM_USE_*, GLOO_SOCKET_IFNAME, TZ, "
            "OMP_NUM_THREADS, CUDA_DEVICE_MAX_CONNECTIONS, PYTORCH_CUDA_ALLOC_CONF, VLLM_LOGGING_LEVEL, "
            "VLLM_ATTENTION_BACKEND, VLLM_WORKER_MULTIPROC_METHOD and VLLM_EXECUTE_MODEL_TIMEOUT_SECONDS.",
        ),
    ]
    value: Annotated[str, Field(max_length=1024, description="Value, taken literally.")]

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            f"self.name.matches('{ENVIRONMENT_PATTERN}')",
            "name is not an allowed variable, because others can make the engine run code, open endpoints or leak "
            "secrets; 'kubectl explain llmdeployment.spec.pod.env.name' lists what is allowed",
            "'variable ' + self.name + ' is not allowed, because it could make the engine run code, open endpoints or "
            "leak secrets; \\'kubectl explain llmdeployment.spec.pod.env.name\\' lists what is allowed'",
        ),
        Rule("!self.value.contains('$(')", "value must not contain '$(': it is taken literally, not expanded"),
    )


class Resources(ApiObject):
    """CPU, memory and disk of the engine's container. Unset: computed from the number of GPUs."""

    requests: Annotated[
        dict[str, Quantity],
        Field(max_length=3, description="What the scheduler reserves: cpu, memory, ephemeral-storage."),
    ] = {}
    limits: Annotated[
        dict[str, Quantity],
        Field(max_length=3, description="What the pod may use at most: cpu, memory, ephemeral-storage."),
    ] = {}

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.requests) || self.requests.all(key, key in ['cpu', 'memory', 'ephemeral-storage'])",
            "requests may name only cpu, memory and ephemeral-storage; GPUs follow from parallelism and accelerator",
        ),
        Rule(
            "!has(self.limits) || self.limits.all(key, key in ['cpu', 'memory', 'ephemeral-storage'])",
            "limits may name only cpu, memory and ephemeral-storage; GPUs follow from parallelism and accelerator",
        ),
    )


class Pod(ApiObject):
    """Settings of the engine's pods that do not change what is served."""

    node_selector: Annotated[
        dict[LabelKey, LabelValue], Field(max_length=32, description="Labels that a node must have.")
    ] = {}
    tolerations: Annotated[
        tuple[Toleration, ...],
        Field(max_length=32, description="Taints that the pods tolerate besides nvidia.com/gpu."),
    ] = ()
    image_pull_secrets: Annotated[
        tuple[ImagePullSecret, ...],
        Field(max_length=8, description="Secrets for pulling the engine's image, each name once."),
    ] = ()
    env: Annotated[
        tuple[EnvironmentVariable, ...],
        Field(max_length=32, description="Variables of the engine's container, each name once."),
    ] = ()
    labels: Annotated[dict[LabelKey, LabelValue], Field(max_length=32, description="Labels to add to the pods.")] = {}
    annotations: Annotated[
        dict[LabelKey, AnnotationValue], Field(max_length=32, description="Annotations to add to the pods.")
    ] = {}
    resources: Annotated[
        Resources | None, Field(description="CPU, memory and disk. Unset: computed from the number of GPUs.")
    ] = None

    list_map_keys: ClassVar[dict[str, tuple[str, ...]]] = {"image_pull_secrets": ("name",), "env": ("name",)}
    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.labels) || self.labels.all(key, !key.contains('conch.dev/') && !key.contains('kubernetes.io/') "
            "&& !key.contains('k8s.io/'))",
            "labels under conch.dev, kubernetes.io and k8s.io are reserved; use a prefix of your own",
        ),
        Rule(
            "!has(self.annotations) || self.annotations.all(key, !key.contains('conch.dev/') "
            "&& !key.contains('security.beta.kubernetes.io/') && !key.contains('security.alpha.kubernetes.io/'))",
            "annotations under conch.dev and those that change the pod's security are reserved; remove them",
        ),
    )
