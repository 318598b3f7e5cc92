"""The LLMDeployment: the one resource a user writes. Its parts live in the modules beside this one."""

from typing import Annotated, Any, ClassVar, Final

from pydantic import Field, WithJsonSchema

from conch.api.engine import Accelerator, Engine, Parallelism
from conch.api.model import Model
from conch.api.objects import ApiObject
from conch.api.pod import Pod
from conch.api.rollout import Rollout
from conch.api.rules import Rule
from conch.api.status import LLMDeploymentStatus

GROUP: Final = "conch.dev"
VERSION: Final = "v1alpha1"
KIND: Final = "LLMDeployment"
PLURAL: Final = "llmdeployments"
SHORT_NAME: Final = "llmdep"
CATEGORY: Final = "llm"
API_VERSION: Final = f"{GROUP}/{VERSION}"
MAX_NAME_LENGTH: Final = 40

_NAME_RULE: Final = (
    f"must be at most {MAX_NAME_LENGTH} characters, start with a letter and hold only lower case letters, digits and "
    "dashes, because the Service of this name must be a DNS label"
)
_DASHED: Final = "((self.metadata.name.matches('^[a-z]') ? '' : 'llm-') + self.metadata.name).replace('.', '-')"
_CUT: Final = f"({_DASHED}.size() > {MAX_NAME_LENGTH} ? {_DASHED}.substring(0, {MAX_NAME_LENGTH}) : {_DASHED})"
_PASSING_NAME: Final = f"{_CUT}.replace('-', ' ').trim().replace(' ', '-')"
"""CEL for the nearest name that passes; a cut can leave a '-' at the end, which only `trim` can take off."""


class LLMDeploymentSpec(ApiObject):
    """What to serve and how."""

    model: Annotated[
        Model, Field(description="The model to serve: from the Hugging Face Hub or from a claim; exactly one of both.")
    ]
    engine: Annotated[
        Engine,
        Field(
            description="The inference server and its settings. What is unset is left to the engine, unless the field "
            "says otherwise; status.plan shows what is in effect."
        ),
    ] = Engine()
    parallelism: Annotated[
        Parallelism,
        Field(
            description="How one replica is spread over GPUs: it takes tensor x pipeline x data of them. What is left "
            "out is 1."
        ),
    ] = Parallelism()
    accelerator: Annotated[Accelerator, Field(description="Which GPUs the pods run on.")] = Accelerator()
    replicas: Annotated[
        int,
        Field(
            ge=0,
            le=1000,
            description="How many times the whole model is served. Each replica takes tensor x pipeline x data GPUs. "
            "'kubectl scale' and autoscalers write this field; changing it restarts nothing. 0 stops all engines and "
            "keeps everything else.",
        ),
    ] = 1
    rollout: Annotated[Rollout, Field(description="How a change of the spec reaches the engines that run.")] = Rollout()
    pod: Annotated[
        Pod, Field(description="Settings of the engines' pods: where they run, and what they carry beside the engine.")
    ] = Pod()

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.accelerator) || !has(self.accelerator.extendedResource) || "
            "self.accelerator.extendedResource == 'nvidia.com/gpu' || !has(self.parallelism) || "
            "((has(self.parallelism.tensor) ? self.parallelism.tensor : 1) == 1 && "
            "(has(self.parallelism.pipeline) ? self.parallelism.pipeline : 1) == 1)",
            "parallelism.tensor and parallelism.pipeline must be 1 on shared or partitioned GPUs, because such "
            "slices cannot talk to each other; use data or replicas for more copies",
        ),
    )


class LLMDeployment(ApiObject):
    """A large language model, served on GPUs by Triton Inference Server with the vLLM backend.

    Clients in the cluster reach it at the address in status.url; status.conditions say what is the case and why.
    """

    api_version: Annotated[str, Field(description=f"Group and version of the resource: {API_VERSION}.")]
    kind: Annotated[str, Field(description=f"Kind of the resource: {KIND}.")]
    metadata: Annotated[dict[str, Any], WithJsonSchema({"type": "object"})]
    spec: Annotated[LLMDeploymentSpec, Field(description="What to serve and how.")]
    status: Annotated[LLMDeploymentStatus | None, Field(description="What is, as the operator observed it.")] = None

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            f"self.metadata.name.size() <= {MAX_NAME_LENGTH} && "
            "self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
            f"metadata.name {_NAME_RULE}",
            f"'metadata.name \\'' + self.metadata.name + '\\' {_NAME_RULE}; for example \\'' + {_PASSING_NAME} + '\\''",
        ),
    )
