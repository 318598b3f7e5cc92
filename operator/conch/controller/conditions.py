"""The conditions of an LLMDeployment, each from the facts it is about.

- Available: some revision serves.
- Ready: the spec's revision serves at least what is wanted less what may be unavailable. Once it was rolled out,
  engines inside their start-up budget do not count as missing, so that a scale-up does not end it.
- Reconciling: the spec's revision is not rolled out yet. Stalled: nothing will move until the user acts. Never both,
  and both absent when they do not hold, as kstatus wants. A change of replicas alone sets neither.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from conch.api.conditions import ConditionType, Reason, Status
from conch.manifests import rendered_revision
from conch.revisions.revision import Revision
from conch.rollout.diagnosis import NEEDS_CAPACITY, NEEDS_USER, Diagnosis
from conch.rollout.step import Wanted


@dataclass(frozen=True, slots=True)
class Statement:
    """A condition without its times."""

    type: ConditionType
    status: Status
    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Facts:
    """All that conditions are made of.

    `serving` counts slots of the target that serve, `serving_any` those of every revision, `others` held slots of other
    revisions. `diagnoses` are of the target's slots that do not serve; `conflicts` are names that others hold, and
    `refusals` children that the API server does not take.
    """

    target: Revision | None
    wanted: Wanted | None
    serving: int
    serving_any: int
    others: int
    diagnoses: tuple[Diagnosis, ...]
    progress: str
    problems: tuple[str, ...]
    now: datetime
    conflicts: tuple[str, ...] = ()
    refusals: tuple[str, ...] = ()


def statements(facts: Facts) -> tuple[Statement, ...]:
    """The conditions that hold, `Ready` first."""
    return tuple(_statements(facts))


def _statements(facts: Facts) -> Iterator[Statement]:
    ready, stall = _ready(facts), _stall(facts)
    if stall is not None and ready.status is not Status.TRUE:
        ready = Statement(ConditionType.READY, Status.FALSE, stall.reason, stall.message)
    yield ready
    if stall is not None and (ready.status is not Status.TRUE or not _is_rolled_out(facts)):
        yield stall
    elif facts.refusals or not _is_rolled_out(facts):
        yield _reconciling(facts)
    yield _available(facts)
    if facts.target is not None:
        yield _resolved(facts.target)
        yield _planned(facts)
        yield _capacity(facts, facts.target)
        if facts.target.renderer != rendered_revision.RENDERER:
            yield _update_available(facts.target)


def _is_rolled_out(facts: Facts) -> bool:
    return facts.target is not None and not facts.problems and facts.others == 0 and facts.target.rolled_out


def _ready(facts: Facts) -> Statement:
    if facts.wanted is None or facts.target is None:
        reason = Reason.INVALID_SPEC if facts.problems else Reason.PENDING
        return Statement(ConditionType.READY, Status.FALSE, reason, "; ".join(facts.problems) or facts.progress)
    if facts.problems:
        return Statement(ConditionType.READY, Status.FALSE, Reason.INVALID_SPEC, "; ".join(facts.problems))
    if facts.conflicts:
        return Statement(ConditionType.READY, Status.FALSE, Reason.NAME_CONFLICT, "; ".join(facts.conflicts))
    if facts.wanted.slots == 0:
        return Statement(ConditionType.READY, Status.TRUE, Reason.SCALED_TO_ZERO, "replicas is 0: no engine runs")
    expected = sum(_is_in_budget(item, facts) for item in facts.diagnoses) if _is_rolled_out(facts) else 0
    if facts.serving > 0 and facts.serving + expected >= max(1, facts.wanted.least_serving):
        return Statement(ConditionType.READY, Status.TRUE, Reason.SERVING, facts.progress)
    if facts.refusals:
        return Statement(ConditionType.READY, Status.FALSE, Reason.CHILD_REFUSED, "; ".join(facts.refusals))
    worst = _worst(facts.diagnoses)
    if worst is None:
        return Statement(ConditionType.READY, Status.FALSE, Reason.ROLLING_OUT, facts.progress)
    return Statement(ConditionType.READY, Status.FALSE, worst.reason, f"{facts.progress}; {worst.message}")


def _is_in_budget(diagnosis: Diagnosis, facts: Facts) -> bool:
    return diagnosis.reason in {Reason.STARTING, *NEEDS_CAPACITY} and not _is_late(diagnosis, facts)


def _is_late(diagnosis: Diagnosis, facts: Facts) -> bool:
    if diagnosis.since is None or facts.target is None:
        return False
    return facts.now - diagnosis.since > timedelta(seconds=facts.target.plan.startup_seconds)


def _stall(facts: Facts) -> Statement | None:
    if facts.problems:
        return Statement(ConditionType.STALLED, Status.TRUE, Reason.INVALID_SPEC, "; ".join(facts.problems))
    if facts.conflicts:
        return Statement(ConditionType.STALLED, Status.TRUE, Reason.NAME_CONFLICT, "; ".join(facts.conflicts))
    late = [item for item in facts.diagnoses if _is_late(item, facts) and item.reason in {*NEEDS_USER, Reason.STARTING}]
    worst = _worst(late)
    if worst is None:
        return None
    reason = Reason.STARTUP_TOO_SLOW if worst.reason is Reason.STARTING else worst.reason
    return Statement(ConditionType.STALLED, Status.TRUE, reason, f"{facts.progress}; {worst.message}")


def _reconciling(facts: Facts) -> Statement:
    if facts.refusals:
        return Statement(ConditionType.RECONCILING, Status.TRUE, Reason.CHILD_REFUSED, "; ".join(facts.refusals))
    waiting = _worst([item for item in facts.diagnoses if item.reason in NEEDS_CAPACITY | NEEDS_USER])
    reason = waiting.reason if waiting else Reason.ROLLING_OUT
    message = f"{facts.progress}; {waiting.message}" if waiting else facts.progress
    return Statement(ConditionType.RECONCILING, Status.TRUE, reason, message)


def _available(facts: Facts) -> Statement:
    if facts.serving_any:
        message = f"{facts.serving_any} engines serve" if facts.serving_any > 1 else "1 engine serves"
        return Statement(ConditionType.AVAILABLE, Status.TRUE, Reason.SERVING, message)
    if facts.wanted is not None and facts.wanted.slots == 0:
        return Statement(ConditionType.AVAILABLE, Status.FALSE, Reason.SCALED_TO_ZERO, "replicas is 0: no engine runs")
    worst = _worst(facts.diagnoses)
    return Statement(
        ConditionType.AVAILABLE,
        Status.FALSE,
        worst.reason if worst else Reason.PENDING,
        worst.message if worst else "no engine serves",
    )


def _resolved(target: Revision) -> Statement:
    commit = f" at commit {target.model.commit}" if target.model.commit else ""
    return Statement(ConditionType.MODEL_RESOLVED, Status.TRUE, Reason.RESOLVED, f"{target.model.source}{commit}")


def _planned(facts: Facts) -> Statement:
    if facts.problems or facts.target is None:
        return Statement(ConditionType.PLANNED, Status.FALSE, Reason.INVALID_SPEC, "; ".join(facts.problems))
    plan = facts.target.plan
    message = (
        f"one replica is {plan.pods_per_replica} x {plan.gpus_per_pod} GPUs "
        f"(tensor {plan.tensor}, pipeline {plan.pipeline}, data {plan.data})"
    )
    return Statement(ConditionType.PLANNED, Status.TRUE, Reason.PLAN_MADE, message)


def _update_available(target: Revision) -> Statement:
    newer = rendered_revision.RENDERER
    message = f"revision {target.hash} keeps the pods of renderer {target.renderer}; this operator has renderer {newer}"
    return Statement(ConditionType.UPDATE_AVAILABLE, Status.TRUE, Reason.NEWER_RENDERER, message)


def _capacity(facts: Facts, target: Revision) -> Statement:
    waiting = [item for item in facts.diagnoses if item.reason in NEEDS_CAPACITY]
    worst = _worst(waiting)
    if worst is None:
        return Statement(
            ConditionType.CAPACITY_AVAILABLE, Status.TRUE, Reason.SCHEDULED, "no pod waits for GPUs or for a node"
        )
    lacking = sum(item.reason is Reason.INSUFFICIENT_GPUS for item in waiting) * target.plan.gpus_per_pod
    missing = f"{lacking} GPUs are missing; " if lacking else ""
    return Statement(ConditionType.CAPACITY_AVAILABLE, Status.FALSE, worst.reason, f"{missing}{worst.message}")


_SEVERITY = (
    Reason.WEIGHTS_FAILED,
    Reason.CRASH_LOOP,
    Reason.IMAGE_PULL_FAILED,
    Reason.MISSING_REFERENCE,
    Reason.START_FAILED,
    Reason.POD_CREATION_FAILED,
    Reason.UNSCHEDULABLE,
    Reason.INSUFFICIENT_GPUS,
    Reason.NOT_READY,
    Reason.STARTING,
)


def _worst(diagnoses: Sequence[Diagnosis]) -> Diagnosis | None:
    return min(diagnoses, key=lambda item: _SEVERITY.index(item.reason), default=None)
