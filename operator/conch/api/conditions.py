"""Condition types and reasons: every word that `status.conditions` can hold, with what a user does about it.

This is the only home of these strings; the status decider uses them, the documentation is generated from them.
"""

from dataclasses import dataclass
from enum import StrEnum


class ConditionType(StrEnum):
    """The conditions of an LLMDeployment. Reconciling and Stalled are absent when they do not hold (kstatus)."""

    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    AVAILABLE = "Available"
    MODEL_RESOLVED = "ModelResolved"
    PLANNED = "Planned"
    CAPACITY_AVAILABLE = "CapacityAvailable"
    UPDATE_AVAILABLE = "UpdateAvailable"


class Status(StrEnum):
    """The three values of a condition."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Reason(StrEnum):
    """Why a condition has its value. One meaning each; `REMEDIES` says what to do."""

    # nothing is known yet
    PENDING = "Pending"
    # all is well
    SERVING = "Serving"
    SCALED_TO_ZERO = "ScaledToZero"
    RESOLVED = "Resolved"
    PLAN_MADE = "PlanMade"
    SCHEDULED = "Scheduled"
    NEWER_RENDERER = "NewerRenderer"
    # on the way
    ROLLING_OUT = "RollingOut"
    STARTING = "Starting"
    # waiting for something outside
    INSUFFICIENT_GPUS = "InsufficientGPUs"
    UNSCHEDULABLE = "Unschedulable"
    POD_CREATION_FAILED = "PodCreationFailed"
    CHILD_REFUSED = "ChildRefused"
    # wrong until somebody acts
    INVALID_SPEC = "InvalidSpec"
    IMAGE_PULL_FAILED = "ImagePullFailed"
    CRASH_LOOP = "CrashLoop"
    START_FAILED = "StartFailed"
    STARTUP_TOO_SLOW = "StartupTooSlow"
    MISSING_REFERENCE = "MissingReference"
    WEIGHTS_FAILED = "WeightsFailed"
    NAME_CONFLICT = "NameConflict"
    NOT_READY = "NotReady"


@dataclass(frozen=True, slots=True)
class Remedy:
    """What a reason means and what the user does about it."""

    meaning: str
    action: str


REMEDIES: dict[Reason, Remedy] = {
    Reason.PENDING: Remedy(
        "The operator has not looked at the resource yet.",
        "Wait a few seconds; if it stays, check that the operator runs and watches this namespace.",
    ),
    Reason.SERVING: Remedy("As many engines serve as were asked for.", "Nothing."),
    Reason.SCALED_TO_ZERO: Remedy(
        "replicas is 0 and no engine runs, as asked.", "Set replicas to 1 or more to serve again."
    ),
    Reason.RESOLVED: Remedy("The model is pinned to a commit, or lies on a claim.", "Nothing."),
    Reason.PLAN_MADE: Remedy("The use of GPUs is decided; status.plan shows it.", "Nothing."),
    Reason.SCHEDULED: Remedy("Every pod has a node.", "Nothing."),
    Reason.NEWER_RENDERER: Remedy(
        "This version of Conch would render the pods differently; what runs was left as it is.",
        "Change any field of the spec, for example an annotation under pod.annotations, when a restart suits you.",
    ),
    Reason.ROLLING_OUT: Remedy(
        "A change of the spec is on its way to the engines; the message counts how far it is.", "Wait."
    ),
    Reason.STARTING: Remedy("Engines download or load the model, inside their start-up budget.", "Wait."),
    Reason.INSUFFICIENT_GPUS: Remedy(
        "Pods wait for GPUs; the message says how many are missing.",
        "Free or add GPUs, lower replicas or parallelism, or set rollout.rollingUpdate.maxSurge to 0.",
    ),
    Reason.UNSCHEDULABLE: Remedy(
        "The scheduler finds no node for a reason other than GPUs; the message repeats its words.",
        "Compare pod.nodeSelector, pod.tolerations, accelerator.products and pod.resources with the nodes.",
    ),
    Reason.POD_CREATION_FAILED: Remedy(
        "The API server refuses the pods: a quota, a limit range, Pod Security or a webhook; the message repeats why.",
        "Raise the quota or change what the message names.",
    ),
    Reason.CHILD_REFUSED: Remedy(
        "The API server refuses an object that engines need: a quota, a policy or a webhook; the message repeats why.",
        "Change what the message names. It is tried again every half minute.",
    ),
    Reason.INVALID_SPEC: Remedy(
        "The spec cannot work as written; the message names the field. What runs keeps running.",
        "Change the named field.",
    ),
    Reason.IMAGE_PULL_FAILED: Remedy(
        "The node cannot pull the engine's image.", "Check engine.image, pod.imagePullSecrets and the registry."
    ),
    Reason.CRASH_LOOP: Remedy(
        "The engine exits again and again; the message holds its exit code and last words.",
        "Read 'kubectl logs' of the named pod; the cause is usually an engine argument or memory.",
    ),
    Reason.START_FAILED: Remedy(
        "The engine exited before it served and is started again.",
        "Read 'kubectl logs --previous' of the named pod.",
    ),
    Reason.STARTUP_TOO_SLOW: Remedy(
        "An engine did not serve within its start-up budget.",
        "Raise engine.startupSeconds if the model is just large, or use a cache on a claim.",
    ),
    Reason.MISSING_REFERENCE: Remedy(
        "A Secret, ConfigMap or claim that the pod needs does not exist.", "Create what the message names."
    ),
    Reason.WEIGHTS_FAILED: Remedy(
        "The weights could not be downloaded; the message says why.",
        "Check model.huggingFace: repo, revision, token and whether its licence was accepted.",
    ),
    Reason.NAME_CONFLICT: Remedy(
        "An object of a name that Conch needs exists and belongs to somebody else. It is left alone.",
        "Rename the LLMDeployment, or delete the object the message names.",
    ),
    Reason.NOT_READY: Remedy("A pod that served does not answer its readiness probe.", "Read its logs."),
}
