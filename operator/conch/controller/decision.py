"""What to do about one LLMDeployment: from an observation and the time to writes, a status and when to look again.

revise -> plan -> step -> render -> status, all pure; the doers after it decide nothing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from conch.controller.children import Removal, is_applied, kept_names, recoveries, removals, rendered_children
from conch.controller.conditions import Facts
from conch.controller.observation import Observation
from conch.controller.revise import Revised, revise
from conch.controller.status import Status, status, timestamp
from conch.manifests.coverage import stamped
from conch.manifests.identity import DRAINING_SINCE, SERVING, Manifest, Slot
from conch.rollout.diagnosis import Diagnosis, diagnose
from conch.rollout.fleet import SlotView, fleet, is_terminating, slot_of
from conch.rollout.limits import limits
from conch.rollout.step import Step, Wanted, next_step

RECOVERY_SECONDS: Final = 1.0
"""How soon to look again whether an unseen ReplicaSet was recovered, or its pod is on its way out."""
BLOCKED_SECONDS: Final = 30.0
"""How soon a child that could not be written is tried again."""


@dataclass(frozen=True, slots=True)
class PodMark:
    """A pod to take out of the Service, or to put back."""

    name: str
    uid: str
    patch: Manifest


@dataclass(frozen=True, slots=True)
class Decision:
    """Everything to be written, in order: applies, recoveries, marks, removals, then the status.

    A recovery puts right a ReplicaSet that was stripped of its labels; it carries the UID that it must still have.
    """

    applies: tuple[Manifest, ...]
    recoveries: tuple[Manifest, ...]
    marks: tuple[PodMark, ...]
    removals: tuple[Removal, ...]
    status: Status
    look_again_seconds: float | None


def decide(
    observation: Observation, conflicts: tuple[str, ...], now: datetime, refusals: tuple[str, ...] = ()
) -> Decision:
    """The decision for one resource.

    In words, `conflicts` are names that objects of other owners hold, `refusals` children that the API server refused.
    """
    identity = observation.identity
    held = fleet(observation.of("ReplicaSet"), observation.of("Pod"))
    revised = revise(
        identity, observation.resource["spec"], observation.of("ControllerRevision"), observation.of("ReplicaSet")
    )
    wanted = _wanted(observation, revised, held)
    revised = _with_what_was_seen(revised, held, wanted)
    recovered = tuple(recoveries(identity, revised, held))
    step = _step(held, wanted, now, is_recovering=bool(recovered))
    rendered = tuple(map(stamped, rendered_children(identity, revised, held, step)))
    kept = kept_names(observation, revised, rendered, held)
    facts = replace(_facts(observation, revised, wanted, held, step, now), conflicts=conflicts, refusals=refusals)
    return Decision(
        applies=tuple(child for child in rendered if not is_applied(observation, child)),
        recoveries=recovered,
        marks=tuple(_marks(observation, step, now)),
        removals=tuple(removals(observation, kept, step)) if revised.target else (),
        status=status(
            identity,
            observation.generation,
            observation.resource.get("status", {}),
            facts,
            held,
            tuple(revised.known.values()),
        ),
        look_again_seconds=_look_again_seconds(step, facts, is_blocked=bool(conflicts or refusals)),
    )


def _step(held: Sequence[SlotView], wanted: Wanted | None, now: datetime, *, is_recovering: bool) -> Step:
    """The next step; while it is open whether a slot is there, none is made in its stead."""
    if wanted is None:
        return Step(reason="nothing runs yet")
    step = next_step(held, wanted, now)
    return replace(step, create=(), look_again_seconds=RECOVERY_SECONDS) if is_recovering else step


def _wanted(observation: Observation, revised: Revised, held: Sequence[SlotView]) -> Wanted | None:
    if revised.target is None:
        return None
    replicas = int(observation.resource["spec"].get("replicas", 1))
    data = revised.target.plan.data
    rolling_update = revised.spec.rollout.rolling_update if revised.spec else None
    served = {view.revision for view in held if view.ready}
    served |= {revision.hash for revision in revised.known.values() if revision.served}
    return Wanted(revised.target.hash, replicas, data, limits(rolling_update, replicas * data), frozenset(served))


def _with_what_was_seen(revised: Revised, held: Sequence[SlotView], wanted: Wanted | None) -> Revised:
    """The revisions with what is seen of them now: which have served, and whether the target is rolled out."""
    if wanted is None or revised.target is None:
        return revised
    serving = sum(view.serves and view.revision == wanted.revision for view in held)
    is_rolled_out = not revised.problems and serving >= wanted.slots and _count_others(held, wanted.revision) == 0
    known = {
        revision.hash: revision.known_to(
            have_served=revision.hash in wanted.proven,
            be_rolled_out=is_rolled_out and revision.hash == wanted.revision,
        )
        for revision in revised.known.values()
    }
    return replace(revised, known=known, target=known[wanted.revision])


def _count_others(held: Sequence[SlotView], revision_hash: str) -> int:
    """Held slots of other revisions; the revision's own that leave are not among them."""
    return sum(view.revision != revision_hash for view in held)


def _marks(observation: Observation, step: Step, now: datetime) -> Iterator[PodMark]:
    drained = {"labels": {SERVING: "false"}, "annotations": {DRAINING_SINCE: timestamp(now)}}
    restored = {"labels": {SERVING: "true"}, "annotations": {DRAINING_SINCE: None}}
    for slots, metadata in ((step.drain, drained), (step.restore, restored)):
        for pod in observation.of("Pod"):
            if slot_of(pod) in slots and not is_terminating(pod):
                yield PodMark(pod["metadata"]["name"], pod["metadata"]["uid"], {"metadata": metadata})


def _facts(
    observation: Observation,
    revised: Revised,
    wanted: Wanted | None,
    held: Sequence[SlotView],
    step: Step,
    now: datetime,
) -> Facts:
    target = revised.target
    current = [view for view in held if target is not None and view.revision == target.hash and not view.leaving]
    return Facts(
        target=target,
        wanted=wanted,
        serving=sum(view.serves for view in current),
        serving_any=sum(view.serves for view in held),
        others=_count_others(held, target.hash) if target else len(held),
        diagnoses=tuple(_diagnoses(observation, [view.slot for view in current if not view.serves])),
        progress=step.reason,
        problems=revised.problems,
        now=now,
    )


def _diagnoses(observation: Observation, slots: Sequence[Slot]) -> Iterator[Diagnosis]:
    sets = {slot_of(child): child for child in observation.of("ReplicaSet")}
    for slot in slots:
        pods = [pod for pod in observation.of("Pod") if slot_of(pod) == slot]
        diagnosis = diagnose(sets.get(slot), pods)
        if diagnosis is not None:
            yield diagnosis


def _look_again_seconds(step: Step, facts: Facts, *, is_blocked: bool) -> float | None:
    """The next moment at which time alone changes the decision: the end of a drain or of a start-up budget.

    What stands in the way, such as somebody else's object or a quota, is not watched, so it is tried from time to time.
    """
    moments = [step.look_again_seconds] if step.look_again_seconds is not None else []
    moments += [BLOCKED_SECONDS] if is_blocked else []
    if facts.target is not None:
        budget = timedelta(seconds=facts.target.plan.startup_seconds + 1)
        ends = [(item.since + budget - facts.now).total_seconds() for item in facts.diagnoses if item.since is not None]
        moments += [seconds for seconds in ends if seconds > 0]
    return min(moments, default=None)
