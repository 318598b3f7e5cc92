"""`status`: what the operator observed and decided. Written by the operator only, never read back as truth."""

from typing import Annotated, ClassVar, Final

from pydantic import Field

from conch.api.objects import ApiObject

_LARGEST_GENERATION: Final = 2**53 - 1
"""The largest integer that every reader of JSON keeps exactly."""

Text = Annotated[str, Field(max_length=1024)]


class Condition(ApiObject):
    """One statement about the resource, as in metav1.Condition."""

    type: Annotated[str, Field(max_length=316, description="What the statement is about.")]
    status: Annotated[
        str,
        Field(json_schema_extra={"enum": ["True", "False", "Unknown"]}, max_length=7, description="Whether it holds."),
    ]
    observed_generation: Annotated[
        int, Field(ge=-1, le=_LARGEST_GENERATION, description="The generation of the spec that the statement is about.")
    ]
    last_transition_time: Annotated[
        str, Field(json_schema_extra={"format": "date-time"}, max_length=64, description="When status last changed.")
    ]
    reason: Annotated[str, Field(max_length=1024, description="Why, in one word.")]
    message: Annotated[str, Field(max_length=32768, description="Why, in a sentence for people.")]


class ModelStatus(ApiObject):
    """The model as it was resolved."""

    source: Annotated[Text, Field(description="Where the model comes from.")]
    commit: Annotated[str | None, Field(max_length=64, description="The commit that is served.")] = None
    served_name: Annotated[Text, Field(description="The name clients ask for.")]


class PlanStatus(ApiObject):
    """How one replica uses GPUs, and what was assumed where the spec is silent."""

    tensor: Annotated[int, Field(description="GPUs each layer is split over.")]
    pipeline: Annotated[int, Field(description="Stages the layers are split into.")]
    data: Annotated[int, Field(description="Copies of the model in one replica.")]
    data_mode: Annotated[Text, Field(description="Slots: every copy is an engine of its own.")]
    gpus_per_pod: Annotated[int, Field(alias="gpusPerPod", description="GPUs of one pod: tensor x pipeline.")]
    pods_per_replica: Annotated[int, Field(description="Pods of one replica.")]
    startup_seconds: Annotated[int, Field(description="How long an engine may take to load, and a pod not to serve.")]
    cache: Annotated[Text, Field(description="Where the weights are kept.")]
    release: Annotated[Text, Field(description="Release of the engine.")]
    image: Annotated[Text, Field(description="Image of the engine.")]
    reasons: Annotated[
        tuple[Text, ...], Field(max_length=32, description="Why the plan is as it is, a sentence each.")
    ] = ()


class RevisionStatus(ApiObject):
    """Revisions by name, as ControllerRevisions of the same namespace."""

    current: Annotated[
        str | None, Field(max_length=253, description="The revision that last was fully rolled out.")
    ] = None
    updated: Annotated[str | None, Field(max_length=253, description="The revision that the spec asks for.")] = None


class EngineCounts(ApiObject):
    """Engines, one per slot."""

    desired: Annotated[int, Field(description="Engines that should serve: replicas x data.")]
    ready: Annotated[int, Field(description="Engines that serve.")]
    draining: Annotated[int, Field(description="Engines that finish their last requests.")]


class LLMDeploymentStatus(ApiObject):
    """What is, as observed."""

    observed_generation: Annotated[
        int | None,
        Field(ge=-1, le=_LARGEST_GENERATION, description="The generation of the spec that this status is about."),
    ] = None
    conditions: Annotated[
        tuple[Condition, ...], Field(max_length=32, description="Statements about the resource.")
    ] = ()
    model: Annotated[ModelStatus | None, Field(description="The model as it was resolved.")] = None
    plan: Annotated[PlanStatus | None, Field(description="How one replica uses GPUs.")] = None
    revision: Annotated[RevisionStatus | None, Field(description="The revisions in use.")] = None
    engines: Annotated[EngineCounts | None, Field(description="Engines, counted.")] = None
    replicas: Annotated[int | None, Field(description="Replicas that exist, ready or not.")] = None
    ready_replicas: Annotated[int | None, Field(description="Replicas of which every engine serves.")] = None
    updated_replicas: Annotated[int | None, Field(description="Replicas of the revision that the spec asks for.")] = (
        None
    )
    selector: Annotated[
        str | None, Field(max_length=1024, description="Label selector that matches one pod per replica, for scalers.")
    ] = None
    url: Annotated[str | None, Field(max_length=512, description="Where clients in the cluster reach the model.")] = (
        None
    )

    list_map_keys: ClassVar[dict[str, str]] = {"conditions": "type"}
