"""`spec.pod`: the part of the engine's pods that belongs to the platform team: placement, labels, env, resources."""

import re
from enum import StrEnum
from typing import Annotated, ClassVar, Final, cast

from pydantic import Field, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from conch.api import quantity
from conch.api.model import Name
from conch.api.objects import ApiObject
from conch.api.rules import Rule

_ALLOWED_VARIABLE: Final = (
    "^(NCCL_[A-Z0-9_]+|TORCH_NCCL_[A-Z0-9_]+|UCX_TLS|UCX_NET_DEVICES|GLOO_SOCKET_IFNAME|OMP_NUM_THREADS|TZ"
    "|CUDA_DEVICE_MAX_CONNECTIONS|PYTORCH_CUDA_ALLOC_CONF|VLLM_LOGGING_LEVEL|VLLM_ATTENTION_BACKEND"
    "|VLLM_WORKER_MULTIPROC_METHOD|VLLM_EXECUTE_MODEL_TIMEOUT_SECONDS|VLLM_USE_[A-Z0-9_]+)$"
)
_DANGEROUS_VARIABLE: Final = "PLUGIN|FILE|PIPE|PATH|_ADDR|COMM_ID|MODELSCOPE"
"""Allowed by prefix, yet it names a library to load, a file or an address: NCCL_NET_PLUGIN, NCCL_DEBUG_FILE."""

_LABEL_KEY: Final = (
    "^([a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?"
    "[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
)
_RESERVED_LABEL: Final = "^([^/]*[.])?(conch[.]dev|kubernetes[.]io|k8s[.]io)/"
_RESERVED_ANNOTATION: Final = "^([^/]*[.])?(conch[.]dev|security[.](alpha|beta)[.]kubernetes[.]io)/"
_LABEL_VALUE: Final = "^([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)?$"
_QUANTITY: Final = "^([0-9]{1,15}m?|[0-9]{1,9}([.][0-9]{1,3})?(k|M|Ki|Mi)?|[0-9]{1,6}([.][0-9]{1,3})?(G|T|Gi|Ti))$"
"""The notations people use, bounded so that every amount is below 2^63 bytes, where Kubernetes stops counting."""

LabelValue = Annotated[str, Field(max_length=63, pattern=_LABEL_VALUE)]
AnnotationValue = Annotated[str, Field(max_length=1024)]


def _quantity(value: object) -> str:
    is_number = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**15
    if is_number or (isinstance(value, str) and re.fullmatch(_QUANTITY, value)):
        return quantity.canonical(cast("int | str", value))
    raise PydanticCustomError("quantity", "must be a quantity such as 4, 500m, 1.5 or 64Gi")


