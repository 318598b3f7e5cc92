"""`status` as a pure function of what was observed and decided. Written only when it differs from what is there."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from conch.controller.conditions import Facts, Statement, statements
from conch.engines.triton_vllm import PORTS
from conch.manifests.identity import Identity, revision_name, scale_selector
from conch.manifests.service import service_url
from conch.revisions.revision import Revision
from conch.rollout.fleet import SlotView

MESSAGE_LIMIT = 32768
Status = dict[str, Any]


def status(
    identity: Identity,
    generation: int,
    previous: Status,
    facts: Facts,
    fleet: Sequence[SlotView],
    known: Sequence[Revision],
) -> Status:
    """The status to write. `previous` gives only the times at which conditions last changed."""
    target, wanted = facts.target, facts.wanted
    alive = [view for view in fleet if not view.leaving]
    leaders = [view for view in alive if view.slot.rank == 0 and view.draining_since is None]
    return {
        "observedGeneration": generation,
        "conditions": conditions(statements(facts), previous, generation, facts.now),
        **(_target_status(identity, target, known) if target else {}),
        "engines": {
            "desired": wanted.slots if wanted else 0,
            "ready": facts.serving_any,
            "draining": sum(view.leaving or view.draining_since is not None for view in fleet),
        },
        "replicas": len(leaders),
        "readyReplicas": _whole_replicas(alive, wanted.data if wanted else 1),
        "updatedReplicas": sum(target is not None and view.revision == target.hash for view in leaders),
        "selector": scale_selector(identity),
        "url": service_url(identity, PORTS),
    }


def conditions(stated: Sequence[Statement], previous: Status, generation: int, now: datetime) -> list[dict[str, Any]]:
    """The conditions with their times: a condition keeps its time as long as its status stays."""
    before = {condition["type"]: condition for condition in previous.get("conditions", ())}
    return [
        {
            "type": statement.type.value,
            "status": statement.status.value,
            "observedGeneration": generation,
            "lastTransitionTime": _since(before.get(statement.type.value), statement, now),
            "reason": statement.reason.value,
            "message": printable(statement.message),
        }
        for statement in stated
    ]


def printable(text: str) -> str:
    """The text without control characters, at most as long as a condition may hold."""
    return "".join(character if character.isprintable() else " " for character in text)[:MESSAGE_LIMIT]


def timestamp(moment: datetime) -> str:
    """A moment as Kubernetes writes it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _since(before: dict[str, Any] | None, statement: Statement, now: datetime) -> str:
    if before is not None and before["status"] == statement.status.value:
        return str(before["lastTransitionTime"])
    return timestamp(now)


def _target_status(identity: Identity, target: Revision, known: Sequence[Revision]) -> Status:
    complete = [revision for revision in known if revision.rolled_out]
    current = max(complete, key=lambda revision: revision.number, default=None)
    return {
        "model": {
            "source": target.model.source,
            **({"commit": target.model.commit} if target.model.commit else {}),
            "servedName": target.model.served_name,
        },
        "plan": {
            "tensor": target.plan.tensor,
            "pipeline": target.plan.pipeline,
            "data": target.plan.data,
            "dataMode": "Slots",
            "gpusPerPod": target.plan.gpus_per_pod,
            "podsPerReplica": target.plan.pods_per_replica,
            "startupSeconds": target.plan.startup_seconds,
            "cache": target.plan.cache,
            "release": target.release,
            "image": target.image,
            "reasons": list(target.plan.reasons),
        },
        "revision": {
            **({"current": revision_name(identity, current.hash)} if current else {}),
            "updated": revision_name(identity, target.hash),
        },
    }


def _whole_replicas(alive: Sequence[SlotView], data: int) -> int:
    by_replica: dict[int, int] = {}
    for view in alive:
        by_replica[view.slot.replica] = by_replica.get(view.slot.replica, 0) + view.serves
    return sum(serving >= data for serving in by_replica.values())
