"""Which revision the spec asks for: a stored one wherever there is one, a newly rendered one only for new inputs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from conch.api.deployment import LLMDeploymentSpec
from conch.api.parsing import InvalidResource, parse_spec
from conch.engines.triton_vllm import InvalidEngineArguments
from conch.manifests.controller_revision import stored_revision
from conch.manifests.identity import Identity
from conch.manifests.rendered_revision import rendered_revision
from conch.manifests.replica_set import revision_of
from conch.revisions.history import next_number
from conch.revisions.inputs import inputs, inputs_hash
from conch.revisions.revision import Revision
from conch.rollout.fleet import Observed


@dataclass(frozen=True, slots=True)
class Revised:
    """The revisions that exist, the one to run, and why the spec cannot be it, if so.

    With `problems` the target is the last revision that was asked for: a spec that cannot work changes nothing that
    runs, and what runs still heals. `target` is None when there never was a working spec.
    """

    known: Mapping[str, Revision]
    target: Revision | None
    spec: LLMDeploymentSpec | None
    problems: tuple[str, ...] = ()


def revise(
    identity: Identity,
    spec_document: Mapping[str, Any],
    controller_revisions: Iterable[Observed],
    replica_sets: Iterable[Observed],
) -> Revised:
    """The revision for a spec, given what is stored and what runs."""
    known = _known(controller_revisions, replica_sets)
    latest = max(known.values(), key=lambda revision: revision.number, default=None)
    try:
        spec = parse_spec(spec_document)
    except InvalidResource as refusal:
        return Revised(known, latest, None, refusal.problems)
    asked = known.get(inputs_hash(inputs(spec)))
    number = next_number(known.values())
    if asked is None:
        try:
            asked = rendered_revision(identity, spec, number)
        except InvalidEngineArguments as refusal:
            return Revised(known, latest, spec, refusal.problems)
    is_latest = all(asked.number >= other.number for other in known.values())
    target = asked if is_latest else asked.numbered(number)
    return Revised({**known, target.hash: target}, target, spec)


def _known(controller_revisions: Iterable[Observed], replica_sets: Iterable[Observed]) -> dict[str, Revision]:
    """Stored revisions, and those whose ControllerRevision was deleted, rebuilt from the slots that run them."""
    running = [revision for child in replica_sets if (revision := _readable(revision_of, child)) is not None]
    stored = [revision for child in controller_revisions if (revision := _readable(stored_revision, child)) is not None]
    return {revision.hash: revision for revision in (*running, *stored)}


def _readable(read: Any, child: Observed) -> Revision | None:
    try:
        revision: Revision = read(child)
    except (KeyError, TypeError, ValueError):  # somebody stripped or replaced what Conch wrote
        return None
    return revision
