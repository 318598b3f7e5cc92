"""What to do about one LLMDeployment: from an observation and the time to writes, a status and when to look again.

revise -> plan -> step -> render -> status, all pure; the doers after it decide nothing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from conch.controller.conditions import Facts
from conch.controller.observation import Observation
from conch.controller.revise import Revised, revise
from conch.controller.status import Status, status, timestamp
from conch.engines.triton_vllm import PORTS
from conch.manifests.config_map import config_map
from conch.manifests.controller_revision import controller_revision
from conch.manifests.coverage import covers, stamped
from conch.manifests.disruption_budget import disruption_budget
from conch.manifests.identity import DRAINING_SINCE, SERVING, Identity, Manifest, Slot, revision_name, slot_name
from conch.manifests.replica_set import replica_set
from conch.manifests.service import service
from conch.manifests.service_account import service_account
from conch.revisions.history import superfluous
from conch.rollout.diagnosis import Diagnosis, diagnose
from conch.rollout.fleet import Observed, SlotView, fleet, is_terminating, slot_of
from conch.rollout.limits import limits
from conch.rollout.step import Step, Wanted, next_step

RECOVERY_SECONDS: Final = 1.0
"""How soon to look again whether an unseen ReplicaSet was recovered, or its pod is on its way out."""
BLOCKED_SECONDS: Final = 30.0
"""How soon a child that could not be written is tried again."""


@dataclass(frozen=True, slots=True)
class Removal:
    """A child to delete; `uid` keeps the delete from meeting a namesake."""

    kind: str
    name: str
    uid: str


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
    recoveries = tuple(_recoveries(identity, revised, held))
    step = _step(held, wanted, now, is_recovering=bool(recoveries))
    rendered = tuple(stamped(child) for child in _children(identity, revised, held, step))
    facts = replace(_facts(observation, revised, wanted, held, step, now), conflicts=conflicts, refusals=refusals)
    return Decision(
        applies=tuple(child for child in rendered if not _is_applied(observation, child)),
        recoveries=recoveries,
        marks=tuple(_marks(observation, step, now)),
        removals=tuple(_removals(observation, rendered, held, step)) if revised.target else (),
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


def _recoveries(identity: Identity, revised: Revised, held: Sequence[SlotView]) -> Iterator[Manifest]:
    for view in held:
        revision = revised.known.get(view.revision)
        unseen = view.unseen_set
        if revision is not None and unseen is not None and unseen.name == slot_name(identity, view.slot):
            manifest = stamped(replica_set(identity, view.slot, revision))
            yield {**manifest, "metadata": {**manifest["metadata"], "uid": unseen.uid}}


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


def _children(identity: Identity, revised: Revised, held: Sequence[SlotView], step: Step) -> Iterator[Manifest]:
    target = revised.target
    if target is None:
        return
    in_use = {view.revision for view in held} | {target.hash}
    forgotten = {revision.hash for revision in superfluous(tuple(revised.known.values()), in_use)}
    yield service_account(identity)
    for revision in revised.known.values():
        if revision.hash in in_use:
            yield config_map(identity, revision)
        if revision.hash not in forgotten:
            yield controller_revision(identity, revision)
    yield service(identity, PORTS)
    yield disruption_budget(identity)
    for view in held:
        if not view.leaving and not view.orphan and view.slot not in step.remove and view.revision in revised.known:
            yield replica_set(identity, view.slot, revised.known[view.revision])
    for slot in step.create:
        yield replica_set(identity, slot, target)


def _is_applied(observation: Observation, rendered: Manifest) -> bool:
    observed = observation.child(rendered)
    return observed is not None and (is_terminating(observed) or covers(observed, rendered))


def _marks(observation: Observation, step: Step, now: datetime) -> Iterator[PodMark]:
    drained = {"labels": {SERVING: "false"}, "annotations": {DRAINING_SINCE: timestamp(now)}}
    restored = {"labels": {SERVING: "true"}, "annotations": {DRAINING_SINCE: None}}
    for slots, metadata in ((step.drain, drained), (step.restore, restored)):
        for pod in observation.of("Pod"):
            if slot_of(pod) in slots and not is_terminating(pod):
                yield PodMark(pod["metadata"]["name"], pod["metadata"]["uid"], {"metadata": metadata})


def _removals(
    observation: Observation, rendered: Sequence[Manifest], held: Sequence[SlotView], step: Step
) -> Iterator[Removal]:
    kept = {(child["kind"], child["metadata"]["name"]) for child in rendered}
    kept |= {("ConfigMap", revision_name(observation.identity, view.revision)) for view in held}
    for kind, children in observation.children.items():
        for child in children:
            if not is_terminating(child) and _is_superfluous(kind, child, kept, step):
                yield Removal(kind, child["metadata"]["name"], child["metadata"]["uid"])


def _is_superfluous(kind: str, child: Observed, kept: set[tuple[str, str]], step: Step) -> bool:
    match kind:
        case "ReplicaSet":
            return slot_of(child) in step.remove
        case "Pod":
            return slot_of(child) in step.remove and not child["metadata"].get("ownerReferences")
        case "ConfigMap" | "ControllerRevision":
            return (kind, child["metadata"]["name"]) not in kept
        case _:
            return False


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
