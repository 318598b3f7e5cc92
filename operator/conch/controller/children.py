"""The children that there should be, held against those that there are: what to write, to recover and to remove.

Base children first, then slots. A child that is as it was rendered is not written again; only files and records of old
revisions and slots that a step removes are ever deleted.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from conch.controller.observation import Observation
from conch.controller.revise import Revised
from conch.engines.triton_vllm import PORTS
from conch.manifests.config_map import config_map
from conch.manifests.controller_revision import controller_revision
from conch.manifests.coverage import covers, stamped
from conch.manifests.disruption_budget import disruption_budget
from conch.manifests.identity import Identity, Manifest, revision_name, slot_name
from conch.manifests.replica_set import replica_set
from conch.manifests.service import service
from conch.manifests.service_account import service_account
from conch.revisions.history import superfluous
from conch.rollout.fleet import Observed, SlotView, is_terminating, slot_of
from conch.rollout.step import Step


@dataclass(frozen=True, slots=True)
class Removal:
    """A child to delete; `uid` keeps the delete from meeting a namesake."""

    kind: str
    name: str
    uid: str


def rendered_children(identity: Identity, revised: Revised, held: Sequence[SlotView], step: Step) -> Iterator[Manifest]:
    """Every child that there should be after the step; none where there never was a working spec."""
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


def is_applied(observation: Observation, rendered: Manifest) -> bool:
    """Whether nothing is to be written: the child is as it was rendered, or on its way out."""
    observed = observation.child(rendered)
    return observed is not None and (is_terminating(observed) or covers(observed, rendered))


def recoveries(identity: Identity, revised: Revised, held: Sequence[SlotView]) -> Iterator[Manifest]:
    """ReplicaSets that a living pod names and the cache does not show, with the UID that they must still have."""
    for view in held:
        revision = revised.known.get(view.revision)
        unseen = view.unseen_set
        if revision is not None and unseen is not None and unseen.name == slot_name(identity, view.slot):
            manifest = stamped(replica_set(identity, view.slot, revision))
            yield {**manifest, "metadata": {**manifest["metadata"], "uid": unseen.uid}}


def kept_names(
    observation: Observation, revised: Revised, rendered: Sequence[Manifest], held: Sequence[SlotView]
) -> frozenset[tuple[str, str]]:
    """Kind and name of what stays: what is rendered, files that a pod may still need, records that cannot be read."""
    readable = {revision_name(observation.identity, revision_hash) for revision_hash in revised.known}
    records = {child["metadata"]["name"] for child in observation.of("ControllerRevision")}
    return frozenset(
        {(child["kind"], child["metadata"]["name"]) for child in rendered}
        | {("ConfigMap", revision_name(observation.identity, view.revision)) for view in held}
        | {("ControllerRevision", name) for name in records - readable}
    )


def removals(observation: Observation, kept: frozenset[tuple[str, str]], step: Step) -> Iterator[Removal]:
    """The children to delete: slots that the step removes, and files and records of revisions that are forgotten."""
    for kind, children in observation.children.items():
        for child in children:
            if not is_terminating(child) and _is_superfluous(kind, child, kept, step):
                yield Removal(kind, child["metadata"]["name"], child["metadata"]["uid"])


def _is_superfluous(kind: str, child: Observed, kept: frozenset[tuple[str, str]], step: Step) -> bool:
    match kind:
        case "ReplicaSet":
            return slot_of(child) in step.remove
        case "Pod":
            return slot_of(child) in step.remove and not child["metadata"].get("ownerReferences")
        case "ConfigMap" | "ControllerRevision":
            return (kind, child["metadata"]["name"]) not in kept
        case _:
            return False