Quantity = Annotated[
    str,
    PlainValidator(_quantity),
    WithJsonSchema(
        {
            "x-kubernetes-int-or-string": True,
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "minimum": 0,
            "maximum": 10**15 - 1,
            "maxLength": 20,
            "pattern": _QUANTITY,
        }
    ),
]
"""An amount of CPU, memory or disk, in any notation outside and in the API server's canonical one inside."""


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

    key: Annotated[
        str | None, Field(min_length=1, max_length=253, description="Key of the taint; unset: every taint.")
    ] = None
    operator: Annotated[
        TolerationOperator | None, Field(description="Equal (unset) compares the value; Exists ignores it.")
    ] = None
    value: Annotated[LabelValue | None, Field(description="Value of the taint, for Equal.")] = None
    effect: Annotated[TaintEffect | None, Field(description="Effect of the taint; unset: every effect.")] = None
    toleration_seconds: Annotated[
        int | None,
        Field(ge=0, le=31536000, description="How long to stay, for the effect NoExecute; unset: for ever."),
    ] = None

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            f"!has(self.key) || self.key.matches('{_LABEL_KEY}')",
            "key must be the key of a taint, such as 'example.com/gpu'",
        ),
        Rule(
            "has(self.key) || (has(self.operator) && self.operator == 'Exists')",
            "operator must be Exists when key is unset: only that means every taint",
        ),
        Rule(
            "!has(self.operator) || self.operator != 'Exists' || !has(self.value) || self.value == ''",
            "value must be unset when operator is Exists: it would be ignored",
        ),
        Rule(
            "!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')",
            "effect must be NoExecute when tolerationSeconds is set: other effects evict nothing",
        ),
    )


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
            description="Allowed are NCCL_*, TORCH_NCCL_* and VLLM_USE_*, but for those that name a plugin, a file or "
            "an address; and CUDA_DEVICE_MAX_CONNECTIONS, GLOO_SOCKET_IFNAME, OMP_NUM_THREADS, "
            "PYTORCH_CUDA_ALLOC_CONF, TZ, UCX_NET_DEVICES, UCX_TLS, VLLM_ATTENTION_BACKEND, "
            "VLLM_EXECUTE_MODEL_TIMEOUT_SECONDS, VLLM_LOGGING_LEVEL and VLLM_WORKER_MULTIPROC_METHOD.",
        ),
    ]
    value: Annotated[str, Field(max_length=1024, description="Value, taken literally.")]

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            f"self.name.matches('{_ALLOWED_VARIABLE}') && !self.name.matches('{_DANGEROUS_VARIABLE}')",
            "name is not an allowed variable, because others can make the engine run code, open endpoints or leak "
            "secrets; 'kubectl explain llmdeployment.spec.pod.env.name' lists what is allowed",
            "'variable ' + self.name + ' is not allowed, because it could make the engine run code, open endpoints or "
            "leak secrets; \\'kubectl explain llmdeployment.spec.pod.env.name\\' lists what is allowed'",
        ),
        Rule(
            "!self.value.contains('$(')",
            "value must not contain '$(', which Kubernetes would replace by the value of another variable",
        ),
    )


class Resources(ApiObject):
    """CPU, memory and disk of the engine's container. Unset: computed from the number of GPUs."""

    requests: Annotated[
        dict[str, Quantity],
        Field(
            max_length=3,
            description="What the scheduler reserves, by name: cpu, memory, ephemeral-storage; for example "
            "memory: 64Gi. Each one that is unset is computed.",
        ),
    ] = {}
    limits: Annotated[
        dict[str, Quantity],
        Field(
            max_length=3,
            description="What the engine may use at most, by name: cpu, memory, ephemeral-storage. The "
            "memory limit is the memory request unless set; cpu is not limited unless set.",
        ),
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
        dict[str, LabelValue], Field(max_length=32, description="Labels that a node must have.")
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
    labels: Annotated[
        dict[str, LabelValue],
        Field(max_length=32, description="Labels to add to the pods, for example 'team: search'."),
    ] = {}
    annotations: Annotated[
        dict[str, AnnotationValue],
        Field(
            max_length=32,
            description="Annotations to add to the pods. Changing one is a change of the pods and restarts them.",
        ),
    ] = {}
    resources: Annotated[
        Resources | None, Field(description="CPU, memory and disk. Unset: computed from the number of GPUs.")
    ] = None

    list_map_keys: ClassVar[dict[str, str]] = {"image_pull_secrets": "name", "env": "name"}
    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            f"!has(self.nodeSelector) || self.nodeSelector.all(key, key.size() <= 253 && key.matches('{_LABEL_KEY}'))",
            "nodeSelector must have keys of labels, such as 'example.com/pool'",
        ),
        Rule(
            f"!has(self.labels) || self.labels.all(key, key.size() <= 253 && key.matches('{_LABEL_KEY}'))",
            "labels must have keys such as 'team' or 'example.com/team'",
        ),
        Rule(
            f"!has(self.labels) || !self.labels.exists(key, key.matches('{_RESERVED_LABEL}'))",
            "labels under conch.dev, kubernetes.io and k8s.io are reserved; use a prefix of your own",
        ),
        Rule(
            f"!has(self.annotations) || self.annotations.all(key, key.size() <= 253 && key.matches('{_LABEL_KEY}'))",
            "annotations must have keys such as 'team' or 'example.com/team'",
        ),
        Rule(
            f"!has(self.annotations) || !self.annotations.exists(key, key.matches('{_RESERVED_ANNOTATION}'))",
            "annotations under conch.dev and those that change the pod's security are reserved; remove them",
        ),
    )
